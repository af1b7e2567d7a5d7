"""Memoryless rate neurons: output = f(current)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.hyper import Positive, Real, declared
from bioplaus.types import Array, Neuron


def rate(function: Callable[[Array], Array]) -> Neuron:
    """A neuron without state, with output function(current). The function acts on each element,
    unless the neurons of a layer compete.

        dense(100, rate(jax.numpy.sin))
    """

    def init(current):
        del current
        return ()

    def step(state, current, key):
        del key
        return state, function(current)

    return Neuron(init, step)


def identity() -> Neuron:
    """f(a) = a.

    dense(100, identity())
    """
    return rate(lambda a: a)


def tanh() -> Neuron:
    """f(a) = tanh(a).

    dense(100, tanh())
    """
    return rate(jnp.tanh)


@declared
def sigmoid(slope: Positive = 1.0, threshold: Real = 0.0) -> Neuron:
    """f(a) = 1 / (1 + exp(-slope (a - threshold))).

    dense(100, sigmoid(slope=4.0))
    """
    return rate(lambda a: jax.nn.sigmoid(slope * (a - threshold)))


def hard_sigmoid() -> Neuron:
    """f(a) = clip(a, 0, 1).

    dense(100, hard_sigmoid())
    """
    return rate(lambda a: jnp.clip(a, 0.0, 1.0))


def relu() -> Neuron:
    """f(a) = max(a, 0), with f'(0) = 0.

    dense(100, relu())
    """
    return rate(jax.nn.relu)


def leaky_relu() -> Neuron:
    """f(a) = a for a > 0, 0.01 a otherwise.

    dense(100, leaky_relu())
    """
    return rate(jax.nn.leaky_relu)


def gelu() -> Neuron:
    """f(a) = a Phi(a), where Phi is the standard normal distribution function.

    dense(100, gelu())
    """
    return rate(lambda a: jax.nn.gelu(a, approximate=False))


def softplus() -> Neuron:
    """f(a) = log(1 + exp(a)).

    dense(100, softplus())
    """
    return rate(jax.nn.softplus)


@declared
def softmax(slope: Positive = 1.0) -> Neuron:
    """f(a)_i = n exp(slope a_i) / sum_j exp(slope a_j).

    The n units of a layer, or of a position, compete; their mean is 1.

    These are the neurons of soft winner-take-all networks, Moraitis et al., 2022, arXiv:2107.05747,
    whose outputs sum to 1 instead.

        dense(100, softmax(slope=2.0))
    """
    return rate(lambda a: a.shape[-1] * jax.nn.softmax(slope * a))
