"""Dopamine: the reward-prediction error as the third factor of plasticity.

    delta_b = r_b - rbar,    g_b = shape(delta_b),    then  rbar <- rbar + kappa (mean_b r_b - rbar)
r_b: [B] reward of each example;  rbar: expected reward, 0 at first;  g_b: [B] gate on plasticity.

With shape = `signed`, E[g e] = Cov(r, e) + (E[r] - rbar) E[e] for an eligibility e: the baseline
removes the bias.

Doya, "Metalearning and neuromodulation", 2002, doi:10.1016/S0893-6080(02)00044-8. Three-factor
rules: Fremaux and Gerstner, "Neuromodulated Spike-Timing-Dependent Plasticity, and Theory of
Three-Factor Learning Rules", 2016, doi:10.3389/fncir.2015.00085. |delta|: Pearce and Hall, "A model
for Pavlovian learning", Psychological Review 87:532, 1980.
Departures: rbar is one running mean; a critic would expect a reward of its own for each stimulus,
without which the bias vanishes on average only. The default shape is `corrective`, not in these
papers.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from bioplaus.hyper import Probability, declared
from bioplaus.types import Array, Gain, Modulator, Signals


class State(NamedTuple):
    """expected: rbar, []; layers: one () a layer."""

    expected: Array
    layers: tuple[tuple[()], ...]


def signed(delta: Array) -> Array:
    """g = delta, for rules driven by reward alone. It would turn a supervised gradient around
    wherever delta < 0.
    """
    return delta


def corrective(delta: Array) -> Array:
    """g = max(0, 1 - delta), for gradients that carry their own sign: more where it went worse than
    expected, and never negative.

    For r in [0, 1] its mean is 1 once rbar = E[r]: plasticity moves between examples and the
    learning rate stays. |delta| (give `jnp.abs`) does not learn where every outcome is as expected:
    never right with rbar = 0, or all losses equal.
    """
    return jnp.maximum(0.0, 1.0 - delta)


@declared
def dopamine(
    *,
    kappa: Probability = 0.05,
    reward: Callable[[Signals], Array] = lambda signals: signals.correct,
    shape: Callable[[Array], Array] = corrective,
) -> Modulator:
    """Gate [B] from the reward-prediction error. kappa: rate of rbar, a step. reward: r, such as
    minus the loss.
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
