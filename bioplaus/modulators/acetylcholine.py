"""Acetylcholine: expected uncertainty sets the speed of learning.

It also sets the gain of the feed-forward input.

    g = u / (u + u0),    a <- (1 + k u) a,    then  u <- max(0, u + kappa (mean_b U_b - u))
g: gate on plasticity, [];  u: expected uncertainty, [], 1 at first;  u0: the u at which plasticity
is half;  a: currents;  k: gain per unit of u;  U_b: uncertainty of each example, [B] (by default
the error, 0 or 1; the entropy needs no label);  kappa: rate of u per step.

Let U = delta^2 - R, where delta is the prediction error of an observation with noise variance R,
and u0 = R. Then u is the variance of the prior, and g settles at the gain of the steady-state
Kalman filter, (-q + sqrt(q^2 + 4 q)) / 2 for a random walk of variance q R per step.

Doya, "Metalearning and neuromodulation", 2002, doi:10.1016/S0893-6080(02)00044-8 (speed of memory
update). Yu and Dayan, "Uncertainty, Neuromodulation, and Attention", 2005,
doi:10.1016/j.neuron.2005.04.026 (expected uncertainty). Departures: the papers give the roles; the
running mean, the saturation and the linear gain are ours. There is no effect on feedback currents,
which these nets do not have.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from bioplaus.hyper import NonNegative, Positive, Probability, declared
from bioplaus.types import Array, Gain, Modulator, Signals


class State(NamedTuple):
    """uncertainty: u, []. layers: () for each layer."""

    uncertainty: Array
    layers: tuple[tuple[()], ...]


@declared
def acetylcholine(
    *,
    kappa: Probability = 0.05,
    u0: Positive = 0.1,
    k: NonNegative = 1.0,
    uncertainty: Callable[[Signals], Array] = lambda signals: 1.0 - signals.correct,
) -> Modulator:
    """A gate [] and a scale of all currents, from the expected uncertainty.

    Both use the uncertainty u that was expected before the outcome. kappa: rate of u, per step.
    """

    def init(key, currents):
        del key
        return State(jnp.ones((), currents[-1].dtype), ((),) * len(currents))

    def gain(state, context):
        del context
        return tuple(Gain(scale=1.0 + k * state.uncertainty) for _ in state.layers)

    def gate(state, signals):
        u = state.uncertainty
        new = jnp.maximum(0.0, u + kappa * (uncertainty(signals).mean() - u))
        return State(new, state.layers), u / (u + u0)

    return Modulator(init, gain, gate)
