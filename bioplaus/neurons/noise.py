"""Noise: functions Neuron -> Neuron, or Layer -> Layer for noise of synapses.

The forward pass and the credit see the same noise sample, because both use the same key. With sigma
= 0 (or p = 1) results are bit-identical to those without noise. xi is standard normal, independent
for every unit and example. Each noisy neuron has an `off` and a `mean` form.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from bioplaus.checks import of_neurons, of_one_moment
from bioplaus.hyper import NonNegative, Positive, PositiveProbability, declared
from bioplaus.types import Array, Key, Layer, Neuron, PyTree


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


@declared
def synaptic_release(layer: Layer, p: PositiveProbability, *, each_moment: bool = False) -> Layer:
    """Every synapse releases with probability p.

    The weight is w_ij b_ij / p, with b_ij ~ Bernoulli(p) drawn once per synapse and batch.

    Over time the draw is one for the whole sequence: inside of `over_time` and `recurrent` a
    synapse that fails does so at all moments. each_moment: draw anew at each moment. The synapses
    then run in the scan, with the number of moments so far as their state, and a layer of one
    moment is refused.

    The mean weight is w. The current has the variance (1 - p) / p sum_i (w_ij x_i)^2, independent
    across the units of the layer (dropout of a unit would be shared by all of its targets). Weights
    are the leaves with two axes or more; biases do not fail. Feedback weights release with the same
    sample. Raises ValueError for a layer over time: wrap the layer of one moment in it. Schug,
    Benzing, Steger, "Presynaptic stochasticity improves energy efficiency and helps alleviate the
    stability-plasticity dilemma", 2021, eLife 10:e69884. Departure: p is the same for all synapses
    and does not learn.

        synaptic_release(dense(100, tanh()), 0.5)
    """
    of_one_moment("synaptic_release", layer)
    once = _released_once(layer, p)
    at, given = layer.at, layer.given
    once = once._replace(
        off=layer.off or layer,
        at=at and (lambda dt: synaptic_release(at(dt), p, each_moment=each_moment)),
        given=given and (lambda c: synaptic_release(given(c), p, each_moment=each_moment)),
    )
    return _at_each_moment(once, layer) if each_moment else once


class Counted(NamedTuple):
    """The state of synapses that draw at each moment. t: moments so far []; synapses: their own."""

    t: Array
    synapses: PyTree


def _at_each_moment(noisy: Layer, layer: Layer) -> Layer:
    """Noisy synapses whose key is another at each moment."""

    def rest(params, x):
        # a float, as every state is: counts are exact in float32 up to 2^24 moments
        return Counted(jnp.zeros(()), () if layer.rest is None else layer.rest(params, x))

    def synapse(params, state, x, key):
        at = jax.random.fold_in(key, state.t.astype(jnp.int32))
        synapses, current = noisy.synapse(params, state.synapses, x, at)
        return Counted(state.t + 1, synapses), current

    return noisy._replace(synapse=synapse, rest=rest)


def _released_once(layer: Layer, p: ArrayLike) -> Layer:
    def released(weights, key):
        leaves, tree = jax.tree.flatten(weights)
        keys = [jax.random.fold_in(key, i) for i in range(len(leaves))]
        return tree.unflatten(
            [
                w * _bernoulli(k, p, w) / p if w.ndim >= 2 else w
                for k, w in zip(keys, leaves, strict=True)
            ]
        )

    def synapse(params, state, x, key):
        noise_key, inner = jax.random.split(key)
        return layer.synapse(released(params, noise_key), state, x, inner)

    def credit(params, feedback, state, x, key, signal):
        noise_key, inner = jax.random.split(key)
        grads, below = layer.credit(
            released(params, noise_key), released(feedback, noise_key), state, x, inner, signal
        )
        # d(w b / p) / dw = b / p: a synapse that did not release does not learn
        return released(grads, noise_key), below

    return layer._replace(synapse=synapse, credit=credit, affine=False)


def _noisy(neuron: Neuron, perturb) -> Neuron:
    def step(state, current, key):
        noise_key, inner = jax.random.split(key)
        state, output = neuron.step(state, current, inner)
        return state, perturb(output, noise_key)

    at = neuron.at
    placed = at and (lambda dt: _noisy(at(dt), perturb))
    return Neuron(
        neuron.init, step, neuron.off or neuron, neuron.mean or neuron, placed, neuron.spikes
    )


def normal(key: Key, like: Array) -> Array:
    return jax.random.normal(key, like.shape, like.real.dtype)  # real where the states are complex


def _bernoulli(key: Key, p: ArrayLike, like: Array) -> Array:
    return jax.random.bernoulli(key, p, like.shape).astype(like.dtype)
