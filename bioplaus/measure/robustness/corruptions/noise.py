"""Noise on images x [H, W, C] in [0, 1], independent for every value. Results are clipped to [0,
1].

    gaussian   x + sigma xi
    shot       n / c,    n ~ Poisson(c x),    c: photons at full brightness; mean x, variance x / c
    impulse    0 or 1 with probability p / 2 each, else x
    speckle    x + sigma x xi
sigma, c, p: the severity. u: [H W C] uniform in [0, 1), the only randomness. xi = Phi^-1(u) is
standard normal, and n is the smallest count whose cumulative probability is above u.

Hendrycks, Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", 2019, arXiv:1903.12261. Departures: none in distribution, except that shot rounds
brightness to one of 256 levels, which 8-bit images have.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln, ndtri
from jax.typing import ArrayLike

from bioplaus.types import Array

DEPTH = 10  # counts below 2^10 are possible: enough for 800 photons


def gaussian(x: Array, sigma: ArrayLike, u: Array) -> Array:
    """Additive Gaussian noise of standard deviation sigma."""
    return jnp.clip(x + sigma * _normal(u, x), 0, 1)


def shot(x: Array, photons: ArrayLike, u: Array) -> Array:
    """Photon counting noise, with `photons` at full brightness, 800 at most."""
    n = jnp.arange(2**DEPTH, dtype=x.dtype)
    mean = jnp.maximum(
        photons * jnp.arange(256, dtype=x.dtype)[:, None] / 255, jnp.finfo(x.dtype).tiny
    )
    # [256, 2^DEPTH]
    cumulative = jnp.cumsum(jnp.exp(n * jnp.log(mean) - mean - gammaln(n + 1)), -1)
    level, u = jnp.round(255 * x).astype(jnp.int32), u.reshape(x.shape)

    def search(i, count):  # the highest bit first
        step = 2 ** (DEPTH - 1 - i)
        return jnp.where(cumulative[level, count + step - 1] <= u, count + step, count)

    return jnp.clip(
        jax.lax.fori_loop(0, DEPTH, search, jnp.zeros(x.shape, jnp.int32)) / photons, 0, 1
    ).astype(x.dtype)


def impulse(x: Array, fraction: ArrayLike, u: Array) -> Array:
    """Salt and pepper: this fraction of the values becomes 0 or 1, with equal probability."""
    u = u.reshape(x.shape)
    return jnp.where(u < fraction / 2, 0, jnp.where(u < fraction, 1, x))


def speckle(x: Array, sigma: ArrayLike, u: Array) -> Array:
    """Gaussian noise in proportion to brightness."""
    return jnp.clip(x + sigma * x * _normal(u, x), 0, 1)


def _normal(u: Array, like: Array) -> Array:
    return ndtri(jnp.clip(u, 2.0**-25, 1 - 2.0**-24)).reshape(like.shape)
