"""Dopamine: the reward-prediction error as the third factor of plasticity.

    delta_b = r_b - rbar,    g_b = shape(delta_b),    then  rbar <- rbar + kappa (mean_b r_b - rbar)
r_b: reward of each example, [B];  rbar: expected reward, 0 at first;  g_b: gate on plasticity, [B];
kappa: rate of rbar per step.

With shape = `signed`, E[g e] = Cov(r, e) + (E[r] - rbar) E[e] for an eligibility e: the bias, the
second term, vanishes once rbar = E[r].

Doya, "Metalearning and neuromodulation", 2002, doi:10.1016/S0893-6080(02)00044-8. Three-factor
rules: Fremaux and Gerstner, "Neuromodulated Spike-Timing-Dependent Plasticity, and Theory of
Three-Factor Learning Rules", 2016, doi:10.3389/fncir.2015.00085. |delta|: Pearce and Hall, "A model
for Pavlovian learning", Psychological Review 87:532, 1980. Departures: rbar is one running mean. A
critic would expect a different reward for each stimulus; without one, the bias vanishes only on
average. The default shape is `corrective`, which is not in these papers.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from bioplaus.hyper import Probability, declared
from bioplaus.types import Array, Gain, Modulator, Signals


class State(NamedTuple):
    """expected: rbar, []. layers: () for each layer."""

    expected: Array
    layers: tuple[tuple[()], ...]


def signed(delta: Array) -> Array:
    """g = delta, for rules that are driven by reward alone. It would reverse a supervised gradient
    wherever delta < 0.
    """
    return delta


def corrective(delta: Array) -> Array:
    """g = max(0, 1 - delta), for gradients that already have a sign. It is never negative, and
    larger for outcomes worse than expected.

    For r in [0, 1] its mean is 1 once rbar = E[r]: plasticity is shifted between examples, and the
    mean learning rate does not change. |delta| (give `jnp.abs`) does not learn if every outcome is
    as expected: if no answer is ever right and rbar = 0, or if all losses are equal.
    """
    return jnp.maximum(0.0, 1.0 - delta)


@declared
def dopamine(
    *,
    kappa: Probability = 0.05,
    reward: Callable[[Signals], Array] = lambda signals: signals.correct,
    shape: Callable[[Array], Array] = corrective,
) -> Modulator:
    """A gate [B] from the reward-prediction error. kappa: rate of the expected reward, per step.
    reward: r from the signals, such as minus the loss.
    """

    def init(key, currents):
        del key
        return State(jnp.zeros((), currents[-1].dtype), ((),) * len(currents))

    def gain(state, context):
        del context
        return tuple(Gain() for _ in state.layers)

    def gate(state, signals):
        r = reward(signals)
        expected = state.expected + kappa * (r.mean() - state.expected)
        return State(expected, state.layers), shape(r - state.expected)

    return Modulator(init, gain, gate)
