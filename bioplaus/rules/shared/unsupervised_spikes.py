"""Hidden layers that learn from their spikes alone, with adaptive thresholds, under a readout that
learns from the labels. `bioplaus.rules.stdp` has the equations.

Whole sequences are streams of one piece, from rest.
"""

from typing import NamedTuple

import jax.numpy as jnp

from bioplaus import eligibility
from bioplaus.entry import refusing
from bioplaus.local import error_of, gates_of, pull, signals_of, spread, through
from bioplaus.net import advance, current_shapes, forward, layer_key, predictor, with_gain
from bioplaus.pools import moment_shapes
from bioplaus.rules.shared.spike_timing import Numbers, nothing_kept, risen, taught
from bioplaus.types import Gain, Info, Loss, Net, PerLayer, Rule, StreamInfo, StreamState


class State(NamedTuple):
    """theta: of each hidden layer, [n_l], in units of the threshold; 0 at first."""

    theta: PerLayer


def from_spikes(name: str, net: Net, loss: Loss, c: Numbers) -> Rule:
    """The rule of these numbers. Raises ValueError for synapses that are not affine."""
    depth, last = len(net) - 1, net[-1]
    times = [layer.time for layer in net if layer.time is not None]
    for l, layer in enumerate(net[:-1]):
        if not layer.affine:
            raise ValueError(
                f"{name}: the synapses of layer {l} are not linear, or have a state or noise of"
                " their own, so that spikes at their inputs do not say what they sent; give"
                " bp.dense(n) layers"
            )

    def excitable(theta):
        """The net at these thresholds. A gain over time has the axes of examples and moments."""
        return with_gain(net, [*(Gain(1 / (1 + a[None, None])) for a in theta), Gain()])

    def init(key, params, batch):
        currents = current_shapes(net, params, batch, key)
        shapes = moment_shapes(net, params, batch, key)
        for l, (a, z) in enumerate(zip(currents, shapes[:-1], strict=False)):
            if a.shape[2:] != z.shape[1:]:
                raise ValueError(
                    f"{name}: a unit of layer {l} has currents {a.shape[2:]} and outputs"
                    f" {z.shape[1:]}, and spikes meet where both are the same; give neurons of one"
                    " compartment"
                )
        return State(tuple(jnp.zeros(a.shape[1:], a.dtype) for a in shapes[:-1]))

    def hidden(params, state, trace, gates, key, kept):
        """(grads, the state after it, kept) of a piece. kept: before it; None for rest."""
        grads, theta, after = [], [], []
        for l, layer in enumerate(net[:-1]):
            arriving, z, k = (trace.inputs[l], trace.heard[l]), trace.outputs[l], layer_key(key, l)
            start = None if kept is None else kept[l]
            g, left = taught(c, layer, params[l], arriving, z, gates[l], k, start)
            grads.append(g)
            after.append(left)
            theta.append(risen(c, state.theta[l], z, times[l].dt))
        return grads, State(tuple(theta)), tuple(after)

    def grad(params, state, batch, key, gate=None):
        trace = forward(excitable(state.theta), params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, own = gates_of(gate, signals, len(net)), layer_key(key, depth)
        grads, state, _ = hidden(params, state, trace, gates, key, None)
        signal = through(last, trace.currents[-1], own, spread(gates[-1], error) * error)
        grads += [pull(last, params[-1], trace.inputs[-1], own, signal, heard=trace.heard[-1])]
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    def predict(params, state, x, key, context=(), **asked):
        return predictor(excitable(state.theta))(params, (), x, key, context, **asked)

    def stream_init(key, params, batch):
        pasts, trace = eligibility.begun(net, params, batch.x, key)
        arriving = zip(trace.inputs, trace.heard, strict=True)
        kept = tuple(
            nothing_kept(c, *each)
            for each in zip(params[:-1], arriving, trace.outputs, strict=False)
        )
        readout = eligibility.at_rest(last, params[-1], trace.currents[-1])
        return StreamState(init(key, params, batch), pasts, (kept, readout))

    def stream_grad(params, state, batch, key, gate=None):
        pasts, trace = advance(excitable(state.learned.theta), params, state.pasts, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, own = gates_of(gate, signals, len(net)), layer_key(key, depth)
        before, readout = state.traces
        grads, learned, kept = hidden(params, state.learned, trace, gates, key, before)
        played = trace.inputs[-1], trace.heard[-1], trace.currents[-1]
        signal = spread(gates[-1], error) * error
        found = eligibility.learn(last, params[-1], readout, played, own, signal)
        state = StreamState(learned, pasts, (kept, found.traces))
        info = StreamInfo(loss=losses.mean(), signals=signals, output=trace.output)
        return (*grads, found.grads), state, info

    def stream_predict(params, state, x, key, context=(), **asked):
        return predict(params, state.learned, x, key, context, **asked)

    why = eligibility.refusal(net)
    if why:
        return Rule(init, grad, predict, refusing(f"{name}: {why}"))
    return Rule(init, grad, predict, Rule(stream_init, stream_grad, stream_predict))
