"""Learning only from large errors: small ones change nothing, and cost no synaptic update.

    g_b = 1[v_b > theta]
g_b: gate on plasticity, [B];  v_b: size of the error of each example, [B] (by default its loss);
theta: threshold, in the units of v.

Only wrong answers (v = 1 - correct, theta = 0.5): Pache and van Rossum, "Lazy learning: a
biologically-inspired plasticity rule for fast and energy efficient synaptic plasticity", 2023,
arXiv:2303.16067. Only large updates: van Rossum and Pache, "Competitive plasticity to reduce the
energetic costs of learning", 2024, doi:10.1371/journal.pcbi.1012553. Departures: the 2024 paper has
a threshold for the update of each synapse. A modulator is broadcast, so here the threshold is on
the error of the example.
"""

from collections.abc import Callable

from bioplaus.hyper import Real, declared
from bioplaus.types import Array, Gain, Modulator, Signals


@declared
def threshold(
    theta: Real = 0.1, *, value: Callable[[Signals], Array] = lambda signals: signals.loss
) -> Modulator:
    """A gate [B] of 0 or 1. With theta = 0.1 nats an example is learnt until the net gives its
    label a probability of 90 %. State: () for each layer.
    """

    def init(key, currents):
        del key
        return ((),) * len(currents)

    def gain(state, context):
        del context
        return tuple(Gain() for _ in state)

    def gate(state, signals):
        v = value(signals)
        return state, (v > theta).astype(v.dtype)

    return Modulator(init, gain, gate)
