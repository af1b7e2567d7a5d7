"""Gains of layers over time: one moment with gains, and what a scan takes of them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.gains import fitted
from bioplaus.types import Array, Gain, Key, Neuron, PyTree


def gained_step(
    neuron: Neuron, gains: tuple[Gain, ...], state: PyTree, current: Array, key: Key
) -> tuple[PyTree, Array]:
    """A step of the neurons at the gains of one moment, newest first."""
    dtype = current.dtype  # which gains of more bits do not change: the scan needs it to stay
    for gain in gains:
        current = current * jnp.asarray(gain.scale) + gain.offset
    state, output = neuron.step(state, current.astype(dtype), key)
    dtype = output.dtype
    for gain in reversed(gains):
        output = output * jnp.asarray(gain.out)
    return state, output.astype(dtype)


def gains_at_moments(
    gains: tuple[Gain, ...], neuron: Neuron, current: Array
) -> tuple[list[Array], Callable[[list[Array]], tuple[Gain, ...]]]:
    """What the scan takes of the gains, time first, and the way back to gains of one moment.

    current: [B, T, ...] of a piece. `scale` and `offset` have the shape of it, `out` that of the
    output, which neurons of several compartments have without an axis. Gains of a piece belong to
    that piece: its first moment takes their first entry. Raises ValueError for a gain of another
    shape than `Gain` allows.
    """
    if not gains:
        return [], lambda rows: ()
    inside, sent = ("current", current.shape), ("output", _output_shape(neuron, current))
    gains = tuple(
        Gain(fitted(g.scale, *inside), fitted(g.offset, *inside), fitted(g.out, *sent))
        for g in gains
    )
    leaves, tree = jax.tree.flatten(gains)
    moving = [g.ndim > 1 and g.shape[1] > 1 for g in leaves]

    def gains_at(rows):
        rows = iter(rows)
        return tree.unflatten(
            [
                next(rows) if m else (g[:, 0] if g.ndim > 1 else g)
                for m, g in zip(moving, leaves, strict=True)
            ]
        )

    xs = [jnp.moveaxis(g, 1, 0) for m, g in zip(moving, leaves, strict=True) if m]
    return xs, gains_at


def _output_shape(neuron: Neuron, current: Array) -> tuple[int, ...]:
    """[B, T, ...] of the output at a current [B, T, ...]."""

    def first(current):
        return neuron.step(neuron.init(current), current, jax.random.key(0))[1]

    one = jax.eval_shape(first, current[:, 0]).shape
    return (one[0], current.shape[1], *one[1:])
