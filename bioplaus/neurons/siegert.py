"""Siegert's formula: the rate of a leaky integrate-and-fire neuron with white noise.

    1 / r = tau_ref + tau sqrt(pi) int_low^high e^(u^2) (1 + erf u) du
    low = (v_r - mu) / sigma,    high = (theta - mu) / sigma
r: spikes per ms, in the stationary state of
    tau dv = (mu - v) dt + sigma sqrt(tau) dW,    v <- v_r at v = theta, held there for tau_ref
mu: the potential that the mean input holds without a threshold;  sigma: noise, at which v without a
threshold has the variance sigma^2 / 2;  W: Wiener process;  theta: threshold.

Siegert, "On the first passage time probability problem", 1951, doi:10.1103/PhysRev.81.617.
"""

import math

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfcx
from jax.typing import ArrayLike

from bioplaus.hyper import NonNegative, Positive, Real, declared
from bioplaus.neurons.rate import rate
from bioplaus.types import Array, Neuron

NODES, WEIGHTS = np.polynomial.legendre.leggauss(60)
FARTHEST = 8.0
"""Upper limit of the integral, where the rate is below 1e-27: beyond, e^(u^2) would overflow."""


@declared
def siegert(
    mu: ArrayLike,
    sigma: Positive,
    *,
    tau: Positive = 20.0,
    refractory: NonNegative = 0.0,
    threshold: Real = 1.0,
    reset: Real = 0.0,
) -> Array:
    """Spikes per ms of a LIF neuron with white noise, of the shape of mu and sigma together.

    1 / r = refractory + tau sqrt(pi) int_low^high e^(u^2) (1 + erf u) du,
    low = (reset - mu) / sigma,  high = (threshold - mu) / sigma. mu: the potential that the mean
    input holds without a threshold. sigma: noise, at which that potential has the variance
    sigma^2 / 2. tau, refractory: ms. The integral is taken by Gauss-Legendre quadrature at 60
    nodes. Siegert, "On the first passage time probability problem", 1951,
    doi:10.1103/PhysRev.81.617.

        rate = siegert(0.8, 0.5, tau=20.0)
    """
    mu = jnp.asarray(mu)
    mu = mu.astype(jnp.result_type(mu, float))  # of integers the nodes would be 0
    nodes, weights = (jnp.asarray(a, mu.dtype) for a in (NODES, WEIGHTS))
    low = jnp.minimum((reset - mu) / sigma, FARTHEST - 1)
    high = jnp.minimum((threshold - mu) / sigma, FARTHEST)
    middle, half = (low + high) / 2, (high - low) / 2
    integral = half * (erfcx(-(middle[..., None] + half[..., None] * nodes)) @ weights)
    return jnp.asarray(1 / (refractory + tau * math.sqrt(math.pi) * integral))


@declared
def siegert_rate(
    sigma: Positive = 0.5,
    *,
    window: Positive = 50.0,
    tau: Positive = 20.0,
    refractory: NonNegative = 2.0,
    threshold: Real = 1.0,
) -> Neuron:
    """A rate neuron with the mean answer of a noisy LIF neuron: f(a) = T siegert(a, sigma, ...).

    f(a): spikes that are expected in T ms at the mean potential a. It is smooth, above 0, and at
    most T / refractory; its derivative is exact, so that any rule trains such nets. window: T, ms.
    sigma: noise of the potential, whose variance is sigma^2 / 2. Others as of `siegert`.

        dense(100, siegert_rate(sigma=0.5))
    """

    def expected(a):
        found = siegert(a, sigma, tau=tau, refractory=refractory, threshold=threshold)
        return jnp.asarray(window * found, a.dtype)

    return rate(expected)
