"""Pools of moments: how a net over time comes to one answer, and which moments its error reaches.

    answer = readout(pool(h)),    signal_t = (d pool(h) / d h_t)^T signal
h: [B, T, n] output of a layer over time, h_t at moment t;  pool(h): [B, n];  signal: [B, n], what
a rule has for the whole sequence, such as an error that passed random weights;  signal_t: [B, n],
its part at moment t. The mean of all moments gives each of them signal / T; the last moment alone
gives all of it to that one.

A net has one pool at most, that of its first layer of one moment: `after(mean_over_time, ...)`.
Rules that send an error to hidden layers directly, or that look at what a layer says of a whole
sequence, use the functions below. Nets of one moment, and nets that answer at each moment, have no
pool, and nothing changes.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from bioplaus.net import forward
from bioplaus.types import Array, Batch, Key, Layer, Net, PyTree

F = TypeVar("F", bound=Callable[..., Any])


def pools_moments(function: F) -> F:
    """Decorator of a pool: a function [B, T, ...] -> [B, ...] that acts on every unit alike.

    `after(function, layer)` then declares it as `Layer.pool`.

        @bp.pools_moments
        def highest(outputs):
            return outputs.max(1)
    """
    function.pools_moments = True  # type: ignore[attr-defined]
    return function


def is_pool(function: Callable[..., Any]) -> bool:
    """Whether a function is declared by `pools_moments`. Looks through `functools.partial`."""
    while isinstance(function, functools.partial) and not hasattr(function, "pools_moments"):
        function = function.func
    return getattr(function, "pools_moments", False)


def of_sequence(net: Net, layer: Layer, h: Array) -> Array:
    """What h [B, T, n] of a layer says to the answer of the net, [B, n]; h itself without a pool.

    layer: the one of this net that h belongs to, as its output or its input.
    Raises ValueError for a net over time whose first layer of one moment declares no pool.
    """
    if layer.time is None or net[-1].time is not None:
        return h
    l, readout = next((l, each) for l, each in enumerate(net) if each.time is None)
    if readout.pool is None:
        raise ValueError(
            f"net: layer {l} reads whole sequences by a map that does not say which moments an"
            " answer's error reaches; give after(bp.mean_over_time, layer), or mark a map of yours,"
            " @bp.pools_moments"
        )
    return readout.pool(h)


def to_moments(net: Net, layer: Layer, h: Array, signal: Array) -> Array:
    """A signal [B, n] at of_sequence(net, layer, h), at all moments of h, [B, T, n]."""
    with jax.named_scope("credit"):
        return jax.vjp(lambda h: of_sequence(net, layer, h), h)[1](signal)[0]


def moment_shapes(
    net: Net, params: PyTree, batch: Batch, key: Key
) -> tuple[jax.ShapeDtypeStruct, ...]:
    """Shape and dtype of every layer's output, of one moment where a layer runs over time: [B, n_l]
    there too, at no cost.

    So are the shapes of what a rule keeps for the units of a layer, which is the same at all
    moments. Those of currents would not do: a unit of two compartments has two currents.
    """
    outputs = jax.eval_shape(lambda p, x: forward(net, p, x, key).outputs, params, batch.x)
    return tuple(
        a if layer.time is None else jax.ShapeDtypeStruct((a.shape[0], *a.shape[2:]), a.dtype)
        for layer, a in zip(net, outputs, strict=True)
    )
