"""DECOLLE: each layer is taught at each moment by a fixed random readout of its own.

    o_t = z_t G_l,    e_t = dL(phi_L(o_t), y_t) / do_t,    s_t = psi_t (e_t G_l^T)
    dW_l = (1/B) sum_t P_t^T s_t
z_t: [B, n_l] output of hidden layer l at moment t;  G_l: [n_l, C], N(0, scale^2 / n_l), never
learned;  e_t: [B, C] error of the layer's own answer;  phi_L: the output neurons of the net without
their noise, since L takes their outputs, if they have no state, else the identity;  psi_t:
derivative of the output by the potential;  P_t: [B, n_in] input of the layer, low-passed by its
neurons. No error leaves a layer, and none goes back in time but by P. The last layer learns from
its own error.

Kaiser, Mostafa, Neftci, "Synaptic Plasticity Dynamics for Deep Continuous Local Learning
(DECOLLE)", 2020, doi:10.3389/fnins.2020.00424.
Departures: any neurons, with P by `bioplaus.eligibility`; a trained readout gives the net's answer,
where the paper takes the local readout of the last hidden layer; where a sequence has one label,
the loss of each moment is divided by their number; rates are regularised by `rate_regularised`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.eligibility import at_rest, begun, learn, refusal
from bioplaus.entry import learning_rule, refusing
from bioplaus.hyper import Real
from bioplaus.local import error_of, gates_of, pull, signals_of, spread, through
from bioplaus.net import advance, forward, layer_key, noise_mode, predictor
from bioplaus.outputs import at_moments
from bioplaus.pools import moment_shapes
from bioplaus.rules.shared.over_time import ONLINE
from bioplaus.types import Array, Info, Layer, Loss, Net, PerLayer, Rule, StreamInfo, StreamState


class State(NamedTuple):
    """heads: G_l [n_l, C], for each hidden layer."""

    heads: PerLayer


@learning_rule(time=ONLINE)
def decolle(net: Net, loss: Loss, *, scale: Real = 1.0) -> Rule:
    """Local losses at each moment, without the past of a layer's spikes.

    scale: multiplies G. The exact gradient of each layer's own loss at given inputs, spikes of its
    own heard one moment before among them.

        rule = bp.rules.decolle(net, bp.at_each_moment(bp.cross_entropy))
        init, step = bp.online(net, rule, optax.adam(1e-3))

    Units of a layer with several axes are read out together. Cost, in the letters of docs/rules.md:
    F forward, 2 C sum_l n_l T credit over hidden layers l, F update.
    """

    phi = _answers(net[-1])

    def of_answer(o, y):
        return loss(phi(o), y)

    def init(key, params, batch):
        *hidden, last = moment_shapes(net, params, batch, key)
        classes = last.shape[-1]

        def draw(l, a):
            n = a.size // a.shape[0]
            g = jax.random.normal(layer_key(key, l), (*a.shape[1:], classes), a.dtype)
            return g * jnp.asarray(scale / n**0.5)

        return State(tuple(draw(l, a) for l, a in enumerate(hidden)))

    def local_error(layer, head, z, y):
        """The derivative of the layer's own loss by its output z."""
        with jax.named_scope("forward"):
            answer = jnp.tensordot(z, head, head.ndim - 1)
        with jax.named_scope("credit"):
            if layer.time is None:
                error = error_of(of_answer, answer, y)[1]
            elif at_moments(loss):
                error = error_of(lambda o, y: loss(jax.vmap(phi, 1, 1)(o), y), answer, y)[1]
            else:  # one label for all moments
                each = jax.vmap(lambda o: error_of(of_answer, o, y)[1], 1, 1)
                error = each(answer) / answer.shape[1]
            return jnp.tensordot(error, head, [[-1], [-1]])

    def taught(state, trace, error, y):
        """The signal at the output of each layer."""
        hidden = zip(net, state.heads, trace.outputs, strict=False)
        return [*(local_error(*each, y) for each in hidden), error]

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, grads = gates_of(gate, signals, len(net)), []
        for l, signal in enumerate(taught(state, trace, error, batch.y)):
            k = layer_key(key, l)
            signal = through(net[l], trace.currents[l], k, spread(gates[l], signal) * signal)
            grads.append(pull(net[l], params[l], trace.inputs[l], k, signal, heard=trace.heard[l]))
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    def stream_init(key, params, batch):
        pasts, trace = begun(net, params, batch.x, key)
        traces = tuple(map(at_rest, net, params, trace.currents))
        return StreamState(init(key, params, batch), pasts, traces)

    def stream_grad(params, state, batch, key, gate=None):
        pasts, trace = advance(net, params, state.pasts, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, found = gates_of(gate, signals, len(net)), []
        for l, signal in enumerate(taught(state.learned, trace, error, batch.y)):
            played, gated = (
                (trace.inputs[l], trace.heard[l], trace.currents[l]),
                spread(gates[l], signal) * signal,
            )
            k = layer_key(key, l)
            found.append(learn(net[l], params[l], state.traces[l], played, k, gated))
        grads, traces, _ = zip(*found, strict=True)
        info = StreamInfo(loss=losses.mean(), signals=signals, output=trace.output)
        return grads, StreamState(state.learned, pasts, traces), info

    predict, why = predictor(net), refusal(net)
    stream = refusing(f"decolle: {why}") if why else Rule(stream_init, stream_grad, predict)
    return Rule(init, grad, predict, stream)


def _answers(last: Layer) -> Callable[[Array], Array]:
    """phi_L, of one moment [B, C]."""
    quiet = noise_mode((last,), "off")[0]
    neuron = quiet.neuron if quiet.time is None else quiet.time.moment.neuron
    if jax.tree.leaves(jax.eval_shape(lambda: neuron.init(jnp.zeros((1, 1))))):
        return lambda o: o
    return lambda o: neuron.step((), o, jax.random.key(0))[1]
