"""Kolen-Pollack: feedback weights that learn to be the transposes of the forward weights, with no
weight transport.

Both ends of a connection see the same product of pre- and postsynaptic activity, and both decay:
    s_l = phi'(a_l) * (s_{l+1} B_{l+1}^T),    dW_l = (1/B) h_{l-1}^T s_l,    dB_l = dW_l
    W <- W + tx(dW) - lr lambda W,
        B <- B + tx(dB) - lr lambda B      so that  (W - B)_t = (1 - lr lambda)^t (W - B)_0
s_L = dL/da_L: [B, C];  s_l: [B, n_l];  B_l: the shape of W_l (the paper's is its transpose).

Kolen and Pollack, "Backpropagation without weight transport", 1994, doi:10.1109/ICNN.1994.374486.
Akrout et al., "Deep Learning without Weight Transport", 2019, arXiv:1904.05391.
Departures: decay is `tx`'s decoupled decay; the same `tx` must train W, or W - B does not vanish (a
decay inside Adam's gradient, or none, leaves it). lambda is DECAY unless another is given: of W - B
it leaves exp(-lambda sum lr), 55 % after 1,000 steps at 2e-3. At the 0.01 of other rules 98 % is
left, and the rule is feedback alignment whose B grows as W does. The decay is of W as well: on
digits it costs 0.3 points of accuracy after these steps (97.7 to 97.4), and 1.0 at lambda = 1. On
MNIST, where 0.4 % is left after 10 epochs of Adam from 8.6e-3 to 0, it gives 0.4 (98.0 to 98.4, two
seeds). It does the same to backprop.
"""

from typing import Annotated, Any, NamedTuple

import jax
import optax

from bioplaus.entry import learning_rule
from bioplaus.hyper import Real
from bioplaus.local import backward, error_of, gates_of, signals_of
from bioplaus.net import fed_back, feedback_init, forward, predictor
from bioplaus.types import Info, Loss, Net, OptimiserOf, PerLayer, Rule

DECAY = 0.3
ADAMW = optax.adamw(1e-3, weight_decay=DECAY)


class State(NamedTuple):
    """feedback: B_l, one entry a layer, () for the first; opt: the state of `tx` over them."""

    feedback: PerLayer
    opt: Annotated[Any, OptimiserOf(lambda state: state.feedback)]


@learning_rule
def kolen_pollack(
    net: Net, loss: Loss, *, tx: optax.GradientTransformation = ADAMW, scale: Real = 1.0
) -> Rule:
    """Equals backprop at B = W, and then stays there. The MACs of backprop; B's update adds writes,
    no products.

    tx: optimiser of B; give the one that trains the net, with its decoupled decay.
    """

    def init(key, params, batch):
        feedback = jax.tree.map(lambda b: scale * b, feedback_init(net, key, params, batch.x))
        return State(feedback, tx.init(feedback))

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        grads = backward(
            net, params, state.feedback, trace, error, key, gates_of(gate, signals, len(net))
        )
        with jax.named_scope("auxiliary"):
            updates, opt = tx.update(fed_back(net, grads), state.opt, state.feedback)
            feedback = optax.apply_updates(state.feedback, updates)
        return grads, State(feedback, opt), Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
