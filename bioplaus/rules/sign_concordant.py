"""Sign-concordant feedback: feedback weights with the signs of W, and other magnitudes.

    B_l = M_l * sign(W_l),    s_l = phi'(a_l) * (s_{l+1} B_{l+1}^T),    dW_l = (1/B) h_{l-1}^T s_l
h_{l-1}: [B, n_{l-1}] input of layer l;  a_l: [B, n_l] its current;  phi: its neurons;
s_l: [B, n_l] teaching signal at the current, s_L = dL/da_L;  M_l: the shape of W_l, not negative:
    uSF  (uniform)            M_l = c_l, one number for each weight array: `scale` times the root
                              mean square of the initial W_l
    frSF (fixed random)       M_l = scale |R_l|, R_l drawn once, as the initial W_l is
    brSF (batch-wise random)  M_l = scale |R_l|, R_l drawn again at each step

Liao, Leibo, Poggio, "How Important is Weight Symmetry in Backpropagation?", 2016, arXiv:1510.05067.
Moskovitz, Litwin-Kumar, Abbott, "Feedback alignment in deep convolutional networks", 2018,
arXiv:1812.06488.
Departures: no normalisation of the updates (Liao et al. need one, because their magnitudes do not
follow the fan-in): c_l and R_l have the size of the initial weights; sign(0) = 1, so that a zero
weight still sends.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.entry import learning_rule
from bioplaus.hyper import Real
from bioplaus.local import backward, error_of, gates_of, signals_of
from bioplaus.net import fed_back, feedback_init, forward, predictor
from bioplaus.rules.shared.over_time import ANY
from bioplaus.types import Info, Loss, Net, PerLayer, PyTree, Rule


class State(NamedTuple):
    """magnitude: M_l for each weight array of params, or the scalar c_l; () for the first layer."""

    magnitude: PerLayer


@learning_rule(time=ANY)
def uniform_sign_concordant(net: Net, loss: Loss, *, scale: Real = 1.0) -> Rule:
    """uSF. Parallel to backprop where all |W_l| of a layer are equal.

    In a layer that hears itself c_l = |W_l| is needed as well, because errors cross it many times.

    scale: multiplies the magnitudes.

    Cost, in the letters of docs/rules.md: as backprop, F forward, X credit, F update. One bit for
    each weight is transported.
    """

    def init(key, params, batch):
        del key, batch
        return State(
            jax.tree.map(lambda w: scale * jnp.sqrt(jnp.mean(w**2)), fed_back(net, params))
        )

    return _concordant(net, loss, init, lambda params, state, batch, key: state.magnitude)


@learning_rule(time=ANY)
def fixed_sign_concordant(net: Net, loss: Loss, *, scale: Real = 1.0) -> Rule:
    """frSF. Equals backprop at M = |W|.

    scale: multiplies the magnitudes.

    Cost, in the letters of docs/rules.md: as backprop, F forward, X credit, F update. M is read
    beside W, and one bit for each weight is transported.
    """

    def init(key, params, batch):
        return State(_magnitude(scale, feedback_init(net, key, params, batch.x)))

    return _concordant(net, loss, init, lambda params, state, batch, key: state.magnitude)


@learning_rule(time=ANY)
def batchwise_sign_concordant(net: Net, loss: Loss, *, scale: Real = 1.0) -> Rule:
    """brSF. As frSF, with R drawn again at each step by `feedback_init` with the key of the step.

    scale: multiplies the magnitudes.

    Cost, in the letters of docs/rules.md: as backprop, F forward, X credit, F update. One bit is
    transported and one random number drawn for each weight and step.
    """

    def init(key, params, batch):
        del key, params, batch
        return ()

    def magnitude(params, state, batch, key):
        del state
        return _magnitude(scale, feedback_init(net, key, params, batch.x))

    return _concordant(net, loss, init, magnitude)


def _magnitude(scale: ArrayLike, drawn: PyTree) -> PyTree:
    return jax.tree.map(lambda r: scale * jnp.abs(r), drawn)


def _concordant(net: Net, loss: Loss, init: Callable, magnitude: Callable[..., PyTree]) -> Rule:
    """The rule with these magnitudes.

    magnitude: (params, state, batch, key) -> M, one entry for each layer, in the form of
    `fed_back`.
    """

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        with jax.named_scope("credit"):
            m = fed_back(net, magnitude(params, state, batch, key))
            feedback = jax.tree.map(
                lambda c, w: c * jnp.where(w < 0, -1, 1), m, fed_back(net, params)
            )
        grads = backward(
            net, params, feedback, trace, error, key, gates_of(gate, signals, len(net))
        )
        return grads, state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
