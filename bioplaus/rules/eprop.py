"""e-prop: what is wrong with the answer, at each moment, meets the eligibility of each synapse.

    L_t = e_t B_l,    dW_l = (1/B) sum_t L_t ebar_t,    ebar_t = kappa ebar_{t-1} + (1 - kappa) e'_t
    e'_t = psi_t eps_t,    eps_t = D_t eps_{t-1} + pre_t
e_t: [B, C] derivative of the loss by the answer at moment t;  B_l: [C, n_l] feedback weights;
L_t: [B, n_l] learning signal of layer l;  eps_t: derivative of the neurons' states by the weights,
by `bioplaus.eligibility`;  psi_t: derivative of the output by these states;  D_t: of the states by
those a moment before;  pre_t: input of the layer and, if it is recurrent, its own output a moment
before;  kappa: leak of the readout's neurons, which low-passes what reaches the answer.

Backprop through time without the paths from a neuron's spikes to other neurons of its layer at
later moments, and with direct feedback in place of the layers above. It equals that for one hidden
layer and B = W_out^T.

Bellec et al., "A solution to the learning dilemma for recurrent networks of spiking neurons", 2020,
doi:10.1038/s41467-020-17236-y.
Departures: any neurons, by autodiff; pooled readouts, whose error reaches each moment by the pool;
a net of several hidden layers, each of which has feedback weights of its own; random B has the
variance scale^2 / C.
"""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bioplaus.eligibility import at_rest, begun, behind, learn, refusal
from bioplaus.entry import learning_rule, refusing
from bioplaus.hyper import Real
from bioplaus.local import error_of, gates_of, pull, send, signals_of, spread, through
from bioplaus.net import advance, forward, layer_key, predictor
from bioplaus.pools import of_sequence
from bioplaus.rules.shared.direct import drawn, sent
from bioplaus.rules.shared.over_time import ONLINE
from bioplaus.types import (
    Info,
    Layer,
    Loss,
    Net,
    OptimiserOf,
    PerLayer,
    Rule,
    StreamInfo,
    StreamState,
)

ADAMW = optax.adamw(1e-3, weight_decay=0.3)  # as of rules.kolen_pollack, which says why

NO_FILTER = (
    "on a stream the readout's neurons must only leak, or have no state, so that what a spike does"
    " to later answers is known before they come; give bp.over_time(bp.dense(C, bp.leaky()))"
)


class State(NamedTuple):
    """feedback: B_l [C, n_l] for each hidden layer, () where W_out is used. opt: the state of `tx`,
    which trains adaptive B, else ()."""

    feedback: PerLayer
    opt: Annotated[Any, OptimiserOf(lambda state: state.feedback)]


@learning_rule(time=ONLINE)
def eprop(
    net: Net,
    loss: Loss,
    *,
    scale: Real = 1.0,
    symmetric: bool = False,
    adaptive: bool = False,
    tx: optax.GradientTransformation = ADAMW,
) -> Rule:
    """On whole sequences, and on streams of pieces of any length, with the same result.

    scale: multiplies random B. symmetric: B = W_out^T, of nets with one hidden layer. adaptive:
    B_l starts at random and follows the changes that W_out^T would have if layer l fed it, dB_l =
    (1/B) sum_t e_t^T zbar_t (Kolen and Pollack, 1994), by tx. tx: give the one that trains the net,
    with its decoupled decay, for which W_out - B^T vanishes. zbar_t: [B, n_l] output of layer l,
    low-passed by the readout.

        rule = bp.rules.eprop(net, bp.at_each_moment(bp.cross_entropy))
        start, step = bp.online(net, rule, optax.adam(1e-3))

    Streams need affine synapses, such as bp.dense, in layers that all run over time, and a readout
    whose neurons only leak or have no state; a gate of a moment acts on what is learned from that
    moment's error.

    Cost, in the letters of docs/rules.md: F forward, C sum_l n_l T credit, F update; no product
    goes back through a recurrent layer. On a stream, for each moment and state of a neuron, B n_in
    n operations more, and that many numbers are kept.
    """
    if symmetric and adaptive:
        raise ValueError("eprop: symmetric and adaptive are two kinds of feedback; choose one")
    if symmetric and len(net) != 2:
        raise ValueError(
            f"eprop: symmetric feedback is W_out, which one hidden layer feeds, and the net has"
            f" {len(net) - 1}; give random or adaptive feedback"
        )
    last = net[-1]

    def init(key, params, batch):
        if symmetric:
            return State((), ())
        feedback = drawn(net, params, batch, key, scale)
        return State(feedback, tx.init(feedback) if adaptive else ())

    def to_hidden(params, state, trace, error, key):
        """A signal at the readout's current as signals at the outputs of the hidden layers."""
        if not symmetric:
            return sent(net, trace.outputs, state.feedback, error)
        k = layer_key(key, 1)
        return [send(last, params[1], params[1], trace.inputs[1], k, error, trace.heard[1])]

    def followed(state, error, outputs):
        """B after a step. outputs: of the hidden layers, as they reach the readout's current."""
        if not adaptive:
            return state
        with jax.named_scope("auxiliary"):
            axes = tuple(range(error.ndim - 1))
            grads = tuple(jnp.tensordot(error, z, (axes, axes)) / len(z) for z in outputs)
            updates, opt = tx.update(grads, state.opt, state.feedback)
            return State(optax.apply_updates(state.feedback, updates), opt)

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, grads, signal = gates_of(gate, signals, len(net)), [], error
        top = layer_key(key, len(net) - 1)
        at_readout = through(last, trace.currents[-1], top, error)
        taught = [*to_hidden(params, state, trace, at_readout, key), error]
        for l, layer in enumerate(net):
            k, current = layer_key(key, l), trace.currents[l]
            signal = spread(gates[l], taught[l]) * taught[l]
            if leaks and l < len(net) - 1 and jnp.ndim(0.0 if (g := gates[l]) is None else g) > 1:
                # A gate of moments is that of the error, which the readout's leak then takes back.
                first = to_hidden(params, state, trace, error, key)[l]
                signal = through(last, first, top, spread(gates[l], first) * first)
            signal = through(layer, current, k, signal)
            grads.append(pull(layer, params[l], trace.inputs[l], k, signal, heard=trace.heard[l]))
        outputs = [of_sequence(net, *a) for a in zip(net[:-1], trace.outputs, strict=False)]
        state = followed(state, signal, outputs)
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    def stream_init(key, params, batch):
        pasts, trace = begun(net, params, batch.x, key)
        traces = tuple(map(at_rest, filtered, params, trace.currents))
        return StreamState(init(key, params, batch), pasts, traces)

    def stream_grad(params, state, batch, key, gate=None):
        pasts, trace = advance(net, params, state.pasts, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, found = gates_of(gate, signals, len(net)), []
        k = layer_key(key, len(net) - 1)
        at_readout = error if leaks else through(last, trace.currents[-1], k, error)
        taught = [*to_hidden(params, state.learned, trace, at_readout, key), error]
        for l, layer in enumerate(filtered):
            found.append(
                learn(
                    layer,
                    params[l],
                    state.traces[l],
                    (trace.inputs[l], trace.heard[l], trace.currents[l]),
                    layer_key(key, l),
                    spread(gates[l], taught[l]) * taught[l],
                )
            )
        grads, traces, outputs = zip(*found, strict=True)
        gated = spread(gates[-1], error) * at_readout
        state = StreamState(followed(state.learned, gated, outputs[:-1]), pasts, traces)
        return grads, state, StreamInfo(loss=losses.mean(), signals=signals, output=trace.output)

    predict, leaks = predictor(net), _leaks(last)
    why = refusal(net) or (NO_FILTER if leaks is None else None)
    if why:
        return Rule(init, grad, predict, refusing(f"eprop: {why}"))
    filtered = [*(behind(layer, last) for layer in net[:-1]), last] if leaks else net
    return Rule(init, grad, predict, Rule(stream_init, stream_grad, predict))


def _leaks(readout: Layer) -> bool | None:
    """Whether a readout's neurons leak; False for ones without state and noise, None for others."""
    neuron = readout.neuron if readout.time is None else readout.time.moment.neuron
    state = jax.tree.leaves(jax.eval_shape(lambda: neuron.init(jnp.zeros((1, 1)))))
    if neuron.spikes or (neuron.leak is None and (state or neuron.off is not None)):
        return None
    return neuron.leak is not None
