"""Noise of neurons: functions Neuron -> Neuron. That of synapses is in `synaptic_noise`.

The forward pass and the credit see the same noise sample, because both use the same key. With sigma
= 0 results are bit-identical to those without noise. xi is standard normal, independent for every
unit and example. Each noisy neuron has an `off` and a `mean` form.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.checks import of_neurons
from bioplaus.hyper import NonNegative, Positive, Probability, declared
from bioplaus.types import Array, Key, Neuron


@declared
def gaussian(neuron: Neuron, sigma: NonNegative) -> Neuron:
    """Additive noise after the nonlinearity: h = f(a) + sigma xi.

    The mean is f(a), the variance sigma^2.

        dense(100, gaussian(tanh(), 0.1))
    """

    of_neurons("gaussian", neuron)

    def perturb(output, key):
        return output + sigma * normal(key, output)

    return _noisy(neuron, perturb)


@declared
def multiplicative(neuron: Neuron, sigma: NonNegative) -> Neuron:
    """Multiplicative noise: h = f(a) (1 + sigma xi), with mean f(a) and variance sigma^2 f(a)^2.

    It is Gaussian dropout at sigma^2 = p_drop / (1 - p_drop). Srivastava et al., "Dropout: A Simple
    Way to Prevent Neural Networks from Overfitting", 2014, section 10.

        dense(100, multiplicative(tanh(), 0.1))
    """

    of_neurons("multiplicative", neuron)

    def perturb(output, key):
        return output * (1.0 + sigma * normal(key, output))

    return _noisy(neuron, perturb)


@declared
def poisson(neuron: Neuron, window: Positive) -> Neuron:
    """Spike counts in a time window: h = sign(f) n / T, n ~ Poisson(|f| T).

    f = f(a). The mean is f(a), the variance |f(a)| / T, the Fano factor of n is 1.

    T: window, in units of 1 / rate; as T grows the noise vanishes. A negative rate stands for that
    of an opposed (OFF) partner neuron. The sample has no derivative by its rate: credit uses that
    of the mean, dh/df = 1.

        dense(100, poisson(relu(), 10.0))
    """

    of_neurons("poisson", neuron)

    def perturb(output, key):
        rate = jax.lax.stop_gradient(output)
        count = jax.random.poisson(key, jnp.abs(rate) * window).astype(output.dtype)
        return output + (jnp.sign(rate) * count / window - rate)

    return _noisy(neuron, perturb)


@declared
def bernoulli(neuron: Neuron, window: Positive) -> Neuron:
    """One spike or none in a time window: h = sign(f) z / T, P(z = 1) = min(|f| T, 1).

    f = f(a). As long as |f| T <= 1 the mean is f(a), the variance |f| (1 - |f| T) / T, and the Fano
    factor of z is 1 - |f| T: spikes are more regular than those of `poisson`. Beyond, neurons fire
    in every window, and the output is sign(f) / T.

    T: window, in units of 1 / rate, short enough for the rates that occur: `tanh` needs T <= 1. A
    negative rate stands for that of an opposed (OFF) partner neuron. The sample has no derivative
    by its rate: credit uses that of the mean, dh/df = 1, and 0 beyond |f| T = 1. Dayan, Abbott,
    "Theoretical Neuroscience", 2001, section 1.4, where each short window has one spike at most.

        dense(100, bernoulli(tanh(), 0.5))
    """
    of_neurons("bernoulli", neuron)

    def expected(output):
        return jnp.clip(output, -1 / window, 1 / window).astype(output.dtype)

    def perturb(output, key):
        mean = expected(output)
        rate = jax.lax.stop_gradient(mean)
        # in bfloat16 uniform numbers have steps of 1 / 128, and small rates would be too high
        p = jnp.abs(rate).astype(jnp.promote_types(rate.dtype, jnp.float32)) * window
        fires = jax.random.bernoulli(key, p).astype(output.dtype)
        return mean + (jnp.sign(rate) * fires / window - rate)

    return _noisy(neuron, perturb, expected)


@declared
def correlated(neuron: Neuron, sigma: NonNegative, correlation: Probability = 0.1) -> Neuron:
    """Additive noise that the units of a layer share in part.

        h_i = f(a_i) + sigma (sqrt(1 - c) xi_i + sqrt(c) xi)
    xi is drawn once for each example (and moment), xi_i for each unit too. The mean is f(a_i), the
    variance sigma^2, the correlation of two units c. The mean of n units has the variance
    sigma^2 (c + (1 - c) / n), which more units do not bring below c sigma^2. correlation: c.
    Zohary, Shadlen, Newsome, "Correlated neuronal discharge rate and its implications for
    psychophysical performance", 1994, doi:10.1038/370140a0.

        dense(100, correlated(tanh(), 0.5, 0.2))
    """
    of_neurons("correlated", neuron)

    def perturb(output, key):
        own, shared = (jax.random.fold_in(key, i) for i in range(2))
        one = output[(slice(None), *(slice(1),) * (output.ndim - 1))]  # of each example
        noise = jnp.sqrt(1.0 - correlation) * normal(own, output) + (
            jnp.sqrt(correlation) * normal(shared, one)
        )
        return output + (sigma * noise).astype(output.dtype)

    return _noisy(neuron, perturb)


@declared
def gaussian_current(neuron: Neuron, sigma: NonNegative) -> Neuron:
    """Additive noise before the nonlinearity: h = f(a + sigma xi).

    The mean, E f(a + sigma xi), is computed by Gauss-Hermite quadrature at 21 nodes. It is exact
    within 2e-5 for tanh at sigma <= 0.7, and within 0.016 sigma for ReLU, whose kink falls between
    nodes (the exact mean is a Phi(a/sigma) + sigma phi(a/sigma), with the standard normal
    distribution function Phi and density phi). Of neurons with a state the same average is taken of
    the state after each moment (a mean field), which ignores how noise spreads over moments.

        dense(100, gaussian_current(tanh(), 0.1))
    """
    of_neurons("gaussian_current", neuron)
    nodes, weights = np.polynomial.hermite_e.hermegauss(21)
    # Python floats do not change the dtype of the current
    nodes, weights = nodes.tolist(), (weights / weights.sum()).tolist()

    def step(state, current, key):
        noise_key, inner = jax.random.split(key)
        return neuron.step(state, current + sigma * normal(noise_key, current), inner)

    def mean_step(state, current, key):
        inner = neuron.mean or neuron
        answers = [inner.step(state, current + sigma * x, key) for x in nodes]
        return jax.tree.map(
            lambda *each: sum(
                (w * h for w, h in zip(weights, each, strict=True)), jnp.zeros_like(each[0])
            ),
            *answers,
        )

    at, mean = neuron.at, Neuron(neuron.init, mean_step)
    placed = at and (lambda dt: gaussian_current(at(dt), sigma))
    return Neuron(neuron.init, step, neuron.off or neuron, mean, placed, neuron.spikes)


def _noisy(
    neuron: Neuron,
    perturb: Callable[[Array, Key], Array],
    expected: Callable[[Array], Array] | None = None,
) -> Neuron:
    """The neuron whose output is perturbed. expected: output -> its mean, where that differs."""

    def step(state, current, key):
        noise_key, inner = jax.random.split(key)
        state, output = neuron.step(state, current, inner)
        return state, perturb(output, noise_key)

    at, mean = neuron.at, neuron.mean or neuron
    if expected is not None:
        mean = _mapped(mean, expected)
    placed = at and (lambda dt: _noisy(at(dt), perturb, expected))
    return Neuron(neuron.init, step, neuron.off or neuron, mean, placed, neuron.spikes)


def _mapped(neuron: Neuron, function: Callable[[Array], Array]) -> Neuron:
    """The neuron, without noise, whose output is a function of what it was."""

    def step(state, current, key):
        state, output = neuron.step(state, current, key)
        return state, function(output)

    return Neuron(neuron.init, step, spikes=neuron.spikes)


def normal(key: Key, like: Array) -> Array:
    """Standard normal numbers, real where the states are complex. They are drawn in float32 or
    more: of bfloat16 the mean would be off, and the tails cut."""
    dtype = like.real.dtype
    return jax.random.normal(key, like.shape, jnp.promote_types(dtype, jnp.float32)).astype(dtype)
