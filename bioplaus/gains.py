"""Neurons with changed excitability, and the one rule of which shapes a gain may have.

A number of a `Gain` is a scalar, [n], or has all axes of what it multiplies, each of them 1 or as
long as there. [B, n] on a convolution, whose current is [B, H, W, n], is refused: broadcasting
would take B for the width.
"""

import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.types import Array, Gain, Neuron


def gained(neuron: Neuron, gain: Gain) -> Neuron:
    """output = out * neuron(scale * current + offset), for neurons of a layer of one moment."""

    def step(state, current, key):  # in the dtypes of the neurons, also by gains of more bits
        scale, offset = (fitted(g, "current", current.shape) for g in (gain.scale, gain.offset))
        state, output = neuron.step(state, (current * scale + offset).astype(current.dtype), key)
        return state, (output * fitted(gain.out, "output", output.shape)).astype(output.dtype)

    quiet = neuron.off and gained(neuron.off, gain)
    average = neuron.mean and gained(neuron.mean, gain)
    at = neuron.at
    placed = at and (lambda dt: gained(at(dt), gain))
    return Neuron(neuron.init, step, quiet, average, placed, neuron.spikes)


def fitted(gain: ArrayLike, what: str, shape: tuple[int, ...]) -> Array:
    """A gain as an array that fits a layer's `what`, its current or output, of that shape.

    Raises ValueError for one that is not a scalar, [n], or with all axes of `shape`, each 1 or as
    long as there.
    """
    gain = jnp.asarray(gain)
    axes = shape[-1:] if gain.ndim == 1 else shape
    if gain.ndim and not spans(gain.shape, axes):
        raise ValueError(
            f"gain: got shape {gain.shape} where a layer's {what} is {shape}; give a scalar,"
            f" [n] = {shape[-1:]}, or all axes, each 1 or as in {shape}"
        )
    return gain


def spans(shape: tuple[int, ...], axes: tuple[int, ...]) -> bool:
    """Whether `shape` has all of the axes, each 1 or of that length."""
    return len(shape) == len(axes) and all(k in (1, n) for k, n in zip(shape, axes, strict=True))
