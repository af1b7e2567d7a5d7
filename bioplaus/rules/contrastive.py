"""Contrastive Hebbian and coupled learning: the output takes part in the dynamics, and is clamped.

The whole network settles, with feedback of gain gamma through the forward weights, to a minimum of
    E = sum_l gamma^{l-L} [G(h_l) - h_l . a_l],    a_l = h_{l-1} W_l,    G' = f^{-1},    h_0 = x
by the sweeps
    h_l <- f(a_l + gamma h_{l+1} W_{l+1}^T),    h_L <- f(a_L)
first free (h_l^0), then from there with the output held at h_L = o, for which the hidden layers
relax again (h_l^o):
    dW_l = -(gamma^{l-L} / (beta B)) [(h_{l-1}^o)^T h_l^o - (h_{l-1}^0)^T h_l^0]
    o = h_L^0 - beta e
h_l: [B, n_l] activities;  a_l: [B, n_l] currents;  f: neurons;  beta: size of the nudge;
e: [B, C] = dL/dh_L at the free output, or dL/da_L if the loss takes outputs for probabilities.
With `mse`, and with `bernoulli` behind sigmoids, o = (1 - beta) h_L^0 + beta y. The hidden layers
see the clamped output itself, without a factor phi'(a_L): for gamma -> 0 this is backprop at linear
outputs and for probabilities; sigmoids under `mse` learn as under `bernoulli`.

Contrastive Hebbian learning (beta = 1): Movellan, "Contrastive Hebbian Learning in the Continuous
Hopfield Model", 1991, in Connectionist Models. Feedback gain: Xie and Seung, "Equivalence of
Backpropagation and Contrastive Hebbian Learning in a Layered Network", 2003,
doi:10.1162/089976603762552988. Coupled learning (for any E): Stern, Hexner, Rocks, Liu, "Supervised
Learning in Physical Networks: From Machine Learning to Learning Machines", 2021, arXiv:2011.03861.
Departures: any loss, through its target o at the output (for half the squared error and beta = 1 o
is y, as in the papers); instead of following a gradient flow, each sweep sets the layers in order
to their fixed-point equation.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.entry import learning_rule
from bioplaus.hyper import Count, Positive
from bioplaus.local import error_of, gates_of, pull, signals_of, through
from bioplaus.net import answer, drive, forward, layer_key
from bioplaus.outputs import declared_by
from bioplaus.rules.shared.over_time import SETTLES
from bioplaus.rules.shared.relax import settle
from bioplaus.types import Info, Loss, Net, Rule


@learning_rule(time=SETTLES)
def contrastive_hebbian(
    net: Net, loss: Loss, *, gain: Positive = 0.03, free_steps: Count = 15, clamped_steps: Count = 8
) -> Rule:
    """Tends to backprop as gain -> 0, at linear outputs and for probabilities.

    The error is O(gain).

    gain: gamma; 1 is Movellan's symmetric network. free_steps, clamped_steps: T1 and T2, the sweeps
    of the two phases. f must be bounded or the weights small: where the net does not settle,
    info['residual'] (`bioplaus.rules.shared.relax`; of the worst phase) is not small against 1.

    Cost, in the letters of docs/rules.md: T1 (F + X) + T2 (F + X - |W_L|) in all.
    """
    return _rule(net, loss, 1.0, gain, free_steps, clamped_steps)


@learning_rule(time=SETTLES)
def coupled_learning(
    net: Net,
    loss: Loss,
    *,
    beta: Positive = 0.2,
    gain: Positive = 0.03,
    free_steps: Count = 15,
    clamped_steps: Count = 8,
) -> Rule:
    """Nudges the output slightly and lets the whole network settle.

    As beta -> 0 this is not the gradient of the loss: it is the gradient of o . (K e), where K is
    the stiffness of the output.

    beta: how far the output is moved towards its target; at 1 this is `contrastive_hebbian`, which
    describes the other hyperparameters. gain: gamma; at 1 the network is symmetric, as physical
    ones are, and training then tends to make it bistable.

    Cost, in the letters of docs/rules.md: T1 (F + X) + T2 (F + X - |W_L|) in all.
    """
    return _rule(net, loss, beta, gain, free_steps, clamped_steps)


def _rule(
    net: Net, loss: Loss, beta: ArrayLike, gain: ArrayLike, free_steps: int, clamped_steps: int
) -> Rule:
    depth = len(net)

    def free_phase(params, x, key):
        trace = forward(net, params, x, key)
        first = trace.currents[0]
        return first, settle(
            net, params, first, key, (*trace.inputs[1:], trace.output), None, free_steps, gain=gain
        )

    def init(key, params, batch):
        del key, params, batch
        return ()

    def grad(params, state, batch, key, gate=None):
        with jax.named_scope("forward"):
            first, (free, residual) = free_phase(params, batch.x, key)
        losses, error = error_of(loss, free[-1], batch.y)
        signals = signals_of(loss, losses, free[-1], batch.y)
        gates = gates_of(gate, signals, depth)
        with jax.named_scope("credit"):
            if declared_by(loss) == "probabilities":  # a step along dL/dh_L could leave [0, 1]
                k = layer_key(key, depth - 1)
                error = through(
                    net[-1], drive(net[-1], params[-1], (batch.x, *free)[-2], k), k, error
                )
            target = free[-1] - jnp.asarray(beta, error.dtype) * error
            hidden, after = settle(
                net, params, first, key, free[:-1], lambda _: target, clamped_steps, gain=gain
            )
        held, grads = (*hidden, target), []
        for l in range(depth):
            scale = jnp.asarray(gain, error.dtype) ** (l + 1 - depth) / jnp.asarray(
                beta, error.dtype
            )
            # The first layer has the same input in both phases: one pullback of the difference.
            phases = [(free, free[0] - held[0])] if l == 0 else [(held, -held[l]), (free, free[l])]
            pulls = [
                pull(
                    net[l], params[l], (batch.x, *h)[l], layer_key(key, l), scale * signal, gates[l]
                )
                for h, signal in phases
            ]
            grads.append(jax.tree.map(lambda *g: sum(g), *pulls))
        info = Info(loss=losses.mean(), signals=signals, residual=jnp.maximum(residual, after))
        return tuple(grads), state, info

    def predict(params, state, x, key, context=(), asked=None):
        del state, context
        output = free_phase(params, x, key)[1][0][-1]
        return answer(net, output, asked)

    return Rule(init, grad, predict)
