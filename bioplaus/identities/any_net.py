"""Shared by the checks on a net of the caller's.

The equations of its layers are not known here. Signals cross the synapses of a layer by that
layer's `credit`; `jax.grad` and `jax.jvp` join the layers.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.common import Check, Problem, equal, float64, large, relative, truth
from bioplaus.net import (
    Trace,
    current_shapes,
    drive,
    fed_back,
    fire,
    forward,
    init,
    layer_key,
    noise_mode,
    play,
)
from bioplaus.salts import SYNAPSE
from bioplaus.types import Batch, Loss, Net, PyTree, RuleFactory


def posed(net: Net, loss: Loss, batch: Batch, params: PyTree | None = None) -> Problem:
    """The caller's net, batch and parameters in float64. Parameters are drawn if none are given."""
    batch, key = float64(batch), jax.random.key(0)
    return Problem(
        net,
        loss,
        float64(init(net, key, batch.x) if params is None else params),
        batch,
        jax.random.key(5),
    )


def quiet(p: Problem) -> Problem:
    """The problem without noise."""
    return p._replace(net=noise_mode(p.net, "off"))


def settings(factory: RuleFactory) -> dict[str, Any]:
    """The hyperparameters of a factory: their defaults, or what `functools.partial` has bound."""
    return {
        k: v.default
        for k, v in inspect.signature(factory).parameters.items()
        if v.default is not v.empty
    }


def aligned(p: Problem) -> PyTree:
    """Feedback weights that equal the forward weights: ((), W_2, ..., W_L).

    A composite first layer, such as one that hears itself, has some, too.
    """
    return fed_back(p.net, p.params)


def by_layer(tree: PyTree) -> list[np.ndarray]:
    """One vector per layer.

    A single leaf may hold nothing but rounding: the bias of the keys of an attention layer, or a
    bias before a normalisation, has no effect on the output.
    """
    layers = [jax.tree.leaves(layer) for layer in tree]
    return [np.concatenate([np.ravel(leaf) for leaf in layer]) for layer in layers if layer]


def same(rule: str, name: str, got: PyTree, want: PyTree, limit: float = 1e-9) -> Check:
    """`equal` on one vector per layer."""
    return equal(rule, name, by_layer(got), by_layer(want), limit)


def apart(rule: str, p: Problem, grads: PyTree, limit: float = 1e-3) -> Iterator[Check]:
    """Control: the hidden layers, if there are any, do not learn as in backprop."""
    if len(p.net) > 1:
        gap = relative(by_layer(grads[:-1]), by_layer(truth(p)[:-1]))
        yield large(rule, "hidden layers differ from backprop: relative difference", gap, limit)


def output_of(p: Problem, l: int, params: PyTree, h: Any) -> jax.Array:
    """The output of layer l for the input h, with the noise of the problem's key."""
    k = layer_key(p.key, l)
    return fire(p.net[l], drive(p.net[l], params, h, k), k)


def locally(p: Problem, l: int, params: PyTree, h: Any) -> jax.Array:
    """As `output_of`, with a derivative that takes no path through the layer's own past."""
    layer, k = p.net[l], layer_key(p.key, l)
    heard = jax.lax.stop_gradient(play(layer, params, None, h, k).heard)
    current = layer.synapse(params, heard, h, jax.random.fold_in(k, SYNAPSE))[1]
    return fire(layer, current, k)


def current_of(p: Problem, l: int, params: PyTree, trace: Trace) -> jax.Array:
    """The current of layer l at the inputs of a trace, and at what the layer has heard in it.

    Its derivative by the parameters takes no path through the layer's own past.
    """
    key = jax.random.fold_in(layer_key(p.key, l), SYNAPSE)
    return p.net[l].synapse(params, trace.heard[l], trace.inputs[l], key)[1]


def credit_of(
    p: Problem, l: int, params: PyTree, feedback: PyTree, h: Any, signal: Any
) -> tuple[PyTree, jax.Array]:
    """The `credit` of layer l: the gradient of its parameters, and the signal at its input.

    signal: dL/da_l, at the current of the layer. It reaches the input through `feedback`.
    """
    heard = play(p.net[l], params, None, h, layer_key(p.key, l)).heard
    return p.net[l].credit(
        params, feedback, heard, h, jax.random.fold_in(layer_key(p.key, l), SYNAPSE), signal
    )


def around(p: Problem, l: int, params: PyTree, feedback: PyTree, h: Any, signal: Any) -> jax.Array:
    """`signal` at the current of layer l, with what crosses the layer's own synapses added.

    One moment further back in each round, at the feedback weights: a layer over time hears its
    output of the moment before.
    """
    layer, k = p.net[l], layer_key(p.key, l)
    if layer.time is None or layer.time.closed is None:
        return signal
    trace = play(layer, params, None, h, k)

    def hear(heard):
        return layer.synapse(feedback, heard, h, jax.random.fold_in(k, SYNAPSE))[1]

    neurons = jax.vjp(lambda a: fire(layer, a, k), trace.current)[1]
    to_heard, total = jax.vjp(hear, trace.heard)[1], signal
    for _ in range(h.shape[1]):
        at_heard = to_heard(total)[0]
        before = jnp.concatenate([at_heard[:, 1:], jnp.zeros_like(at_heard[:, :1])], 1)
        total = signal + neurons(before)[0]
    return total


def feedback_through(p: Problem, feedback: PyTree, *, inside: bool = True) -> PyTree:
    """Feedback alignment of any net: `jax.grad` of the loss with other derivatives of synapses.

    For each layer but the first, the derivative is that layer's `credit` at its feedback weights;
    a first layer that hears itself has feedback weights for its own past.
    inside: whether signals to the parameters inside a composite block cross the feedback weights,
    too.
    """

    def crossed(l: int):
        @jax.custom_vjp
        def synapse(params, h):
            return drive(p.net[l], params, h, layer_key(p.key, l))

        def back(saved, signal):
            w, h = saved
            signal = around(p, l, w, feedback[l], h, signal)
            grads, below = credit_of(p, l, w, feedback[l], h, signal)
            return (grads if inside else credit_of(p, l, w, w, h, signal)[0]), below

        synapse.defvjp(lambda w, h: (synapse(w, h), (w, h)), back)
        return synapse

    def loss(params):
        time = p.net[0].time
        first = 1 if time is None or time.closed is None else 0
        h = output_of(p, 0, params[0], p.batch.x) if first else p.batch.x
        for l in range(first, len(p.net)):
            h = fire(p.net[l], crossed(l)(params[l], h), layer_key(p.key, l))
        return p.loss(h, p.batch.y).mean()

    return jax.jit(jax.grad(loss))(p.params)


def drawn(p: Problem) -> list[jax.Array]:
    """xi ~ N(0, 1): one array per layer, of the shape of its current."""
    draw = np.random.default_rng(2)
    return [
        jnp.asarray(draw.standard_normal(a.shape))
        for a in current_shapes(p.net, p.params, p.batch, p.key)
    ]


def given(xi: list[jax.Array]) -> Callable[..., jax.Array]:
    """A sampler that returns these arrays in turn. It serves one trace."""
    rest = iter(xi)
    return lambda key, shape, dtype: next(rest).reshape(shape).astype(dtype)


def directional(p: Problem, xi: list[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Derivatives of the losses [B] and of the output [B, C] as the currents move along xi."""

    def run(t):
        h = p.batch.x
        for l, layer in enumerate(p.net):
            k = layer_key(p.key, l)
            h = fire(layer, drive(layer, p.params[l], h, k) + t * xi[l], k)
        return p.loss(h, p.batch.y), h

    return jax.jvp(run, (0.0,), (1.0,))[1]


def pulled(p: Problem, signals: Callable[[], list[Any]]) -> PyTree:
    """`jax.grad` of (1/B) sum_l <s_l, a_l> by the parameters, each layer at its input.

    signals: () -> s_l, the signals at the currents a_l of the forward pass.
    """

    def total(params, signals):
        trace = forward(p.net, p.params, p.batch.x, p.key)
        a = [current_of(p, l, params[l], trace) for l in range(len(p.net))]
        return sum(jnp.sum(s * out) for s, out in zip(signals, a, strict=True)) / len(p.batch.y)

    return jax.jit(lambda params: jax.grad(total)(params, signals()))(p.params)
