"""Direct random target projection: the labels teach the hidden layers, without an error.

    s_l = -phi'(a_l) * (y B_l),    s_L = e = dL/da_L,    dW_l = (1/B) h_{l-1}^T s_l
y: [B, C] targets;  h_{l-1}: [B, n_{l-1}] input of layer l;  a_l: [B, n_l] its current;  phi: its
neurons;  e: [B, C] = phi'(a_L) * dL/dh_L;  s_l: [B, n_l] teaching signal at the current;
B_l: [C, n_l] projections, N(0, scale^2 / C), never learned.
Hidden layers need not wait for the output. For one-hot y and outputs between 0 and 1, e has the
signs of -y up to a constant, which explains the minus: descending adds phi' * (y B_l), and with the
same B it has the direction of direct feedback alignment.

Frenkel, Lefebvre, Bol, "Learning Without Feedback: Fixed Random Learning Signals Allow for
Feedforward Training of Deep Neural Networks", 2021, doi:10.3389/fnins.2021.629892.
Departures: the distribution of B (the authors' code draws it uniformly, by He's formula with n_l
for the fan-in, and descends +y B_l: the same rule with -B); the mean over the batch, where their
hidden layers take the sum.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import Real
from bioplaus.local import error_of, gates_of, pull, signals_of, through
from bioplaus.net import forward, layer_key, predictor
from bioplaus.outputs import asked_moments, at_moments
from bioplaus.rules.shared.direct import drawn, sent
from bioplaus.rules.shared.over_time import ANY
from bioplaus.types import Info, Loss, Net, PerLayer, Rule


class State(NamedTuple):
    """feedback: B_l [C, *shape of layer l's output at one moment], for each hidden layer."""

    feedback: PerLayer


@learning_rule(time=ANY)
def direct_random_target_projection(net: Net, loss: Loss, *, scale: Real = 1.0) -> Rule:
    """Direct feedback alignment with -y in place of the error.

    Over time -y is sent as it is, while dfa's error has passed the last layer's own neurons. No
    layer sends errors back through the synapses by which it hears itself.

    scale: multiplies B. A hidden layer can learn before the next layer runs. The signal does not
    vanish when the output is right: unless W decays or the neurons saturate, hidden weights keep
    growing.

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
        with jax.named_scope("credit"):
            y = batch.y
            if at_moments(loss):  # the moments that are not asked teach nothing
                y = jnp.where(asked_moments(y)[..., None], y, 0)
        taught = [*sent(net, trace.outputs, state.feedback, -y), error]
        grads = []
        for l, layer in enumerate(net):
            k = layer_key(key, l)
            signal = through(layer, trace.currents[l], k, taught[l])
            grads.append(
                pull(layer, params[l], trace.inputs[l], k, signal, gates[l], trace.heard[l])
            )
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
