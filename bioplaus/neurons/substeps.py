"""Neurons of two variables that are integrated in substeps of a moment, by Euler's method.

    v <- v + h dv/dt + q / n,    w <- w + h dw/dt
    and where v > peak:  v <- reset,  w <- w + jump
v: [B, n] potential, mV;  w: [B, n] second variable;  h = dt / n: length of a substep, ms;  n:
number of substeps;  q: [B, n] charge of the moment, mV, which arrives evenly in its substeps.

A moment has one spike if v has passed the peak in any of its substeps: more than one spike in a
moment counts as one. The derivative of a spike is the surrogate of (v_max - peak) / width, where
v_max is the largest potential of the moment before resets. No derivative passes a reset. Errors of
potentials, and of spike times, are of first order in h.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.neurons.surrogate import Surrogate, spike
from bioplaus.types import Array


class TwoVariables(NamedTuple):
    """v: potential, mV. w: recovery or adaptation, in the units of the neuron."""

    v: Array
    w: Array


Slopes = Callable[[Array, Array], tuple[Array, Array]]
"""(v, w) -> (dv/dt, dw/dt) without the charge that arrives, per ms."""


class Spike(NamedTuple):
    """peak: mV, above which v is a spike. reset: v after it, mV. jump: what it adds to w. width: mV
    of the surrogate."""

    peak: ArrayLike
    reset: ArrayLike
    jump: ArrayLike
    width: ArrayLike
    surrogate: Surrogate


def one_moment(
    slopes: Slopes, shape: Spike, state: TwoVariables, charge: Array, dt: float, substeps: int
) -> tuple[TwoVariables, Array]:
    """(state after a moment of dt ms, spikes in it [B, n])."""
    h = dt / substeps

    def substep(_, carry):
        (v, w), highest = carry
        dv, dw = slopes(v, w)
        v, w = v + h * dv + charge / substeps, w + h * dw
        fired = v > shape.peak
        after = TwoVariables(
            jnp.where(fired, jnp.asarray(shape.reset, v.dtype), v),
            jnp.where(fired, w + shape.jump, w),
        )
        return after, jnp.maximum(highest, v)

    begin = state, jnp.full_like(charge, -jnp.inf)
    state, highest = jax.lax.fori_loop(0, substeps, substep, begin)
    return state, spike((highest - shape.peak) / shape.width, shape.surrogate)
