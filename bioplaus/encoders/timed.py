"""Encoders by the time of a single spike: first-spike latency, and rank order."""

import jax
import jax.numpy as jnp

from bioplaus.encoders.values import check_real, straight_through, unit
from bioplaus.hyper import Count, Several, declared
from bioplaus.types import Array, Encoder


@declared
def latency(steps: Several) -> Encoder:
    """One spike at the moment (1 - x) (steps - 1), rounded: x = 1 fires first, and 0 not at all.

    The derivative by x is that of the expected spikes if the moment were rounded up or down by
    chance, so as to be right on average: max(0, 1 - |t - (1 - x) (steps - 1)|) at moment t.
    `decode`: 1 - t / (steps - 1), within half a moment of x, and 0 without a spike.

    After Thorpe, Delorme, Van Rullen, "Spike-based strategies for rapid processing", 2001,
    doi:10.1016/S0893-6080(01)00083-1.

        in_front(net, latency(steps=25))
    """
    last = steps - 1

    def expected(x: Array) -> Array:
        x = unit(x)[:, None]
        t = _along_time(jnp.arange(steps, dtype=x.dtype), x)
        return jnp.where(x > 0, jnp.maximum(0, 1 - jnp.abs(t - (1 - x) * last)), 0)

    def value(x: Array, key) -> Array:
        del key
        check_real("latency", x)
        return _spikes(jnp.round((1 - unit(x)) * last), x > 0, steps).astype(x.dtype)

    return Encoder(straight_through(value, expected), lambda moments: _time_left(moments, last))


@declared
def rank_order(steps: Count) -> Encoder:
    """One spike each in the order of x, the largest first; inputs of 0 or less do not fire.

    Of n inputs to an example the one of rank k, from 0, fires at moment floor(k steps / n), so that
    steps = n gives one spike a moment; among equals the first is first. Only the order of x counts:
    the spikes are those of any increasing function of it that keeps the sign.
    The order has no derivative; that by x is taken as if each spike had the size of its input:
    d z_t / dx = z_t. `decode`: 1 - t / steps, which has the order of x, and 0 without a spike.

    Thorpe, Gautrais, "Rank Order Coding", 1998, doi:10.1007/978-1-4615-4831-7_19.

        in_front(net, rank_order(steps=25))
    """

    def spikes(x: Array) -> Array:
        check_real("rank_order", x)
        flat = x.reshape(x.shape[0], -1)
        rank = jnp.argsort(jnp.argsort(-flat, stable=True), stable=True)
        return _spikes((rank * steps // flat.shape[1]).reshape(x.shape), x > 0, steps).astype(
            x.dtype
        )

    def sized(x: Array) -> Array:
        return jax.lax.stop_gradient(spikes(x)) * x[:, None]

    return Encoder(
        straight_through(lambda x, key: spikes(x), sized),
        lambda moments: _time_left(moments, steps),
    )


def _spikes(moment: Array, fires: Array, steps: int) -> Array:
    """[B, ...] -> [B, steps, ...], true at `moment` where it fires."""
    t = _along_time(jnp.arange(steps), moment[:, None])
    return (t == moment[:, None]) & fires[:, None]


def _along_time(t: Array, like: Array) -> Array:
    return t.reshape(1, -1, *(1,) * (like.ndim - 2))


def _time_left(moments: Array, of: int) -> Array:
    """1 - t / of for the moment t of the first spike; 0 without one."""
    return jnp.where(moments.any(1), 1 - jnp.argmax(moments != 0, 1) / of, 0).astype(moments.dtype)
