"""Noise of synapses: functions Layer -> Layer.

    synaptic_release    w b / p,                               b ~ Bernoulli(p)
    quantal             w (k + cv sqrt(k) xi) / (n p),         k ~ Binomial(n, p)
    device_noise        w (1 + sigma xi)
    noisy_credit        s + sigma |s| / sqrt(m) xi             of the teaching signal alone
w: a weight;  b: whether the synapse releases;  k: number of n vesicles that it releases;  s: [B, m]
teaching signal at the layer's current;  xi: standard normal.

The first three draw one factor of mean 1 for each weight, once for each batch, so that the layer
without noise is their mean. Forward weights, feedback weights and gradients have the same factors:
d(w f) / dw = f. Weights are the leaves with two axes or more; biases have no noise. At p = 1, cv =
0 or sigma = 0 results are bit-identical to those without noise.

Over time a draw is one for the whole sequence. each_moment: draw anew at each moment. The synapses
then run in the scan, with the number of moments so far as their state, and a layer of one moment is
refused where it runs.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.checks import of_one_moment
from bioplaus.hyper import Count, NonNegative, PositiveProbability, declared
from bioplaus.neurons.noise import normal
from bioplaus.types import Array, Key, Layer, PyTree


@declared
def synaptic_release(layer: Layer, p: PositiveProbability, *, each_moment: bool = False) -> Layer:
    """Every synapse releases with probability p.

    The weight is w_ij b_ij / p, with b_ij ~ Bernoulli(p) drawn once per synapse and batch.
    each_moment: as at the head of this file.

    The mean weight is w. The current has the variance (1 - p) / p sum_i (w_ij x_i)^2, independent
    across the units of the layer (dropout of a unit would be shared by all of its targets).
    Feedback weights release with the same sample, and a synapse that did not release does not
    learn. Raises ValueError for a layer over time: wrap the layer of one moment in it. Schug,
    Benzing, Steger, "Presynaptic stochasticity improves energy efficiency and helps alleviate the
    stability-plasticity dilemma", 2021, eLife 10:e69884. Departure: p is the same for all synapses
    and does not learn.

        synaptic_release(dense(100, tanh()), 0.5)
    """

    def noisy(key, w):
        return w * jax.random.bernoulli(key, p, w.shape).astype(w.dtype) / p

    return _noisy_weights("synaptic_release", layer, noisy, each_moment)


@declared
def quantal(
    layer: Layer,
    p: PositiveProbability,
    *,
    sites: Count = 5,
    cv: NonNegative = 0.3,
    each_moment: bool = False,
) -> Layer:
    """Every synapse releases k ~ Binomial(n, p) vesicles, whose sizes vary.

    The weight is w_ij (k_ij + cv sqrt(k_ij) xi_ij) / (n p), drawn once per synapse and batch: the
    sum of k quanta w_ij / (n p) (1 + cv xi). sites: n, of release. cv: coefficient of variation of
    one quantum. each_moment: as at the head of this file.

    The mean weight is w, its variance w^2 (1 - p + cv^2) / (n p). `sites=1, cv=0` is
    `synaptic_release`, from other draws. Raises ValueError for a layer over time. del Castillo,
    Katz, "Quantal components of the end-plate potential", 1954, doi:10.1113/jphysiol.1954.sp005129.
    Departure: sizes are normal, so that few of them (at cv = 0.3, 4 in 10,000) are below 0.

        quantal(dense(100, tanh()), 0.5, sites=3)
    """

    def noisy(key, w):
        sizes, sites_key = (jax.random.fold_in(key, i) for i in range(2))
        released = jax.random.bernoulli(sites_key, p, (sites, *w.shape)).sum(0).astype(w.dtype)
        spread = cv * jnp.sqrt(released) * normal(sizes, w)
        return w * ((released + spread) / (sites * p)).astype(w.dtype)

    return _noisy_weights("quantal", layer, noisy, each_moment)


@declared
def device_noise(layer: Layer, sigma: NonNegative, *, each_moment: bool = False) -> Layer:
    """Every weight is read with an error: w_ij (1 + sigma xi_ij), drawn once per synapse and batch.

    The mean weight is w, its variance sigma^2 w^2. It is the noise of `multiplicative_noise` among
    the robustness curves, in training. each_moment: as at the head of this file. Raises ValueError
    for a layer over time. Joshi et al., "Accurate deep neural network inference using computational
    phase-change memory", 2020, doi:10.1038/s41467-020-16108-9, who train nets with it for noisy
    hardware. Departures: the error is in proportion to each weight, not to the largest; gradients
    are of the noisy weight, not of the mean.

        device_noise(dense(100, tanh()), 0.2)
    """

    def noisy(key, w):
        return w * (1.0 + sigma * normal(key, w)).astype(w.dtype)

    return _noisy_weights("device_noise", layer, noisy, each_moment)


@declared
def noisy_credit(layer: Layer, sigma: NonNegative, *, each_moment: bool = False) -> Layer:
    """The teaching signal s at the layer's current arrives as s + sigma |s| / sqrt(m) xi.

    s: [B, m]; |s|: norm of an example's signal, over all axes but the first; xi: standard normal,
    drawn for each unit, example and moment. The mean is s, and the expected cosine with s is
    1 / sqrt(1 + sigma^2) for many units. Gradients of the layer, and what it sends further back,
    see the same sample; what the net answers has no noise.

    Rules that settle by the layer's `credit` (pc, ep and their kin) have the same sample at each
    step of a batch. each_moment is true of this noise in any case. Give it the layer of one moment,
    outermost: synapses with a state carry signals back by themselves, and are refused. Raises
    ValueError for them, and for a layer over time. Compare Lansdell, Prakash, Kording, "Learning to
    solve the credit assignment problem", 2020, arXiv:1906.00889, on what noisy feedback costs.

        noisy_credit(dense(100, tanh()), 1.0)
    """
    of_one_moment("noisy_credit", layer)
    del each_moment
    if layer.rest is not None:
        raise ValueError(
            "noisy_credit: the layer's synapses have a state and carry signals back by themselves;"
            " give a layer whose synapses have none, as bp.dense(100), without each_moment"
        )

    def synapse(params, state, x, key):
        return layer.synapse(params, state, x, jax.random.split(key)[1])

    def credit(params, feedback, state, x, key, signal):
        noise_key, inner = jax.random.split(key)
        size = jnp.sqrt((signal**2).mean(tuple(range(1, signal.ndim)), keepdims=True))
        signal = signal + (sigma * size * normal(noise_key, signal)).astype(signal.dtype)
        return layer.credit(params, feedback, state, x, inner, signal)

    noisy = layer._replace(synapse=synapse, credit=credit, affine=False)
    return _carried(noisy, layer, lambda other: noisy_credit(other, sigma))


class Counted(NamedTuple):
    """The state of synapses that draw at each moment. t: moments so far []; synapses: their own."""

    t: Array
    synapses: PyTree


NoisyWeightsFn = Callable[[Key, Array], Array]
"""(key, w) -> w times factors of mean 1, which depend on the key and the shape of w alone."""


def _carried(noisy: Layer, layer: Layer, again: Callable[[Layer], Layer]) -> Layer:
    """`noisy` with the forms of the layer that it came from: without noise, in steps of dt, and in
    a context. again: layer -> the same with noise."""
    at, given = layer.at, layer.given
    return noisy._replace(
        off=layer.off or layer,
        at=at and (lambda dt: again(at(dt))),
        given=given and (lambda context: again(given(context))),
    )


def _noisy_weights(where: str, layer: Layer, noisy: NoisyWeightsFn, each_moment: bool) -> Layer:
    of_one_moment(where, layer)
    once = _carried(
        _drawn_once(layer, noisy), layer, lambda l: _noisy_weights(where, l, noisy, each_moment)
    )
    return _at_each_moment(once, layer) if each_moment else once


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


def _drawn_once(layer: Layer, noisy: NoisyWeightsFn) -> Layer:
    def drawn(weights, key):
        leaves, tree = jax.tree.flatten(weights)
        keys = [jax.random.fold_in(key, i) for i in range(len(leaves))]
        return tree.unflatten(
            [noisy(k, w) if w.ndim >= 2 else w for k, w in zip(keys, leaves, strict=True)]
        )

    def synapse(params, state, x, key):
        noise_key, inner = jax.random.split(key)
        return layer.synapse(drawn(params, noise_key), state, x, inner)

    def credit(params, feedback, state, x, key, signal):
        noise_key, inner = jax.random.split(key)
        grads, below = layer.credit(
            drawn(params, noise_key), drawn(feedback, noise_key), state, x, inner, signal
        )
        # d(w f) / dw = f: the gradients of the noisy weights, times the same factors
        return drawn(grads, noise_key), below

    return layer._replace(synapse=synapse, credit=credit, affine=False)
