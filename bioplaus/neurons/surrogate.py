"""Spikes are exact, 0 or 1; only their derivative is a stand-in, a surrogate.

    z = H(x),    dz/dx = psi(x)
x: how far the potential is above the threshold, in units of the threshold;  H(x) = 1 for x > 0,
else 0;  psi: the surrogate.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.hyper import Positive, declared
from bioplaus.types import Array

Surrogate = Callable[[Array], ArrayLike]
"""psi: x -> the derivative that stands for Dirac's, of the same shape."""


@declared
def triangle(gamma: Positive = 0.3) -> Surrogate:
    """psi(x) = gamma max(0, 1 - |x|).

    Bellec et al., "A solution to the learning dilemma for recurrent networks of spiking neurons",
    2020, doi:10.1038/s41467-020-17236-y.

        lif(surrogate=triangle(gamma=0.3))
    """
    return lambda x: jnp.maximum(0.0, 1.0 - jnp.abs(x)) * gamma


@declared
def fast_sigmoid(slope: Positive = 25.0) -> Surrogate:
    """psi(x) = 1 / (1 + slope |x|)^2.

    Zenke, Ganguli, "SuperSpike: supervised learning in multilayer spiking neural networks", 2018,
    doi:10.1162/neco_a_01086.

        lif(surrogate=fast_sigmoid(slope=25.0))
    """
    return lambda x: 1.0 / (1.0 + slope * jnp.abs(x)) ** 2


@declared
def atan(alpha: Positive = 2.0) -> Surrogate:
    """psi(x) = (alpha / 2) / (1 + (pi alpha x / 2)^2).

    Fang et al., "Incorporating learnable membrane time constant to enhance learning of spiking
    neural networks", 2021, arXiv:2007.05785.

        lif(surrogate=atan(alpha=2.0))
    """
    return lambda x: (alpha / 2) / (1.0 + (jnp.pi * alpha * x / 2) ** 2)


SURROGATES = {"triangle": triangle, "fast_sigmoid": fast_sigmoid, "atan": atan}
"""By their names in a study file."""


def spike(x: Array, psi: Surrogate) -> Array:
    """H(x), with the derivative psi(x) in forward and in reverse mode. x, H(x): [B, n].

    z = spike((u - theta) / theta, atan())
    """

    @jax.custom_jvp
    def heaviside(x):
        return (x > 0).astype(x.dtype)

    heaviside.defjvp(lambda x, dx: (heaviside(*x), psi(x[0]) * dx[0]))
    return heaviside(x)
