"""Direct random target projection: the labels teach the hidden layers, with no error and no wait
for the output.

    s_l = -phi'(a_l) * (y B_l),    s_L = e = dL/da_L,    dW_l = (1/B) h_{l-1}^T s_l
y: [B, C] targets;  e: [B, C], which is phi'(a_L) * dL/dh_L;  s_l: [B, n_l];
B_l: [C, n_l] projections, N(0, scale^2 / C), never learned.
For one-hot y and outputs between 0 and 1 the signs of e are those of -y up to a constant, hence the
sign: descending it adds phi' * (y B_l), and at the same B it points where direct feedback alignment
does.

Frenkel, Lefebvre, Bol, "Learning Without Feedback: Fixed Random Learning Signals Allow for
Feedforward Training of Deep Neural Networks", 2021, doi:10.3389/fnins.2021.629892.
Departures: the distribution of B (the authors' code draws it uniform, with He's fan-in taken from
n_l, and descends +y B_l: the same rule with -B); the mean over the batch, where their hidden layers
sum.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import Real
from bioplaus.local import error_of, gates_of, pull, signals_of, through
from bioplaus.net import current_shapes, forward, layer_key, predictor
from bioplaus.types import Info, Loss, Net, PerLayer, Rule


class State(NamedTuple):
    """feedback: B_l [C, *shape of layer l's current], one a hidden layer."""

    feedback: PerLayer


@learning_rule
def direct_random_target_projection(net: Net, loss: Loss, *, scale: Real = 1.0) -> Rule:
    """Direct feedback alignment with -y for e. Credit costs C sum_l n_l; a hidden layer can learn
    before the next one runs.

    The signal does not vanish where the output is right: without decay of W, or saturation, hidden
    weights keep growing.
    """

    def init(key, params, batch):
        *hidden, last = current_shapes(net, params, batch, key)
        classes = last.shape[-1]

        def draw(l, a):
            return jax.random.normal(
                layer_key(key, l), (classes, *a.shape[1:]), a.dtype
            ) * jnp.asarray(scale / classes**0.5)

        return State(tuple(draw(l, a) for l, a in enumerate(hidden)))

    def grad(params, state, batch, key, gate=None):
        if len(state.feedback) != len(net) - 1:
            raise ValueError(
                f"feedback has {len(state.feedback)} entries for {len(net) - 1} hidden layers; make"
                " it with rule.init"
            )
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        with jax.named_scope("credit"):
            taught = [-jnp.tensordot(batch.y, b, 1) for b in state.feedback] + [error]
        grads = []
        for l, layer in enumerate(net):
            k = layer_key(key, l)
            signal = through(layer, trace.currents[l], k, taught[l])
            grads.append(pull(layer, params[l], trace.inputs[l], k, signal, gates[l]))
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
