"""Shifts of the distribution of test images. Each function is (net, params, x, key) -> (severity ->
(net, params, x)).

    rotation          rotate by s degrees about the centre, by linear interpolation, 0 outside
    low_pass          remove the spatial frequencies above (1 - s) f_max: finest detail first
    high_pass         remove those up to s f_max, except for the mean: coarse form first
    inversion         x <- (1 - s) x + s (low + high - x);    low, high: minimum and maximum of x
    permuted_pixels   permute a random fraction s of the pixels, in the same way in every image
s: the severity. |f|: length of (f_row, f_column) in cycles per pixel; f_max: the largest |f|.
Images are [B, H, W, C]; inversion and permuted_pixels take any input, whose features are its
pixels.

Frequencies: Yin et al., "A Fourier Perspective on Model Robustness in Computer Vision", 2019,
arXiv:1906.08988. Permuted pixels: Goodfellow et al., "An Empirical Investigation of Catastrophic
Forgetting", 2013, arXiv:1312.6211, where all pixels are permuted (unconfirmed).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.measure.robustness.corruptions import geometric
from bioplaus.types import Array, Key, Net, PyTree


def rotation(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Rotate to one side. Raises ValueError for inputs that are not images."""
    del key
    _images("rotation", x)
    turned = jax.vmap(
        lambda image, angle: geometric.rotate(image, angle, jnp.ones(1, x.dtype)), (0, None)
    )
    return lambda degrees: (net, params, turned(x, jnp.deg2rad(degrees)))


def low_pass(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Blur: remove high frequencies. Raises ValueError for inputs that are not images."""
    del key
    size = _frequencies("low_pass", x)
    return lambda s: (net, params, _filtered(x, size <= (1 - s) * size.max(), s))


def high_pass(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Keep edges: remove low frequencies. Raises ValueError for inputs that are not images."""
    del key
    size = _frequencies("high_pass", x)
    return lambda s: (net, params, _filtered(x, (size > s * size.max()) | (size == 0), s))


def inversion(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Move images towards their negative; at s = 1/2 no contrast is left."""
    del key
    return lambda s: (net, params, x + s * (x.min() + x.max() - 2 * x))


def permuted_pixels(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Permute positions; the channels of a pixel stay together."""
    shape = x.shape[1:-1] if x.ndim == 4 else x.shape[1:]
    flat, n = x.reshape(len(x), int(np.prod(shape)), -1), int(np.prod(shape))
    rank, place = jax.random.uniform(key, (2, n))

    def at(s):
        # moved pixels come first in both orders, by index in `to` and at random in `source`; the
        # others follow in the same order in both
        moves = rank < s
        to = jnp.argsort(jnp.where(moves, -1.0, jnp.arange(n)))
        source = jnp.argsort(jnp.where(moves, place - 2, jnp.arange(n)))
        return net, params, flat.at[:, to].set(flat[:, source]).reshape(x.shape)

    return at


def _images(name: str, x: Array) -> None:
    if x.ndim != 4:
        raise ValueError(
            f"{name}: needs images [B, H, W, C], got {list(x.shape)}; leave this curve out"
        )


def _frequencies(name: str, x: Array) -> Array:
    """f| [H, W], in cycles per pixel, in the order of the Fourier transform."""
    _images(name, x)
    return jnp.hypot(jnp.fft.fftfreq(x.shape[1])[:, None], jnp.fft.fftfreq(x.shape[2])).astype(
        x.dtype
    )


def _filtered(x: Array, kept: Array, s: Array) -> Array:
    """x without the frequencies that are not kept. At s = 0 it is x itself, bit for bit."""
    wave = jnp.fft.fft2(x, axes=(1, 2)) * kept[..., None]
    return jnp.where(s > 0, jnp.fft.ifft2(wave, axes=(1, 2)).real.astype(x.dtype), x)
