"""Sign-concordant feedback: the way back has the signs of the forward weights, and magnitudes of its own.

    B_l = c_l sign(W_l),    s_l = phi'(a_l) * (s_{l+1} B_{l+1}^T),    dW_l = (1/B) h_{l-1}^T s_l
e: [B, C];  s_l: [B, n_l];  c_l: one magnitude a weight array, `scale` times the root mean square of the initial W_l.

Liao, Leibo, Poggio, "How Important is Weight Symmetry in Backpropagation?", 2016, arXiv:1510.05067.
Moskovitz, Litwin-Kumar, Abbott, "Feedback alignment in deep convolutional networks", 2018, arXiv:1812.06488 (uSF).
Departures: the fixed magnitude c_l (Liao et al. normalise updates instead); sign(0) = 1, so that a zero weight still sends.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.local import backward, error_of, gates_of, signals_of
from bioplaus.net import forward, predictor
from bioplaus.types import Loss, Net, PyTree, Rule


class State(NamedTuple):
    """magnitude: c_l, a scalar for each weight array of params; () for the first layer."""

    magnitude: PyTree


def uniform_sign_concordant(net: Net, loss: Loss, *, scale: ArrayLike = 1.0) -> Rule:
    """uSF. Parallel to backprop where all |W_l| of a layer are equal. The MACs of backprop; transports a bit a weight."""

    def init(key, params, batch):
        del key, batch
        return State(((), *jax.tree.map(lambda w: scale * jnp.sqrt(jnp.mean(w**2)), tuple(params[1:]))))

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(losses, trace.output, batch.y)
        with jax.named_scope("credit"):
            sign = jax.tree.map(lambda c, w: c * jnp.where(w < 0, -1, 1), state.magnitude[1:], tuple(params[1:]))
        grads = backward(net, params, ((), *sign), trace, error, key, gates_of(gate, signals, len(net)))
        return grads, state, {"loss": losses.mean(), "signals": signals}

    return Rule(init, grad, predictor(net))
