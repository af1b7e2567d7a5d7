"""Corruptions that draw over images x [H, W, C] in [0, 1]. Results are clipped to [0, 1].

    occlusion     a black square, anywhere inside
    dotted line   straight lines from the left edge to the right; two columns are drawn, two left
                  out
    zigzag        triangle waves of half-period 4 and amplitude 2 along a line that rises by -5 to 4
A line adds 1 + ln(1 - d / 2.3), clipped to [0, 1], at vertical distance d. Lines have the
coordinates of a 28 x 28 image, whatever the size of the image. The severity is the number of lines,
which include those of lower severities. u: [n] uniform in [0, 1), the random numbers of an image.

Mu, Gilmer, "MNIST-C: A Robustness Benchmark for Computer Vision", 2019, arXiv:1906.02337, and the
authors' code. Departures: theirs have one line and no severity, which is severity 1 here; occlusion
is not among theirs.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from bioplaus.types import Array

MAX_LINES = 5
SIZE, REACH = 28, 2.3
# vertices of a zigzag: (position along the line, offset across it)
VERTICES = np.array([(0, 0), (2, 2), (6, -2), (10, 2), (14, -2), (18, 2), (22, -2)], np.float32)


def occlusion(x: Array, side: ArrayLike, u: Array) -> Array:
    """Set a square of `side` pixels to 0. u: [2]."""
    inside = []
    for n, at in zip(x.shape[:2], u, strict=True):
        first, pixel = jnp.round(at * (n - side)), jnp.arange(n)
        inside.append((pixel >= first) & (pixel < first + side))
    return jnp.where(inside[0][:, None, None] & inside[1][:, None], 0, x)


def dotted_line(x: Array, count: ArrayLike, u: Array) -> Array:
    """Draw `count` dotted lines, at most 5. u: [10]."""
    left, right = jnp.floor(u * (SIZE - 1)).reshape(2, MAX_LINES)
    drawn = _segments(
        x, jnp.stack([jnp.zeros(MAX_LINES), left, jnp.full(MAX_LINES, SIZE - 1.0), right])[:, None]
    )
    return _added(x, jnp.where(_grid(x.shape[1]) // 2 % 2 == 1, drawn, 0), count)


def zigzag(x: Array, count: ArrayLike, u: Array) -> Array:
    """Draw `count` zigzags, at most 5. u: [10]."""
    first, last = 2.0, 25.0
    start, rise = jnp.floor(u[:MAX_LINES] * (SIZE - 1)), jnp.floor(u[MAX_LINES:] * 10) - 5
    theta = jnp.arctan(rise / (last - first))
    length = (last - first) / jnp.cos(theta)  # 23 to 23.5: always six vertices
    along, across = jnp.repeat(VERTICES.T[:, :, None], MAX_LINES, -1)
    along = jnp.concatenate([along, length[None]])  # [8, lines]
    # where the last segment of the authors' code ends
    across = jnp.concatenate([across, -1 / (length - 20)[None]])
    c = first + jnp.cos(theta) * along - jnp.sin(theta) * across
    r = start + jnp.sin(theta) * along + jnp.cos(theta) * across
    return _added(x, _segments(x, jnp.stack([c[:-1], r[:-1], c[1:], r[1:]])), count)


def _grid(n: int) -> Array:
    """Pixels of a line of n, in the coordinates of a line of 28."""
    return jnp.arange(n) * ((SIZE - 1) / (n - 1))


def _segments(x: Array, ends: Array) -> Array:
    """Brightness [lines, H, W] of lines that consist of segments. ends: [4, segments, lines], each
    segment from (c0, r0) to (c1, r1) in columns c and rows r.
    """
    row, column = _grid(x.shape[0])[:, None], _grid(x.shape[1])
    c0, r0, c1, r1 = ends[..., None, None]
    d = jnp.abs(row - (r0 + (r1 - r0) / (c1 - c0) * (column - c0)))
    bright = jnp.clip(1 + jnp.log1p(-jnp.minimum(d, 0.999 * REACH) / REACH), 0, 1)
    return jnp.where((column >= jnp.floor(c0)) & (column < jnp.ceil(c1)), bright, 0).sum(0)


def _added(x: Array, drawn: Array, count: ArrayLike) -> Array:
    """x plus the first `count` of the lines [lines, H, W]."""
    lines = jnp.where((jnp.arange(MAX_LINES) < count)[:, None, None], drawn, 0)
    return jnp.clip(x + lines.sum(0)[..., None], 0, 1).astype(x.dtype)
