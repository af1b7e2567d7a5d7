"""Lesions, faults, noise and quantisation of synapses. Each function is (net, params, x, key) ->
(severity -> (net, params, x)).

    lesion                 w <- 0            for a random fraction f; also called stuck-at-0 fault
    pruning                w <- 0            for the fraction f of each matrix with the smallest |w|
    stuck_at_most          w <- max |w|      for a random fraction f; maximum over the matrix
    sign_flip              w <- -w           for a random fraction f
    weight_noise           w <- w + sigma rms(w) xi                rms: root mean square, by matrix
    multiplicative_noise   w <- w (1 + sigma xi)
    log_normal_noise       w <- w exp(sigma xi - sigma^2 / 2)      mean w, variance
                                                                   (exp(sigma^2) - 1) w^2
    dynamic_noise          w <- w (1 + sigma xi)                   drawn anew at each use
    quantisation           w <- Q(w), see `units.levels`; the range is the largest |w| of the
                           matrix, or of an output channel
f, sigma: the severity. xi: standard normal, independent; drawn once ("static") except for
dynamic_noise. w: leaves of two axes or more; biases are not disturbed.

Fresh noise at every use and in every example adds to the current of a unit a normal variable of
variance sigma^2 sum_i (w_i x_i)^2, which is drawn directly ("local reparameterisation": Kingma,
Salimans, Welling, 2015, arXiv:1506.02557). This is exact for dense and convolutional synapses and
an upper bound for pooled ones; for normalised synapses it must not be used. Signals that a settling
rule sends back do not have this noise. Over time each moment is a use.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.measure.robustness.units import levels, order, sample
from bioplaus.salts import DISTURBANCE
from bioplaus.types import Array, Key, Layer, Net, PyTree


def lesion(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Lesion a random fraction of the synapses."""
    return _faults(net, params, x, key, jnp.zeros_like)


def stuck_at_most(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Set a random fraction of the synapses to the largest |w| of their matrix."""
    return _faults(net, params, x, key, lambda w: jnp.full_like(w, jnp.abs(w).max()))


def sign_flip(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Flip the sign of a random fraction of the synapses."""
    return _faults(net, params, x, key, jnp.negative)


def pruning(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Remove the smallest synapses of each matrix."""
    del key
    rank = _on_weights(lambda w: order(jnp.abs(w)), params)
    return lambda f: (net, _on_weights(lambda w, r: jnp.where(r < f, 0, w), params, rank), x)


def weight_noise(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Additive noise in units of the root mean square of each matrix."""
    noise = weight_sample(params, key)
    return lambda sigma: (net, jax.tree.map(lambda w, n: w + sigma * n, params, noise), x)


def multiplicative_noise(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Noise in proportion to each weight."""
    xi = _sampled(jax.random.normal, params, key)
    return lambda sigma: (net, _on_weights(lambda w, n: w * (1 + sigma * n), params, xi), x)


def log_normal_noise(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Noise in proportion to each weight, which keeps its sign and its mean."""
    xi = _sampled(jax.random.normal, params, key)
    return lambda sigma: (
        net,
        _on_weights(lambda w, n: w * jnp.exp(sigma * n - sigma**2 / 2), params, xi),
        x,
    )


def dynamic_noise(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Noise in proportion to each weight, fresh at each use. It is drawn from the key of the
    answer.
    """
    del key

    def noisy(layer: Layer, sigma: Array) -> Layer:
        if layer.time is not None:
            return layer.time.lift(lambda one: _counting(one, lambda l: noisy(l, sigma)))

        def synapse(params, state, x, key):
            after, current = layer.synapse(params, state, x, key)
            squares = jax.tree.map(lambda w: w**2 if w.ndim >= 2 else jnp.zeros_like(w), params)
            variance = layer.synapse(squares, state, x**2, key)[1]
            xi = jax.random.normal(
                jax.random.fold_in(key, DISTURBANCE), current.shape, current.dtype
            )
            return after, current + jax.lax.stop_gradient(
                sigma * jnp.sqrt(jnp.maximum(variance, 0)) * xi
            )

        return layer._replace(synapse=synapse)

    return lambda sigma: (tuple(noisy(layer, sigma) for layer in net), params, x)


def _counting(layer: Layer, change: Callable[[Layer], Layer]) -> Layer:
    """A layer of one moment whose synapses count the moments, so that `change`, which draws from
    the key, draws anew at each: a layer over time has one key for all of them.
    """
    changed, rest = change(layer), layer.rest

    def at_rest(params, x):
        return (jnp.zeros((), jnp.float32), () if rest is None else rest(params, x))

    def synapse(params, state, x, key):
        t, inner = state
        after, current = changed.synapse(
            params, inner, x, jax.random.fold_in(key, t.astype(jnp.int32))
        )
        return (t + 1, after), current

    return layer._replace(synapse=synapse, rest=at_rest)


def quantisation(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Weights on a small number of levels, with one range per matrix."""
    del key
    return lambda step: (
        net,
        _on_weights(lambda w: levels(w, jnp.abs(w).max(), jnp.abs(w).mean(), step), params),
        x,
    )


def channel_quantisation(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Weights on a small number of levels, with one range per output channel (the last axis)."""
    del key

    def rounded(w, step):
        size = jnp.abs(w).reshape(-1, w.shape[-1])
        return levels(w, size.max(0), size.mean(0), step)

    return lambda step: (net, _on_weights(lambda w: rounded(w, step), params), x)


def weight_sample(params: PyTree, key: Key) -> PyTree:
    """rms(w) xi for each weight matrix, zero for the other leaves: weight noise at sigma = 1."""
    xi = _sampled(jax.random.normal, params, key)
    return jax.tree.map(
        lambda w, n: jnp.sqrt(jnp.mean(w**2)) * n if w.ndim >= 2 else jnp.zeros_like(w), params, xi
    )


def _faults(
    net: Net, params: PyTree, x: Array, key: Key, fault: Callable[[Array], Array]
) -> Callable:
    rank = _sampled(jax.random.uniform, params, key)
    return lambda f: (net, _on_weights(lambda w, r: jnp.where(r < f, fault(w), w), params, rank), x)


def _sampled(sampler: Callable[..., Array], params: PyTree, key: Key) -> PyTree:
    """A random number for each weight. Other leaves (biases) are returned unchanged."""
    leaves, tree = jax.tree.flatten(params)
    drawn = iter(sample(sampler, [w for w in leaves if w.ndim >= 2], key))
    return tree.unflatten([next(drawn) if w.ndim >= 2 else w for w in leaves])


def _on_weights(function: Callable[..., Array], params: PyTree, *others: PyTree) -> PyTree:
    return jax.tree.map(lambda w, *rest: function(w, *rest) if w.ndim >= 2 else w, params, *others)
