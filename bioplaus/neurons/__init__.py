"""Neurons: rate functions, and noise around any of them. NEURONS, NOISES and SYNAPTIC_NOISES hold
them by their names in a study file.
"""

from bioplaus.neurons.noise import (
    gaussian,
    gaussian_current,
    multiplicative,
    poisson,
    synaptic_release,
)
from bioplaus.neurons.rate import (
    gelu,
    hard_sigmoid,
    identity,
    leaky_relu,
    rate,
    relu,
    sigmoid,
    softmax,
    softplus,
    tanh,
)

NEURONS = {
    "tanh": tanh,
    "sigmoid": sigmoid,
    "hard_sigmoid": hard_sigmoid,
    "relu": relu,
    "leaky_relu": leaky_relu,
    "gelu": gelu,
    "softplus": softplus,
    "softmax": softmax,
    "identity": identity,
}

NOISES = {
    "gaussian": gaussian,
    "gaussian_current": gaussian_current,
    "multiplicative": multiplicative,
    "poisson": poisson,
}

SYNAPTIC_NOISES = {"synaptic_release": synaptic_release}

__all__ = [
    "NEURONS",
    "NOISES",
    "SYNAPTIC_NOISES",
    "gaussian",
    "gaussian_current",
    "gelu",
    "hard_sigmoid",
    "identity",
    "leaky_relu",
    "multiplicative",
    "poisson",
    "rate",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "synaptic_release",
    "tanh",
]
