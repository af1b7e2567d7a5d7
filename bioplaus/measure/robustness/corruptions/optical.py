"""Corruptions by light, lens and digitisation of images x [H, W, C] in [0, 1].

They are the same for all of an image. Results are clipped to [0, 1].

    contrast     m + c (x - m)                    m: mean of the image, by channel
    brightness   V + b, with V = max over colours and hue and saturation kept; x + b for grey
    quantise     round((2^bits - 1) x) / (2^bits - 1)
    stripe       1 - x in the first and last w columns
    blur         G_sigma * x                      Gaussian up to 4 sigma, edges repeated
    fog          (x + k p) m / (m + k)            p: plasma in [0, 1];  m: maximum of the image
c, b, bits, w, sigma, (k, decay): the severity.

Plasma is diamond-square on a torus. It starts from one corner. At the n-th halving, each new point
is the mean of its 4 neighbours plus a_n (2 u - 1), with a_n = decay^(-2 n), first at the centres of
the squares, then of the diamonds. The result is shifted and scaled to [0, 1]. u: uniform in [0, 1),
which only fog needs.

Hendrycks, Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", 2019, arXiv:1903.12261; Mu, Gilmer, "MNIST-C: A Robustness Benchmark for Computer
Vision", 2019, arXiv:1906.02337, and the authors' code. Departures: none in distribution.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.types import Array


def contrast(x: Array, factor: ArrayLike, u: Array) -> Array:
    """Move each channel towards its mean."""
    del u
    mean = x.mean((0, 1))
    return jnp.clip(mean + factor * (x - mean), 0, 1)


def brightness(x: Array, shift: ArrayLike, u: Array) -> Array:
    """Raise the value of HSV; black becomes grey."""
    del u
    value = x.max(-1, keepdims=True)
    raised = jnp.clip(value + shift, 0, 1)
    return jnp.where(value > 0, x * raised / jnp.where(value > 0, value, 1), raised)


def quantise(x: Array, bits: ArrayLike, u: Array) -> Array:
    """Round to 2^bits levels."""
    del u
    top = 2.0**bits - 1
    return jnp.round(x * top) / top


def stripe(x: Array, width: ArrayLike, u: Array) -> Array:
    """Invert `width` columns at the left and at the right."""
    del u
    column = jnp.arange(x.shape[1])[:, None]
    return jnp.where((column < width) | (column >= x.shape[1] - width), 1 - x, x)


def blur(x: Array, sigma: ArrayLike, u: Array) -> Array:
    """Gaussian blur of sigma pixels.

    It is truncated at 4 sigma or at the size of the image, whichever is smaller.
    """
    del u
    rows, columns = (_smoothing(n, sigma, x.dtype) for n in x.shape[:2])
    return jnp.clip(jnp.einsum("ih,hwc,jw->ijc", rows, x, columns), 0, 1)


def fog(x: Array, thickness: Array, u: Array) -> Array:
    """Fog. thickness: (k, decay). u: [n^2 - 1], where n is the size of the plasma, whose first
    corner covers the image.
    """
    k, decay = thickness[0], thickness[1]
    p = plasma(u, decay)[: x.shape[0], : x.shape[1], None]
    top = x.max()
    return jnp.clip((x + k * p) * top / (top + k), 0, 1)


def plasma(u: Array, decay: ArrayLike) -> Array:
    """A cloud [n, n] with values from 0 to 1, from u [n^2 - 1], n a power of two. Raises ValueError
    for any other number of values.
    """
    size = round((u.size + 1) ** 0.5)
    if size < 2 or size & (size - 1) or u.shape != (size * size - 1,):
        raise ValueError(
            f"plasma: got u of shape {u.shape}, expected [n^2 - 1] with n a power of two, 2 or more"
        )
    corner, amplitude, used = jnp.zeros((1, 1), u.dtype), 1.0, 0
    while (n := len(corner)) < size:
        a, b, c = amplitude * (2 * u[used : used + 3 * n * n].reshape(3, n, n) - 1)
        used += 3 * n * n
        below = corner + jnp.roll(corner, -1, 0)
        centre = (below + jnp.roll(below, -1, 1)) / 4 + a
        right = (centre + jnp.roll(centre, 1, 0) + corner + jnp.roll(corner, -1, 1)) / 4 + b
        down = (centre + jnp.roll(centre, 1, 1) + corner + jnp.roll(corner, -1, 0)) / 4 + c
        corner = jnp.stack(
            [jnp.stack([corner, right], -1), jnp.stack([down, centre], -1)], 1
        ).reshape(2 * n, 2 * n)
        # without it the compiler fuses the levels, which takes it many seconds
        corner = jax.lax.optimization_barrier(corner)
        amplitude = amplitude / decay**2
    corner = corner - corner.min()
    return corner / corner.max()


def _smoothing(n: int, sigma: ArrayLike, dtype) -> Array:
    """The blur of a line of n pixels as a matrix [n, n], so that sigma may be traced."""
    offset = jnp.arange(-n, n + 1)
    weight = jnp.where(
        jnp.abs(offset) <= jnp.floor(4 * sigma + 0.5), jnp.exp(-0.5 * (offset / sigma) ** 2), 0.0
    )
    source = jnp.clip(jnp.arange(n)[:, None] + offset, 0, n - 1)
    return (
        jnp.zeros((n, n), dtype)
        .at[jnp.arange(n)[:, None], source]
        .add((weight / weight.sum()).astype(dtype))
    )
