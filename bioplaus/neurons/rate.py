"""Memoryless rate neurons: output = f(current)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.types import Array, Neuron


def rate(function: Callable[[Array], Array]) -> Neuron:
    """A neuron with output function(current), element by element, and no state."""

    def init(current):
        del current
        return ()

    def step(state, current, key):
        del key
        return state, function(current)

    return Neuron(init, step)


def identity() -> Neuron:
    """f(a) = a."""
    return rate(lambda a: a)


def tanh() -> Neuron:
    """f(a) = tanh(a)."""
    return rate(jnp.tanh)


def sigmoid() -> Neuron:
    """f(a) = 1 / (1 + exp(-a))."""
    return rate(jax.nn.sigmoid)


def hard_sigmoid() -> Neuron:
    """f(a) = clip(a, 0, 1)."""
    return rate(lambda a: jnp.clip(a, 0.0, 1.0))


def relu() -> Neuron:
    """f(a) = max(a, 0), with f'(0) = 0."""
    return rate(jax.nn.relu)


def softplus() -> Neuron:
    """f(a) = log(1 + exp(a))."""
    return rate(jax.nn.softplus)
