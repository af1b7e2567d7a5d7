"""Disturbances of the spikes that a net over time receives. Each function is (net, params, x, key)
-> (severity -> (net, params, x)).

    jitter      a spike at moment t moves to round(t + s xi / dt),    xi standard normal
    deletion    a spike is lost with probability s
s: the severity, of jitter in ms; dt: length of a moment in ms. x: [B, T, ...] of 0 and 1. Spikes
are disturbed independently. A spike that jitter moves before the first moment or after the last is
lost, and two spikes of an input that meet at a moment are one.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.arrays import concrete
from bioplaus.net import time_step
from bioplaus.types import Array, Key, Net, PyTree


def jitter(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Move every spike in time.

    Raises ValueError for a net without time, and for inputs that are not spikes.
    """
    dt = _moment("spike_jitter", net, x)
    flat = x.reshape(*x.shape[:2], -1)
    examples, moments, inputs = flat.shape
    xi = jax.random.normal(key, flat.shape, x.dtype)
    b, t, i = jnp.ogrid[:examples, :moments, :inputs]

    def at(sigma):
        to = jnp.round(t + sigma * xi / dt).astype(int)
        to = jnp.where(to < 0, moments, to)  # a negative index would count from the end
        moved = jnp.zeros_like(flat).at[b, to, i].max(flat, mode="drop")
        return net, params, moved.reshape(x.shape)

    return at


def deletion(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Delete a random fraction of the spikes.

    Raises ValueError for a net without time, and for inputs that are not spikes.
    """
    _moment("spike_deletion", net, x)
    rank = jax.random.uniform(key, x.shape)
    return lambda fraction: (net, params, jnp.where(rank < fraction, 0, x))


def _moment(where: str, net: Net, x: Array) -> float:
    """The length of a moment in ms."""
    dt, values = time_step(net), concrete(x)
    if dt is None:
        raise ValueError(
            f"{where}: the net has no layers over time, and receives no spikes; leave this curve"
            " out"
        )
    if values is not None and not ((values == 0) | (values == 1)).all():
        raise ValueError(
            f"{where}: the inputs hold other values than 0 and 1, so they are not spikes; leave"
            " this curve out, or give spikes [B, T, ...]"
        )
    return dt
