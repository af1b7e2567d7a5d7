"""Feedback alignment: backprop with fixed random weights on the way back.

    s_L = phi'(a_L) * e,    s_l = phi'(a_l) * (s_{l+1} B_{l+1}^T),    dW_l = (1/B) h_{l-1}^T s_l
h_{l-1}: [B, n_{l-1}] input of layer l;  a_l: [B, n_l] its current;  phi: its neurons;
e: [B, C] = dL/dh_L;  s_l: [B, n_l] teaching signal at the current;  B_l: feedback weights of the
shape of W_l (the paper's B is the transpose), drawn as W_l is, never learned.

Lillicrap, Cownden, Tweed, Akerman, "Random synaptic feedback weights support error backpropagation
for deep learning", 2016, doi:10.1038/ncomms13276.
Departures from the paper: B has the distribution of the initial W; `scale` multiplies it.
"""

from typing import NamedTuple

import jax

from bioplaus.entry import learning_rule
from bioplaus.hyper import Real
from bioplaus.local import backward, error_of, gates_of, signals_of
from bioplaus.net import feedback_init, forward, predictor
from bioplaus.rules.shared.over_time import ANY
from bioplaus.types import Feedback, Info, Loss, Net, Rule


class State(NamedTuple):
    """feedback: B_l for each layer, with the tree of params; () for the first layer."""

    feedback: Feedback


@learning_rule(time=ANY)
def feedback_alignment(net: Net, loss: Loss, *, scale: Real = 1.0) -> Rule:
    """Equals backprop at B = W.

    scale: multiplies B.

    Cost, in the letters of docs/rules.md: as backprop, F forward, X credit, F update. B is read
    beside W, and no weight is transported.
    """

    def init(key, params, batch):
        return State(jax.tree.map(lambda b: scale * b, feedback_init(net, key, params, batch.x)))

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        grads = backward(
            net, params, state.feedback, trace, error, key, gates_of(gate, signals, len(net))
        )
        return grads, state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
