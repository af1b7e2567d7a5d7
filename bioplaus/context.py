"""The context of a batch reaches the layers that hear it: `Layer.given`.

A context is a dict of arrays, {name: [B, ...]}, that comes with each batch and with each answer:
which task it is, or a cue. It is known only after a rule is made. So `bioplaus.entry.learning_rule`
makes the rule anew for each call, on the net in the context of that call, as `modulate` does with
its gains. Rules, and all that they call, then see ordinary layers, and do not know of contexts.
Measures that run a net themselves call `in_context` first.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.types import Array, Layer, Net, PyTree, Rule


def in_context(net: Net, context: PyTree) -> Net:
    """The net whose layers have heard the context of a batch, `Batch.context`.

    Layers that hear nothing stay as they are. Raises ValueError, as those that hear do, for a
    context that does not have what they hear.

        net = bp.in_context(net, batch.context)
        trace = bp.forward(net, params, batch.x, key)
    """
    return tuple(_placed(layer, context) for layer in net)


def _placed(layer: Layer, context: PyTree) -> Layer:
    found = within(layer, context)
    # A context changes synapses: another neuron that the layer was given since, as by `with_gain`,
    # stays. Layers over time change theirs by `lift` and `gained`, which keep what they hear.
    return found if layer.time is not None else found._replace(neuron=layer.neuron)


def within(layer: Layer, context: PyTree | None) -> Layer:
    """The layer in a context. The layer itself if it hears nothing, or where there is none."""
    return layer if layer.given is None or context is None else layer.given(context)


def changed(layer: Layer, change: Callable[[Layer], Layer]) -> Layer:
    """change(layer), which hears what the layer hears."""
    given, found = layer.given, change(layer)
    return found._replace(given=given and (lambda context: change(given(context))))


def hearing(net: Net, make: Callable[[Net], Rule]) -> Rule:
    """The rule make(net), made anew in the context of each call if a layer hears it."""
    rule = make(net)
    if all(layer.given is None for layer in net):
        return rule

    def init(key, params, batch):
        return make(in_context(net, batch.context)).init(key, params, batch)

    def grad(params, state, batch, key, gate=None, **added):
        there = make(in_context(net, batch.context))
        return there.grad(params, state, batch, key, gate, **added)

    def predict(params, state, x, key, context=(), **asked):
        return make(in_context(net, context)).predict(params, state, x, key, context, **asked)

    def on_streams(net: Net) -> Rule:
        stream = make(net).stream
        assert stream is not None
        return stream

    return Rule(init, grad, predict, rule.stream and hearing(net, on_streams))


def at_moments(context: PyTree, x: Array) -> PyTree:
    """The context of sequences x [B, T, ...] at each moment: every array [B, T, ...]."""

    def spread(a: Array) -> Array:
        a = jnp.asarray(a)
        if has_moments(a, x):
            return a
        return jnp.broadcast_to(a[:, None], (a.shape[0], x.shape[1], *a.shape[1:]))

    return jax.tree.map(spread, context)


def has_moments(a: Array, x: Array) -> bool:
    """Whether an array of the context of sequences x [B, T, ...] has a value at each moment: three
    axes or more, [B, T, ...]. Others, as [B, k], are the same at all moments."""
    return jnp.ndim(a) > 2 and a.shape[1] == x.shape[1]
