"""Learned gains: a layer that hears a context and sets its own excitability by it.

    current = (1 + z W_s) * a + z W_b
a: [B, n] (or [B, H, W, n]), what the synapses of the inner layer give;  z: [B, k], the context;
W_s, W_b: [k, n], weights of scale and bias, 0 at first, which is the inner layer as it is. A
channel of a convolution is one unit. W_s and W_b are params like all others: the rule that trains
the layer trains them, by its signal s [B, n] at the current and by what their synapses know,
    dW_s = (1/B) z^T (s * a),    dW_b = (1/B) z^T s
Errors reach the inner synapses as s * (1 + z W_s), by the gain itself, as they pass phi' itself;
only the inner synapses use feedback weights.

Vecoven, Ernst, Wehenkel, Drion, "Introducing neuromodulation in deep neural networks to learn
adaptive behaviours", 2020, doi:10.1371/journal.pone.0227922. Departures: the 1, by which weights of
0 are the inner layer; z comes with the batch, where there a second network learns to make it.
"""

import jax
import jax.numpy as jnp

from bioplaus.checks import context_entry, of_one_moment
from bioplaus.context import within
from bioplaus.hyper import Count, declared
from bioplaus.types import Array, Layer, PyTree


@declared
def contextual(layer: Layer, k: Count, *, key: str = "cue") -> Layer:
    """The layer whose gains follow the context z = batch.context[key], [B, k].

    params: {"inner": those of the layer, "gains": {"scale": W_s [k, n], "bias": W_b [k, n]}}; W_s
    and W_b are 0 at first, and train by the rule that trains the layer.

        net = tuple(bp.contextual(layer, 3) for layer in bp.mlp([64, 128, 10]))
        rule = bp.rules.feedback_alignment(net, bp.cross_entropy)
        batch = bp.Batch(x, y, {"cue": jax.nn.one_hot(which, 3)})
        rule.predict(params, state, x, key, batch.context)

    Inside of `over_time` and `recurrent` z is [B, k], the same at all moments, or [B, T, k]. Rules
    hear the context of their batches; nets run by themselves, as by `bp.forward`, hear it by
    `bp.in_context(net, context)`, and without it have neutral gains, z = 0.

    Raises ValueError for a layer over time, and in a context that has no such array under `key`, or
    one of another shape.
    """
    of_one_moment("contextual", layer)
    return _modulated(layer, k, key, None)


def _modulated(layer: Layer, k: int, name: str, z: Array | None) -> Layer:
    """z: the context [B, k]; None before one is heard."""

    def gained(gains: PyTree, a: Array) -> Array:
        if z is None:
            return a
        _check_examples(name, z, a)
        scale, bias = (
            (z.astype(a.dtype) @ gains[part]).reshape(len(z), *(1,) * (a.ndim - 2), -1)
            for part in ("scale", "bias")
        )
        return (1 + scale) * a + bias

    def init(key, x):
        inner = layer.init(key, x)
        state = () if layer.rest is None else layer.rest(inner, x)
        a = jax.eval_shape(lambda: layer.synapse(inner, state, x, key)[1])
        zeros = jnp.zeros((k, a.shape[-1]), a.dtype)
        return {"inner": inner, "gains": {"scale": zeros, "bias": zeros}}

    def synapse(params, state, x, key):
        state, a = layer.synapse(params["inner"], state, x, key)
        return state, gained(params["gains"], a)

    def credit(params, feedback, state, x, key, signal):
        a = layer.synapse(params["inner"], state, x, key)[1]
        with jax.named_scope("update"):
            gains = jax.vjp(lambda g: gained(g, a), params["gains"])[1](signal)[0]
        with jax.named_scope("credit"):
            signal = jax.vjp(lambda a: gained(params["gains"], a), a)[1](signal)[0]
        inner, below = layer.credit(params["inner"], feedback["inner"], state, x, key, signal)
        return {"inner": inner, "gains": gains}, below

    def given(context):
        return _modulated(within(layer, context), k, name, _read(context, k, name))

    rest, at = layer.rest, layer.at
    return layer._replace(
        init=init,
        synapse=synapse,
        credit=credit,
        off=layer.off and _modulated(layer.off, k, name, z),
        rest=rest and (lambda params, x: rest(params["inner"], x)),
        at=at and (lambda dt: _modulated(at(dt), k, name, z)),
        affine=False,  # what a synapse did depends on the context too, which differs by example
        given=given if z is None else None,
    )


def _read(context: PyTree, k: int, name: str) -> Array:
    expected = f"[B, {k}], or [B, T, {k}] under time"
    z = context_entry(context, name, "contextual", expected)
    if z.ndim != 2 or z.shape[1] != k or jnp.iscomplexobj(z):
        raise ValueError(
            f"contextual: context[{name!r}] of each moment is {z.dtype}{list(z.shape)}; expected"
            f" real numbers, {expected}"
        )
    return z


def _check_examples(name: str, z: Array, a: Array) -> None:
    if len(z) != len(a):
        raise ValueError(
            f"contextual: context[{name!r}] has {len(z)} examples, and the layer is given"
            f" {len(a)}; a rule that gives layers other examples than those of the batch cannot"
            " train layers that hear a context"
        )
