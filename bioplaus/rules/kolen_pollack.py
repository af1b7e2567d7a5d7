"""Kolen-Pollack: feedback weights that learn to be the transposes of W, without weight transport.

Both ends of a connection see the same product of pre- and postsynaptic activity, and both decay:
    s_l = phi'(a_l) * (s_{l+1} B_{l+1}^T),    dW_l = (1/B) h_{l-1}^T s_l,    dB_l = dW_l
    W <- W + tx(dW) - lr lambda W,    B <- B + tx(dB) - lr lambda B
    so that  (W - B)_t = (1 - lr lambda)^t (W - B)_0
h_{l-1}: [B, n_{l-1}] input of layer l;  a_l: [B, n_l] its current;  phi: its neurons;
s_l: [B, n_l] teaching signal at the current, s_L = dL/da_L;  B_l: feedback weights of the shape of
W_l (the paper's B is the transpose);  lr: learning rate;  lambda: weight decay;  t: steps.

Kolen and Pollack, "Backpropagation without weight transport", 1994, doi:10.1109/ICNN.1994.374486.
Akrout et al., "Deep Learning without Weight Transport", 2019, arXiv:1904.05391.
Departures: the decay is the decoupled weight decay of `tx`. The same `tx` must train W: otherwise,
or with a decay inside Adam's gradient, or without decay, W - B does not vanish.
lambda is DECAY unless you give another `tx`. It leaves exp(-lambda sum lr) of W - B: 55 % after
1,000 steps at lr = 2e-3. At 0.01, the usual weight decay of other rules, 98 % is left, and the rule
is feedback alignment whose B grows as W does. W decays as well: on digits this costs 0.3 points of
accuracy after these steps (97.7 to 97.4), and 1.0 at lambda = 1. On MNIST, where 0.4 % is left
after 10 epochs of Adam with lr from 8.6e-3 to 0, it gains 0.4 (98.0 to 98.4, two seeds). It does
the same to backprop.
"""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bioplaus.entry import learning_rule
from bioplaus.hyper import Real
from bioplaus.local import backward, error_of, gates_of, signals_of
from bioplaus.net import fed_back, feedback_init, forward, predictor
from bioplaus.rules.shared.over_time import ANY
from bioplaus.types import Feedback, Info, Loss, Net, OptimiserOf, Rule

DECAY = 0.3
ADAMW = optax.adamw(1e-3, weight_decay=DECAY)


class State(NamedTuple):
    """feedback: B_l for each layer, () for the first. opt: the state of `tx`, which trains them."""

    feedback: Feedback
    opt: Annotated[Any, OptimiserOf(lambda state: state.feedback)]


@learning_rule(time=ANY, added=True)
def kolen_pollack(
    net: Net, loss: Loss, *, tx: optax.GradientTransformation = ADAMW, scale: Real = 1.0
) -> Rule:
    """Equals backprop at B = W, and then stays there.

    tx: optimiser of B; give the one that trains the net, with its decoupled decay. scale:
    multiplies the initial B. `grad` takes `added`, (trace, gates) -> gradients that both W and B
    follow beside dW: of regularised rates (`rate_regularised`), so that W - B vanishes there too.

    Cost, in the letters of docs/rules.md: as backprop, F forward, X credit, F update. The update of
    B needs no further products.
    """

    def init(key, params, batch):
        feedback = jax.tree.map(lambda b: scale * b, feedback_init(net, key, params, batch.x))
        return State(feedback, tx.init(feedback))

    def grad(params, state, batch, key, gate=None, added=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        grads = backward(net, params, state.feedback, trace, error, key, gates)
        if added is not None:
            grads = jax.tree.map(jnp.add, grads, added(trace, gates))
        with jax.named_scope("auxiliary"):
            updates, opt = tx.update(fed_back(net, grads), state.opt, state.feedback)
            feedback = optax.apply_updates(state.feedback, updates)
        return grads, State(feedback, opt), Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
