"""Neurons: rate functions, neurons that live in time, and noise around any of them. NEURONS, NOISES
and SYNAPTIC_NOISES hold them by their names in a study file.
"""

from bioplaus.neurons.adaptive_exponential import ADEX_PATTERNS, adex
from bioplaus.neurons.dendrites import two_compartment
from bioplaus.neurons.izhikevich import IZHIKEVICH_CLASSES, izhikevich
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
from bioplaus.neurons.spiking import RESETS, alif, leaky, lif, synaptic
from bioplaus.neurons.surrogate import SURROGATES, atan, fast_sigmoid, triangle

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
    "leaky": leaky,
    "lif": lif,
    "alif": alif,
    "izhikevich": izhikevich,
    "adex": adex,
}

NOISES = {
    "gaussian": gaussian,
    "gaussian_current": gaussian_current,
    "multiplicative": multiplicative,
    "poisson": poisson,
}

SYNAPTIC_NOISES = {"synaptic_release": synaptic_release}

__all__ = [
    "ADEX_PATTERNS",
    "IZHIKEVICH_CLASSES",
    "NEURONS",
    "NOISES",
    "RESETS",
    "SURROGATES",
    "SYNAPTIC_NOISES",
    "adex",
    "alif",
    "atan",
    "fast_sigmoid",
    "gaussian",
    "gaussian_current",
    "gelu",
    "hard_sigmoid",
    "identity",
    "izhikevich",
    "leaky",
    "leaky_relu",
    "lif",
    "multiplicative",
    "poisson",
    "rate",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "synaptic",
    "synaptic_release",
    "tanh",
    "triangle",
    "two_compartment",
]
