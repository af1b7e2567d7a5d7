"""No neuromodulator: the identity of `compose`."""

from bioplaus.types import Gain, Modulator


def unmodulated() -> Modulator:
    """Gain 1, offset 0, every gate open. A rule under it trains bit for bit as it does without.
    State: () for each layer.
    """

    def init(key, currents):
        del key
        return ((),) * len(currents)

    def gain(state, context):
        del context
        return tuple(Gain() for _ in state)

    def gate(state, signals):
        del signals
        return state, None

    return Modulator(init, gain, gate)
