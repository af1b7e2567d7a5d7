"""Learning only where it matters: small errors change nothing, and cost no synaptic update.

    g_b = 1[v_b > theta]
v_b: [B] size of the error of each example (default: its loss);
theta: threshold, in the units of v.

Only errors (v = 1 - correct, theta = 0.5): Pache and van Rossum, "Lazy learning: a
biologically-inspired plasticity rule for fast and energy efficient synaptic plasticity", 2023,
arXiv:2303.16067. Only large updates: van Rossum and Pache, "Competitive plasticity to reduce the
energetic costs of learning", 2024, doi:10.1371/journal.pcbi.1012553.
Departures: the 2024 paper thresholds the update of each synapse; a modulator broadcasts, so that it
is the example's error here.
"""

from collections.abc import Callable

from bioplaus.hyper import Real, declared
from bioplaus.types import Array, Gain, Modulator, Signals


@declared
def threshold(
    theta: Real = 0.1, *, value: Callable[[Signals], Array] = lambda signals: signals.loss
) -> Modulator:
    """Gate [B] of 0 or 1. theta = 0.1 nats: an example is learnt until the net gives its label 90
    %. State: one () a layer.
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
