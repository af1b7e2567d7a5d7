"""Eligibility: how far each parameter has moved the states of its neuron, carried along a stream.

    eps_a(t) = d s_a(t) / d theta
    dL/dtheta = sum_k (d I_k / d theta)^T sbar(I_k) + sum_a sbar_a eps_a(0)
    eps_a(K) = sum_k (d I_k / d theta)^T (d s_a(K) / d I_k) + sum_b (d s_a(K) / d s_b(0)) eps_b(0)
over a piece of K moments, k = 1 .. K.  s_a: [B, n] the states of the neurons (potential,
adaptation, ...);  I_k: [B, n] current of moment k;  L: loss of the piece;  sbar: derivatives of L
by the currents and by the states s_a(0) with which the piece begins;  eps_a: the tree of params
with the axis [B] first. The derivatives are taken by autodiff, for any neurons whose states depend
on their own current alone. What a neuron's spikes do to others, and through them to itself, is left
out, as in Bellec et al., 2020: with the signal dL/dz at the spikes z as it is then, this is e-prop.

K = 1 is the textbook's recursion, and K = T from rest one vector-Jacobian product, in which no eps
is needed: the numbers are the same for all K. A stream takes B n_in n numbers for each state, and
no memory that grows with T. Where neurons only leak (`Neuron.leak`), eps is low-passed input, and
`bioplaus.rules.ottt` keeps B n_in numbers.

Bellec et al., "A solution to the learning dilemma for recurrent networks of spiking neurons", 2020,
doi:10.1038/s41467-020-17236-y.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.local import pull
from bioplaus.net import Trace, forward
from bioplaus.salts import NEURON
from bioplaus.types import Array, Key, Layer, Net, Neuron, Past, PyTree


class Traces(NamedTuple):
    """What a layer on a stream keeps for learning. neurons: their state, as `layer.neuron` has it.
    eps: one tree of params, [B, ...], for each array of floats in that state."""

    neurons: PyTree
    eps: tuple[PyTree, ...]


class Learned(NamedTuple):
    """grads: of the params, mean over examples, sum over the moments of the piece. traces: after
    the piece. output: [B, K, n], of `layer.neuron`."""

    grads: PyTree
    traces: Traces
    output: Array


def behind(layer: Layer, readout: Layer) -> Layer:
    """The layer, with the neurons of the readout behind its own: what a synapse does to later
    answers. Exact where the readout's neurons only leak, all alike."""

    inner, leak = layer.neuron, readout.neuron

    def init(current):
        z = jax.eval_shape(lambda: inner.step(inner.init(current), current, jax.random.key(0))[1])
        return inner.init(current), leak.init(jnp.zeros(z.shape, z.dtype))

    def step(state, current, key):
        own, z = inner.step(state[0], current, key)
        filtered, output = leak.step(state[1], z, key)
        return (own, filtered), output

    return layer._replace(neuron=Neuron(init, step))


def begun(net: Net, params: PyTree, x: Array, key: Key) -> tuple[tuple[Past, ...], Trace]:
    """The pasts of a net whose layers all run over time, before x, and a trace of x for shapes."""
    trace = forward(net, params, x, key)
    times = [layer.time for layer in net if layer.time is not None]
    pasts = tuple(t.start(*a) for t, *a in zip(times, params, trace.inputs, strict=True))
    return pasts, trace


def at_rest(layer: Layer, params: PyTree, current: Array) -> Traces:
    """Before the first moment, when nothing has moved anything. current: [B, K, n], for its shape.

    Raises ValueError where a weight does not belong to one neuron, as in a convolution.
    """
    shared = [w.shape for w in jax.tree.leaves(params) if w.shape[-1:] != current.shape[2:]]
    if shared:
        raise ValueError(
            f"stream: weights {shared} do not end in the shape of their neurons,"
            f" {current.shape[2:]}, so that a weight belongs to several; give bp.dense(n) layers"
        )
    neurons = layer.neuron.init(current)
    eps = jax.tree.map(lambda w: jnp.zeros((len(current), *w.shape), w.dtype), params)
    return Traces(neurons, tuple(eps for _ in floats(neurons)[0]))


def learn(
    layer: Layer,
    params: PyTree,
    traces: Traces,
    played: tuple[Array, PyTree, Array],
    key: Key,
    signal: Array,
) -> Learned:
    """What a piece of K moments teaches one layer over time.

    played: the layer's input, what it heard of itself, and its current in this piece, as
    `net.advance` gives them in its trace. key: of the layer. signal: [B, K, n], derivative of the
    loss by the output of `layer.neuron` at each moment, gates included.
    """
    x, heard, current = played
    states, rebuilt = floats(traces.neurons)
    noise = jax.random.fold_in(key, NEURON)

    def run(states, current):
        after, output = layer.neuron.step(rebuilt(states), current, noise)
        return (floats(after)[0], output), after

    with jax.named_scope("credit"):
        (ends, output), back, after = jax.vjp(run, states, current, has_aux=True)
        nothing = [jnp.zeros_like(s) for s in ends]
        to_states, to_current = back((nothing, signal))
    grads = pull(layer, params, x, key, to_current, heard=heard)

    def alone(x, heard, signal):
        x, heard, signal = jax.tree.map(lambda a: a[None], (x, heard, signal))
        return pull(layer, params, x, key, signal, heard=heard)

    traces_after = []
    for a, end in enumerate(ends):
        seed = [*nothing[:a], jnp.ones_like(end), *nothing[a + 1 :]]
        with jax.named_scope("credit"):
            by_states, by_current = back((seed, jnp.zeros_like(output)))
        fresh = jax.vmap(alone)(x, heard, by_current)
        with jax.named_scope("update"):
            traces_after.append(_carried(fresh, by_states, traces.eps))
    with jax.named_scope("update"):
        mean = [s / len(s) for s in to_states]
        zero = jax.tree.map(lambda g: jnp.zeros((1, *g.shape), g.dtype), grads)
        carried = _carried(zero, mean, traces.eps)
        grads = jax.tree.map(lambda g, c: g + c.sum(0), grads, carried)
    return Learned(grads, Traces(after, tuple(traces_after)), output)


def _carried(start: PyTree, factors: list[Array], eps: tuple[PyTree, ...]) -> PyTree:
    """start + sum_b factors_b eps_b, [B, ...]; each factor [B, n] belongs to the neurons."""

    def summed(*leaves):
        first, *of_states = leaves
        for f, e in zip(factors, of_states, strict=True):
            first = first + f.reshape(len(f), *(1,) * (e.ndim - 2), -1) * e
        return first

    return jax.tree.map(summed, start, *eps)


def floats(neurons: PyTree) -> tuple[list[Array], Callable[[list[Array]], PyTree]]:
    """The arrays of floats in a state, and the way back; the number of the moment stays."""
    leaves, tree = jax.tree.flatten(neurons)
    real = [jnp.issubdtype(a.dtype, jnp.floating) for a in leaves]

    def rebuilt(states):
        rest = iter(states)
        return tree.unflatten([next(rest) if r else a for r, a in zip(real, leaves, strict=True)])

    return [a for r, a in zip(real, leaves, strict=True) if r], rebuilt


def refusal(net: Net) -> str | None:
    """Why no eligibility can be carried along a stream of this net; None if it can."""
    for l, layer in enumerate(net):
        if layer.time is None:
            return (
                f"layer {l} is one of a single moment, and pools a whole sequence; on a stream the"
                " last layer answers at each moment: give bp.over_time(bp.dense(C, bp.leaky()))"
                " and bp.at_each_moment(loss)"
            )
        if not layer.affine or layer.time.moment.rest is not None:
            return (
                f"the synapses of layer {l} are not linear, or have a state of their own, so that"
                " no sum over its inputs tells what they have done; give bp.dense(n) layers"
            )
    return None
