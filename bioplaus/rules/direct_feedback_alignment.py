"""Direct feedback alignment: fixed random weights carry the output error to each hidden layer.

    s_l = phi'(a_l) * (e B_l),    s_L = e = dL/da_L,    dW_l = (1/B) h_{l-1}^T s_l
h_{l-1}: [B, n_{l-1}] input of layer l;  a_l: [B, n_l] its current;  phi: its neurons;
e: [B, C] = phi'(a_L) * dL/dh_L;  s_l: [B, n_l] teaching signal at the current;
B_l: [C, n_l] feedback weights, N(0, scale^2 / C), never learned.

Nokland, "Direct Feedback Alignment Provides Learning in Deep Neural Networks", 2016,
arXiv:1609.01596.
Departures from the paper: the distribution of B.
"""

from typing import NamedTuple

from bioplaus.entry import learning_rule
from bioplaus.hyper import Real
from bioplaus.local import error_of, gates_of, pull, signals_of, through
from bioplaus.net import forward, layer_key, predictor
from bioplaus.rules.shared.direct import drawn, sent
from bioplaus.rules.shared.over_time import ANY
from bioplaus.types import Info, Loss, Net, PerLayer, Rule


class State(NamedTuple):
    """feedback: B_l [C, *shape of layer l's output at one moment], for each hidden layer."""

    feedback: PerLayer


@learning_rule(time=ANY)
def direct_feedback_alignment(net: Net, loss: Loss, *, scale: Real = 1.0) -> Rule:
    """Equals backprop with linear hidden layers and B_l = (W_{l+1} ... W_L)^T, at one moment.

    Over time e is the error at the current of the last layer's own neurons, and no layer, the last
    one neither, sends it back through the synapses by which it hears itself.

    scale: multiplies B. All layers may learn as soon as the output is known: no layer waits for the
    signal of the layer above.

    Cost, in the letters of docs/rules.md: F forward, C sum_l n_l credit over hidden layers l, F
    update.
    """

    def init(key, params, batch):
        return State(drawn(net, params, batch, key, scale))

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        k = [layer_key(key, l) for l in range(len(net))]
        error = through(net[-1], trace.currents[-1], k[-1], error)
        taught = sent(net, trace.outputs, state.feedback, error)
        signal = [
            *(through(net[l], trace.currents[l], k[l], t) for l, t in enumerate(taught)),
            error,
        ]
        grads = [
            pull(layer, params[l], trace.inputs[l], k[l], signal[l], gates[l], trace.heard[l])
            for l, layer in enumerate(net)
        ]
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
