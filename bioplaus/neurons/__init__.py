"""Neurons: rate functions, neurons that live in time, and noise around any of them. NEURONS, NOISES
and SYNAPTIC_NOISES hold them by their names in a study file.
"""

from bioplaus.neurons.adaptive_exponential import ADEX_PATTERNS, adex
from bioplaus.neurons.dendrites import two_compartment
from bioplaus.neurons.izhikevich import IZHIKEVICH_CLASSES, izhikevich
from bioplaus.neurons.noise import (
    bernoulli,
    correlated,
    gaussian,
    gaussian_current,
    multiplicative,
    poisson,
)
from bioplaus.neurons.noise_over_time import (
    diffusive_lif,
    escape,
    membrane_noise,
    ornstein_uhlenbeck,
)
from bioplaus.neurons.normalisation import divisive
from bioplaus.neurons.paced import paced
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
from bioplaus.neurons.resets import RESETS
from bioplaus.neurons.siegert import siegert, siegert_rate
from bioplaus.neurons.spiking import alif, in_ms, leaky, lif, synaptic
from bioplaus.neurons.surrogate import SURROGATES, atan, fast_sigmoid, spike, triangle
from bioplaus.neurons.synaptic_noise import device_noise, noisy_credit, quantal, synaptic_release

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
    "siegert": siegert_rate,
    "leaky": leaky,
    "lif": lif,
    "alif": alif,
    "izhikevich": izhikevich,
    "adex": adex,
    "diffusive_lif": diffusive_lif,
    "escape": escape,
}

NOISES = {
    "gaussian": gaussian,
    "gaussian_current": gaussian_current,
    "multiplicative": multiplicative,
    "poisson": poisson,
    "bernoulli": bernoulli,
    "correlated": correlated,
    "membrane_noise": membrane_noise,
    "ornstein_uhlenbeck": ornstein_uhlenbeck,
}

SYNAPTIC_NOISES = {
    "synaptic_release": synaptic_release,
    "quantal": quantal,
    "device_noise": device_noise,
    "noisy_credit": noisy_credit,
}

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
    "bernoulli",
    "correlated",
    "device_noise",
    "diffusive_lif",
    "divisive",
    "escape",
    "fast_sigmoid",
    "gaussian",
    "gaussian_current",
    "gelu",
    "hard_sigmoid",
    "identity",
    "in_ms",
    "izhikevich",
    "leaky",
    "leaky_relu",
    "lif",
    "membrane_noise",
    "multiplicative",
    "noisy_credit",
    "ornstein_uhlenbeck",
    "paced",
    "poisson",
    "quantal",
    "rate",
    "relu",
    "siegert",
    "siegert_rate",
    "sigmoid",
    "softmax",
    "softplus",
    "spike",
    "synaptic",
    "synaptic_release",
    "tanh",
    "triangle",
    "two_compartment",
]
