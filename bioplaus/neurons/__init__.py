"""Neurons: rate functions, and noise around any of them. NEURONS and NOISES are the names that a study file uses."""

from bioplaus.neurons.noise import gaussian, gaussian_current, multiplicative, poisson, synaptic_release
from bioplaus.neurons.rate import hard_sigmoid, identity, rate, relu, sigmoid, softplus, tanh

NEURONS = {
    "tanh": tanh,
    "sigmoid": sigmoid,
    "hard_sigmoid": hard_sigmoid,
    "relu": relu,
    "softplus": softplus,
    "identity": identity,
}

__all__ = [
    "NEURONS",
    "gaussian",
    "gaussian_current",
    "hard_sigmoid",
    "identity",
    "multiplicative",
    "poisson",
    "rate",
    "relu",
    "sigmoid",
    "softplus",
    "synaptic_release",
    "tanh",
]
