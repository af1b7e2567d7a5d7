"""Gains of layers over time: one moment with gains, and what a scan takes of them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

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
    that piece: its first moment takes their first entry. Raises ValueError for a gain that is not
    [], [n], [B, 1, n] or [B, T, n].
    """
    if not gains:
        return [], lambda rows: ()
    fitted = _fitted("current", current.shape), _fitted("output", _output_shape(neuron, current))
    places = [fitted[name == "out"] for _ in gains for name in Gain._fields]
    leaves, tree = jax.tree.flatten(gains)
    leaves = [fit(jnp.asarray(g)) for fit, g in zip(places, leaves, strict=True)]
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


def _fitted(what: str, shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """A check that a gain fits a layer's `what`, of that shape."""

    def fit(g):
        axes = shape[len(shape) - g.ndim :] if g.ndim in (0, 1, len(shape)) else ()
        if len(axes) != g.ndim or any(k not in (1, n) for k, n in zip(g.shape, axes, strict=True)):
            raise ValueError(
                f"gain: got shape {g.shape} where a layer's {what} is {shape}; under time a gain is"
                " a scalar, [n], [B, 1, n] or [B, T, n]"
            )
        return g

    return fit
