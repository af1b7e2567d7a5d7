"""Synapses, the linear filters of connections: what arrives in a step was sent in those before.

    Lowpass    y <- p y + (1 - p) u                                 p = exp(-dt / tau)
    Alpha      y <- p y + p q z + (1 - p - p q) u,  z <- p z + (1 - p) u    q = dt / tau

u: [k] what is sent in this step;  y: [k] what arrives in the next;  z: [k] the first of two Lowpass
filters in a row. Both are exact for inputs that are constant within a step (zero-order hold).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.hyper import NonNegative, Positive, declared
from bioplaus.types import Array, PyTree


class Synapse(NamedTuple):
    """start: (zeros [k]) -> state. step: (state, u [k], dt) -> state. arrives: (state) -> y [k]."""

    start: Callable[[Array], PyTree]
    step: Callable[[PyTree, Array, float], PyTree]
    arrives: Callable[[PyTree], Array]


@declared
def lowpass(tau: NonNegative = 0.005) -> Synapse:
    """Exponential decay with time constant tau, s. At 0 the input arrives one step later."""

    def step(y, u, dt):
        p = _decay(dt, tau)
        return p * y + (1 - p) * u

    return Synapse(lambda zeros: zeros, step, lambda y: y)


@declared
def alpha(tau: Positive = 0.005) -> Synapse:
    """The impulse response (t / tau^2) exp(-t / tau): two Lowpass filters in a row. tau: s."""

    def step(state, u, dt):
        z, y = state
        p, q = _decay(dt, tau), dt / jnp.asarray(tau)
        return p * z + (1 - p) * u, p * y + p * q * z + (1 - p - p * q) * u

    return Synapse(lambda zeros: (zeros, zeros), step, lambda state: state[1])


def _decay(dt: float, tau: ArrayLike) -> Array:
    tau = jnp.asarray(tau)
    return jnp.where(tau > 0, jnp.exp(-dt / jnp.where(tau > 0, tau, 1)), 0)
