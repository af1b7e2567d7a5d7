"""Synapses: dense, convolution, and fixed maps before and after them.

The maps are pooling, flattening and normalisation.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.checks import of_neurons, of_one_moment
from bioplaus.layers.convolution import convolve
from bioplaus.local import by_vjp
from bioplaus.neurons import identity
from bioplaus.pools import is_pool
from bioplaus.types import Array, Layer, Neuron

Initializer = Callable[..., Array]  # (key, shape, dtype) -> array, as in jax.nn.initializers

settling: Initializer = jax.nn.initializers.variance_scaling(0.25, "fan_in", "normal")
"""W ~ N(0, 0.25 / fan_in): small enough for rules that settle. Equilibrium propagation diverges at
He's 2 / fan_in.
"""


def dense(
    n: int,
    neuron: Neuron | None = None,
    *,
    weights: Initializer = settling,
    bias: Initializer = jax.nn.initializers.zeros,
) -> Layer:
    """current = x w + b,  with x: [B, n_in], w: [n_in, n], b: [n].

    Inputs with more axes are refused: see `flattened`.
    """

    neuron = identity() if neuron is None else neuron
    of_neurons("dense", neuron)

    def init(key, x):
        if x.ndim != 2:
            raise ValueError(
                f"dense: the input is {x.shape}, expected [B, n_in]; flatten images first,"
                " flattened(dense(...)); of sequences [B, T, n_in] take over_time(dense(...)), or"
                " after(mean_over_time, dense(...)) for one answer"
            )
        k_w, k_b = jax.random.split(key)
        real("dense", x)
        return {"w": weights(k_w, (x.shape[-1], n), x.dtype), "b": bias(k_b, (n,), x.dtype)}

    def synapse(params, state, x, key):
        del key
        if x.shape[-1] != params["w"].shape[0]:
            raise ValueError(
                f"dense: the input {x.shape} has {x.shape[-1]} features, the weights expect"
                f" {params['w'].shape[0]}"
            )
        return state, x @ params["w"] + params["b"]

    local = by_vjp(synapse)

    def credit(params, feedback, state, x, key, signal):
        grads, below = local(params, feedback, state, x, key, signal)
        if len(x) >= MANY:
            with jax.named_scope("update"):
                grads["w"] = _outer(x, signal).astype(grads["w"].dtype)
        return grads, below

    return Layer(init, synapse, credit, neuron, affine=True)


MANY = 4096
"""Rows from which a CPU has x^T s sooner as (s^T x)^T."""


def _outer(x: Array, signal: Array) -> Array:
    """x^T s, the sum over examples: x [B, n_in], s [B, n] -> [n_in, n].

    With 12,800 rows, 700 inputs and 128 neurons (s^T x)^T takes 87 % of the time, with 128 inputs
    and 20 neurons a third of it. The barrier keeps XLA from turning the product back.
    """
    return jax.lax.optimization_barrier(signal.T @ x).T


def real(layer: str, x: Array) -> None:
    """Raise ValueError for inputs whose dtype weights cannot have.

    These are integers, and float16, in which gradients overflow.
    """
    if not jnp.issubdtype(x.dtype, jnp.inexact) or x.dtype == jnp.float16:
        remedy = "cast it, and scale images of 0..255 to 0..1: x.astype('float32') / 255"
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            remedy = f"cast spikes to float32, x.astype('float32'); of numbers of 0..255 {remedy}"
        raise ValueError(
            f"{layer}: the input is {x.dtype}, expected float32 (or bfloat16, float64); {remedy}"
        )


def conv(
    channels: int,
    size: int,
    neuron: Neuron | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    weights: Initializer = settling,
    bias: Initializer = jax.nn.initializers.zeros,
) -> Layer:
    """current = x * w + b, where * is the cross-correlation.

    x: [B, H, W, C_in], w: [size, size, C_in, channels], b: [channels].
    """

    neuron = identity() if neuron is None else neuron
    of_neurons("conv", neuron)

    def init(key, x):
        if x.ndim != 4:
            raise ValueError(f"conv: the input is {x.shape}, expected images [B, H, W, channels]")
        if min(x.shape[1:3]) + 2 * padding < size:
            raise ValueError(
                f"conv: a {size}x{size} kernel does not fit on an input of {x.shape[1:3]} with"
                f" padding {padding}"
            )
        k_w, k_b = jax.random.split(key)
        real("conv", x)
        return {
            "w": weights(k_w, (size, size, x.shape[-1], channels), x.dtype),
            "b": bias(k_b, (channels,), x.dtype),
        }

    def synapse(params, state, x, key):
        del key
        w = params["w"]
        if x.shape[-1] != w.shape[2]:
            raise ValueError(
                f"conv: the input {x.shape} has {x.shape[-1]} channels, the weights expect"
                f" {w.shape[2]}"
            )
        return (
            state,
            convolve(x, w, (stride, stride), ((padding, padding), (padding, padding)))
            + params["b"],
        )

    return Layer(init, synapse, by_vjp(synapse), neuron, affine=True)


def after(function: Callable[[Array], Array], layer: Layer) -> Layer:
    """The layer applied to function(input). A fixed map without parameters, such as pooling,
    belongs to the synapses that follow it.

    `after(mean_over_time, dense(10))` reads out a net that runs over time; a map of yours that
    pools moments is declared by `bioplaus.pools.pools_moments`. Raises ValueError for a
    layer over time: the map of each moment goes inside, `over_time(after(function, layer))`.
    """
    of_one_moment("after", layer)

    def synapse(params, state, x, key):
        return layer.synapse(params, state, function(x), key)

    def credit(params, feedback, state, x, key, signal):
        with jax.named_scope("credit"):
            mapped, back = jax.vjp(function, x)
        grads, below = layer.credit(params, feedback, state, mapped, key, signal)
        with jax.named_scope("credit"):
            return grads, back(below)[0]

    rest, at, given = layer.rest, layer.at, layer.given
    return layer._replace(
        init=lambda key, x: layer.init(key, function(x)),
        synapse=synapse,
        credit=credit,
        off=layer.off and after(function, layer.off),
        rest=rest and (lambda params, x: rest(params, function(x))),
        at=at and (lambda dt: after(function, at(dt))),
        pool=function if is_pool(function) else layer.pool,
        given=given and (lambda context: after(function, given(context))),
        affine=False,
    )


def flattened(layer: Layer) -> Layer:
    """The layer applied to its input flattened to [B, n]."""
    flat = after(lambda x: x.reshape(x.shape[0], -1), layer)
    return flat._replace(affine=layer.affine)


def pooled(size: int, layer: Layer, *, pool: Callable[..., Array] = jnp.max) -> Layer:
    """The layer applied to its input [B, H, W, C], pooled.

    The windows are size x size, and H and W must be multiples of size. pool: jnp.max or jnp.mean.
    """

    def function(x):
        if x.ndim != 4:
            raise ValueError(f"pooled: the input is {x.shape}, expected images [B, H, W, channels]")
        b, h, w, c = x.shape
        if h % size or w % size:
            raise ValueError(
                f"pooled: the input {x.shape} is not a multiple of the {size}x{size} window; pad or"
                " crop it"
            )
        return pool(x.reshape(b, h // size, size, w // size, size, c), axis=(2, 4))

    return after(function, layer)


def group_normed(groups: int, layer: Layer, *, epsilon: float = 1e-5) -> Layer:
    """GroupNorm of the layer's current, over its last axis and space.

    It has a learned scale and bias per channel.

    Errors pass through the true derivative of the norm, at the current of the forward pass; only
    the synapses inside use feedback weights. Wu and He, "Group Normalization", 2018,
    arXiv:1803.08494.
    """
    of_one_moment("group_normed", layer)

    def norm(p, a):
        if a.shape[-1] % groups:
            raise ValueError(
                f"group_normed: {a.shape[-1]} channels do not divide into {groups} groups"
            )
        split = a.reshape(a.shape[0], -1, groups, a.shape[-1] // groups)
        mean = split.mean((1, 3), keepdims=True)
        var = split.var((1, 3), keepdims=True)
        return ((split - mean) * jax.lax.rsqrt(var + epsilon)).reshape(a.shape) * p["scale"] + p[
            "bias"
        ]

    def init(key, x):
        inner = layer.init(key, x)
        state = () if layer.rest is None else layer.rest(inner, x)
        a = jax.eval_shape(lambda: layer.synapse(inner, state, x, key)[1])
        return {
            "inner": inner,
            "norm": {
                "scale": jnp.ones(a.shape[-1], a.dtype),
                "bias": jnp.zeros(a.shape[-1], a.dtype),
            },
        }

    def synapse(params, state, x, key):
        state, a = layer.synapse(params["inner"], state, x, key)
        return state, norm(params["norm"], a)

    def credit(params, feedback, state, x, key, signal):
        with jax.named_scope("credit"):
            a = layer.synapse(params["inner"], state, x, key)[1]
            g_norm, signal = jax.vjp(norm, params["norm"], a)[1](signal)
        grads, below = layer.credit(params["inner"], feedback["inner"], state, x, key, signal)
        return {"inner": grads, "norm": g_norm}, below

    rest, at, given = layer.rest, layer.at, layer.given
    return layer._replace(
        init=init,
        synapse=synapse,
        credit=credit,
        off=layer.off and group_normed(groups, layer.off, epsilon=epsilon),
        rest=rest and (lambda params, x: rest(params["inner"], x)),
        at=at and (lambda dt: group_normed(groups, at(dt), epsilon=epsilon)),
        affine=False,
        given=given and (lambda context: group_normed(groups, given(context), epsilon=epsilon)),
    )
