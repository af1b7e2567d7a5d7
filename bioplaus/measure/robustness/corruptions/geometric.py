"""Geometric corruptions of images x [H, W, C] in [0, 1], about the centre of the image.

    y(p) = x(c + M (p - c) + d),    by linear interpolation, 0 outside of the image
        p: (column, row);  c: the centre;  d = 0 and M = 1 unless given below;  s: the severity
    translate   d = (+-s, +-s)
    rotate      M = [cos a, -sin a; sin a, cos a],   a = +-s rad
    scale       M = 1 / s                            the image shrinks to the fraction s
    shear       M = [1, -sin a; 0, cos a],           a = +-s rad
u: [n] uniform in [0, 1), one number for each sign +-: plus if it is above 1/2.

Mu, Gilmer, "MNIST-C: A Robustness Benchmark for Computer Vision", 2019, arXiv:1906.02337, and the
authors' code.
Departures: none in distribution. For shear, scikit-image of that year is taken to give the matrix
above; later releases have [1, -tan a; 0, 1] (unconfirmed).
"""

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jax.typing import ArrayLike

from bioplaus.types import Array


def translate(x: Array, shift: ArrayLike, u: Array) -> Array:
    """Move by `shift` pixels along both axes. u: [2]."""
    return _warp(x, jnp.eye(2, dtype=x.dtype), shift * _sign(u, x))


def rotate(x: Array, angle: ArrayLike, u: Array) -> Array:
    """Rotate by `angle` rad, to either side. u: [1]."""
    a = angle * _sign(u[0], x)
    return _warp(x, jnp.array([[jnp.cos(a), -jnp.sin(a)], [jnp.sin(a), jnp.cos(a)]]))


def scale(x: Array, factor: ArrayLike, u: Array) -> Array:
    """Shrink to this fraction of the size."""
    del u
    return _warp(x, jnp.eye(2, dtype=x.dtype) / factor)


def shear(x: Array, angle: ArrayLike, u: Array) -> Array:
    """Shear by `angle` rad, to either side. u: [1]."""
    a = angle * _sign(u[0], x)
    return _warp(x, jnp.array([[1, -jnp.sin(a)], [0, jnp.cos(a)]]))


def _sign(u: Array, x: Array) -> Array:
    return jnp.where(u > 0.5, 1, -1).astype(x.dtype)


def _warp(x: Array, matrix: Array, d: ArrayLike = 0.0) -> Array:
    rows, columns = x.shape[:2]
    centre = jnp.array([(columns - 1) / 2, (rows - 1) / 2], x.dtype)
    grid = jnp.stack(jnp.meshgrid(jnp.arange(columns), jnp.arange(rows)), -1) - centre  # [H, W, 2]
    column, row = jnp.moveaxis(
        jnp.einsum("ij,hwj->hwi", matrix, grid, precision="highest") + centre + d, -1, 0
    )

    def warped(channel: Array) -> Array:
        return map_coordinates(channel, [row, column], order=1, mode="constant")

    return jax.vmap(warped, -1, -1)(x)
