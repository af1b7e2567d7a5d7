"""OTTT: errors that cross all layers at the moment at which they arise meet low-passed inputs.

    g_t[L] = psi_t[L] e_t,    g_t[l] = psi_t[l] (g_t[l+1] W_{l+1}^T)
    xbar_t = a xbar_{t-1} + x_t,    dW_l = (1/B) sum_t xbar_t^T g_t[l]
e_t: [B, C] derivative of the loss by the answer at moment t;  g_t[l]: [B, n_l] signal at the
current of layer l;  psi_t: derivative of the output by the current, at the state that is there;
x_t: [B, n_in] input of the layer;  a: leak of its neurons, exp(-dt / tau). No error goes back in
time, and what is kept is one number for each input of a layer, not for each synapse.

Xiao, Meng, Zhang, He, Lin, "Online Training Through Time for Spiking Neural Networks", 2022,
arXiv:2210.04195.
Departures: a layer that hears itself takes what it heard as a further input, with a trace of its
own; the weights change after each piece or sequence, not within it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.eligibility import begun, refusal
from bioplaus.entry import learning_rule, refusing
from bioplaus.local import error_of, gates_of, pull, send, signals_of, spread, through
from bioplaus.net import Trace, advance, forward, layer_key, predictor
from bioplaus.rules.shared.over_time import ONLINE
from bioplaus.salts import NEURON
from bioplaus.types import (
    Array,
    Info,
    Key,
    Layer,
    Loss,
    Net,
    PyTree,
    Rule,
    StreamInfo,
    StreamState,
)


class Sums(NamedTuple):
    """Of a layer. inputs, heard: sums of what came, each moment weighed by what the neurons have
    kept of it. weight: the sum of these weights, []."""

    inputs: Array
    heard: PyTree
    weight: Array


@learning_rule(time=ONLINE)
def ottt(net: Net, loss: Loss) -> Rule:
    """Backprop in depth at each moment, and eligibility in time.

    Equals e-prop with symmetric feedback for one hidden layer whose readout has no state, and
    backprop on nets of one moment. Its neurons have no state, or only leak, by one number for
    the layer, as `leaky` and a LIF whose reset no error passes; its synapses are affine, as those
    of bp.dense and bp.conv. The factory raises ValueError for others and for `horizon`, and `grad`
    for gains that change from moment to moment.

        rule = bp.rules.ottt(net, bp.at_each_moment(bp.cross_entropy))
        init, step = bp.online(net, rule, optax.adam(1e-3))

    Cost, in the letters of docs/rules.md: F forward, X credit, F update. A stream keeps a number
    for each input of a layer.
    """
    for l, layer in enumerate(net):
        if what := _unfit(layer):
            raise ValueError(f"ottt: layer {l} {what}, or take another rule, as eprop")

    def learned(params, trace, starts, error, gates, key):
        """(grads, traces after a piece). starts: of each layer (states of neurons, Sums)."""
        signal, grads = error, [()] * len(net)
        after = [kept for _, kept in starts]
        for l in reversed(range(len(net))):
            layer, k, current = net[l], layer_key(key, l), trace.currents[l]
            x, heard = trace.inputs[l], trace.heard[l]
            if layer.time is None:
                at_current = through(layer, current, k, signal)
                gated = spread(gates[l], at_current) * at_current
                grads[l] = pull(layer, params[l], x, k, gated)
            else:
                neurons, kept = starts[l]
                at_current = instant(layer, neurons, current, k, signal)
                gated = spread(gates[l], at_current) * at_current
                x_bar, heard_bar, count, after[l] = _low_passed(layer, current, x, heard, kept)
                # Mean inputs and a signal `count` times as large: biases get the number of moments.
                grads[l] = pull(layer, params[l], x_bar, k, count * gated, heard=heard_bar)
            if l:
                signal = send(layer, params[l], params[l], x, k, at_current, heard)
        return tuple(grads), tuple(after)

    def init(key, params, batch):
        del key, params, batch
        return ()

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        grads, _ = learned(params, trace, _at_rest(net, trace), error, gates, key)
        return grads, state, Info(loss=losses.mean(), signals=signals)

    def stream_init(key, params, batch):
        pasts, trace = begun(net, params, batch.x, key)
        return StreamState((), pasts, tuple(kept for _, kept in _at_rest(net, trace)))

    def stream_grad(params, state, batch, key, gate=None):
        pasts, trace = advance(net, params, state.pasts, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        now = zip(state.pasts, state.traces, strict=True)
        starts = [((past.t, past.neurons), kept) for past, kept in now]
        grads, traces = learned(params, trace, starts, error, gates, key)
        info = StreamInfo(loss=losses.mean(), signals=signals, output=trace.output)
        return grads, StreamState((), pasts, traces), info

    predict, why = predictor(net), refusal(net)
    stream = refusing(f"ottt: {why}") if why else Rule(stream_init, stream_grad, predict)
    return Rule(init, grad, predict, stream)


def instant(layer: Layer, neurons: PyTree, current: Array, key: Key, signal: Array) -> Array:
    """psi_t * signal at each moment: as `local.through`, with the states taken as they are there.
    neurons: the state before the first moment, as `layer.neuron` has it. ValueError: gains
    [B, T, n], with which a net only answers.
    """
    gains = jax.tree.leaves(layer.time.gains) if layer.time else ()
    if any(jnp.ndim(g) > 2 and jnp.shape(g)[1] > 1 for g in gains):
        raise ValueError(
            "ottt: gains change from moment to moment; give [n] or [B, 1, n], or take eprop"
        )
    noise = jax.random.fold_in(key, NEURON)

    def moment(neurons, at):
        current, signal = (a[:, None] for a in at)

        def sent(current):
            after, output = layer.neuron.step(neurons, current, noise)
            return output, after

        _, back, after = jax.vjp(sent, current, has_aux=True)
        return after, back(signal)[0][:, 0]

    with jax.named_scope("credit"):
        moments = jnp.moveaxis(current, 1, 0), jnp.moveaxis(signal, 1, 0)
        return jnp.moveaxis(jax.lax.scan(moment, neurons, moments)[1], 0, 1)


def _at_rest(net: Net, trace: Trace) -> list[tuple[PyTree, Any]]:
    """What each layer has before the first moment: the state of its neurons, and its sums."""

    def first(layer, current, *came):
        if layer.time is None:
            return (), ()
        nothing = jax.tree.map(lambda a: jnp.zeros_like(a[:, 0]), came)
        return layer.neuron.init(current), Sums(*nothing, weight=jnp.zeros((), current.dtype))

    return [first(*a) for a in zip(net, trace.currents, trace.inputs, trace.heard, strict=True)]


def _low_passed(
    layer: Layer, current: Array, x: Array, heard: PyTree, kept: Sums
) -> tuple[Array, PyTree, Array, Sums]:
    """(mean input, mean of what was heard, number of moments, traces after): all weighed by what
    the neurons have kept until each moment, the first three with the axis of moments."""
    leak = layer.time.moment.neuron.leak if layer.time else None
    a = jnp.zeros((), current.dtype) if leak is None else leak(current)

    def moment(kept, at):
        inputs, heard = jax.tree.map(lambda old, new: a * old + new, (kept.inputs, kept.heard), at)
        kept = Sums(inputs, heard, a * kept.weight + 1)
        return kept, kept

    with jax.named_scope("credit"):
        came = jax.tree.map(lambda v: jnp.moveaxis(v, 1, 0), (x, heard))
        after, sums = jax.lax.scan(moment, kept, came)

        def mean(v):
            return jnp.moveaxis(v / sums.weight.reshape(-1, *(1,) * (v.ndim - 1)), 0, 1)

        count = sums.weight.reshape(1, -1, *(1,) * (current.ndim - 2))
        return mean(sums.inputs), jax.tree.map(mean, sums.heard), count, after


def _unfit(layer: Layer) -> str | None:
    """What of a layer has no low-passed input for its eligibility; None if nothing."""
    time = layer.time
    if time is None:
        return None
    if not layer.affine:
        return "has synapses that are not affine; give bp.dense(n)"
    if time.horizon is not None:
        return f"has horizon = {time.horizon}, and no gradient here goes back in time; leave it out"
    leak, one = time.moment.neuron.leak, jnp.zeros((1, 1))
    state = jax.tree.leaves(jax.eval_shape(time.moment.neuron.init, one))
    if state and (leak is None or jax.eval_shape(leak, one).shape):
        return "has neurons that do more than leak by one number; give bp.lif(tau) as it is"
    return None
