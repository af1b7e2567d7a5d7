"""Incremental predictive coding (iPC): weights and activities move together, step by step.

    F = sum_{l<L} 1/2 |eps_l|^2 + pi L(f(a_L), y)
    a_l = z_{l-1} W_l,    eps_l = z_l - f(a_l),    z_0 = x
    z_l <- z_l + gamma (-eps_l + (eps_{l+1} * f'(a_{l+1})) W_{l+1}^T)
    dW_l = -(1/(B pi)) z_{l-1}^T (eps_l * f'(a_l))        at each step, at the z before it
z_l: [B, n_l] activities of the hidden layers, which start from the forward pass of a new batch;
a_l: [B, n_l] currents;  f: neurons;  eps_l: [B, n_l] prediction errors, and eps_L stands for
-pi dL/df(a_L);  pi: precision of the output;  gamma: step size;  L(o, y): the loss.

Salvatori et al., "A Stable, Fast, and Fully Automatic Learning Algorithm for Predictive Coding
Networks", 2024, arXiv:2212.00720. Momentum of the activities: Pinchetti et al., 2024,
arXiv:2407.01163.
Departures: those of `bioplaus.rules.predictive_coding`.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import Fraction, Positive, Presentations
from bioplaus.local import gates_of, pull, signals_of
from bioplaus.net import forward, layer_key, predictor
from bioplaus.rules.shared.inference import inference
from bioplaus.rules.shared.over_time import NO_SPIKE_MOVES, OWN_INPUTS
from bioplaus.types import PER_LAYER, Info, Loss, Net, OverTime, PerExample, Rule

HOLDS = OverTime(recurrent=OWN_INPUTS, spikes=NO_SPIKE_MOVES)


class Held(NamedTuple):
    """The activities of the batch that is presented repeatedly.

    activities: z_l [B, n_l] of the hidden layers. velocity: of the activities, if they have
    momentum.
    step: how often the batch has been presented, int32.
    """

    activities: Annotated[PerExample, PER_LAYER]
    velocity: Annotated[PerExample, PER_LAYER]
    step: PerExample


@learning_rule(time=HOLDS)
def incremental_predictive_coding(
    net: Net,
    loss: Loss,
    *,
    hold: Presentations = 5,
    rate: Positive = 0.5,
    precision: Positive = 1.0,
    momentum: Fraction | None = None,
) -> Rule:
    """iPC: weights and activities move together, T times for each batch; not backprop.

    hold: T, how often each batch is presented in succession (`make_train(..., hold=T)`). Every T-th
    call starts a new batch from a forward pass, so that n steps are n updates on n / T batches.
    rate: gamma. precision: pi.
    momentum: mu of the activities within a batch, v <- mu v - gamma dF/dz, z <- z + v, as in the
    benchmark of Pinchetti et al., 2024, arXiv:2407.01163; None is 0.

    `info` comes from a forward pass with the current weights. Only the first call on a batch uses
    that pass for its activities, but its cost is counted at every call.

    Cost, in the letters of docs/rules.md: F forward, F + X credit, F update for each call.
    """

    def init(key, params, batch):
        z = forward(net, params, batch.x, key).inputs[1:]
        return Held(
            z, () if momentum is None else jax.tree.map(jnp.zeros_like, z), jnp.zeros((), jnp.int32)
        )

    def grad(params, state, batch, key, gate=None):
        k = [layer_key(key, l) for l in range(len(net))]
        trace = forward(net, params, batch.x, key)
        losses = loss(trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        fresh, held = trace.inputs[1:], state.activities
        if [z.shape for z in fresh] != [z.shape for z in held]:
            raise ValueError(
                f"iPC holds activities {[z.shape for z in held]}, the batch has"
                f" {[z.shape for z in fresh]}; present each batch {hold} times, and start with"
                " rule.init on a batch of this size"
            )
        z = tuple(
            jnp.where(state.step == 0, new, old) for new, old in zip(fresh, held, strict=True)
        )
        with jax.named_scope("credit"):
            after, inputs, signal = inference(
                net, loss, params, batch, trace.currents[0], k, rate, precision
            )(z)
            signal = [s / precision for s in signal]
            if momentum is None:
                z, v = after, ()
            else:
                mu = jnp.where(state.step == 0, 0, momentum)
                v = tuple(
                    mu * old + (new - h)
                    for old, new, h in zip(state.velocity, after, z, strict=True)
                )
                z = tuple(h + change.astype(h.dtype) for h, change in zip(z, v, strict=True))
        grads = [
            pull(net[l], params[l], inputs[l], k[l], signal[l], gates[l]) for l in range(len(net))
        ]
        return (
            tuple(grads),
            Held(z, v, (state.step + 1) % hold),
            Info(loss=losses.mean(), signals=signals),
        )

    return Rule(init, grad, predictor(net))
