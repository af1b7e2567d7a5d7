"""Convolution, in the form that is fastest on each platform."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from bioplaus.types import Array

WORD = 80
"""Time to copy one word, in multiply-accumulates. Measured on x86 cores by
experiments/benchmarks/convolutions.py.
"""


@functools.partial(jax.jit, static_argnums=(2, 3))  # traced once for all its calls in a program
def convolve(
    x: Array,
    w: Array,
    strides: tuple[int, int],
    padding: str | tuple[tuple[int, int], tuple[int, int]],
) -> Array:
    """Cross-correlation, as `jax.lax.conv_general_dilated` computes it.

    x: [B, H, W, C_in], w: [rows, columns, C_in, C_out] -> [B, H', W', C_out]. strides, padding: of
    height and width. On a CPU it is computed as one matrix product with the same result, because
    XLA's convolution is many times slower there inside `lax.scan`. Costs are counted on the
    convolution.
    """
    pads = (
        jax.lax.padtype_to_pads(x.shape[1:3], w.shape[:2], strides, padding)
        if isinstance(padding, str)
        else padding
    )

    def native(x, w):
        return jax.lax.conv_general_dilated(
            x, w, strides, pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    return jax.lax.platform_dependent(
        x, w, cpu=lambda x, w: product(x, w, strides, pads), default=native
    )


def product(
    x: Array,
    w: Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    n: int | None = None,
) -> Array:
    """Convolution as one matrix product, for n neighbouring outputs of a row at a time.

    Each block of n outputs reads one window of the image, kernel rows by `span` columns. Its
    weights are the kernel at the n positions in the window, with zeros elsewhere. n = 1 copies
    every input once for each position in the kernel. With a larger n outputs share copies, but
    multiply by more zeros.

    n: a divisor of the output's width; by default the one with the smallest cost of products and
    copies.
    """
    (rows, columns, c_in, c_out), (down, right) = w.shape, strides
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    height, width = (x.shape[1] - rows) // down + 1, (x.shape[2] - columns) // right + 1
    n = n or min(divisors(width), key=lambda n: ((n - 1) * right + columns) * (c_out + WORD / n))
    blocks, step, span = width // n, n * right, (n - 1) * right + columns
    whole, rest = divmod(span, step)
    # a window consists of `whole` pieces of `step` columns, and `rest` columns of the next piece
    total = blocks + whole - (rest == 0)
    x = jnp.pad(
        x[:, :, : total * step], ((0, 0), (0, 0), (0, max(0, total * step - x.shape[2])), (0, 0))
    )
    x = x.reshape(*x.shape[:2], total, step * c_in)
    pieces = [x[:, :, k : k + blocks] for k in range(whole)]
    pieces += [x[:, :, whole:, : rest * c_in]] if rest else []
    windows = jnp.concatenate(pieces, axis=-1)
    windows = jnp.concatenate(
        [windows[:, i : i + (height - 1) * down + 1 : down] for i in range(rows)], axis=-1
    )
    places = [
        jnp.pad(w, ((0, 0), (j * right, span - columns - j * right), (0, 0), (0, 0)))
        for j in range(n)
    ]
    weights = jnp.stack(places, axis=3).reshape(rows * span * c_in, n * c_out)
    return (windows.reshape(-1, len(weights)) @ weights).reshape(x.shape[0], height, width, c_out)


def divisors(width: int) -> list[int]:
    """The numbers of neighbouring outputs into which a row of this width divides."""
    return [n for n in range(1, width + 1) if width % n == 0]
