"""Predictive coding: activities relax towards the minimum of the prediction errors. Three times at
which the weights learn.

    F = sum_{l<L} 1/2 |eps_l|^2 + pi L(f(a_L), y),    a_l = z_{l-1} W_l,    eps_l = z_l - f(a_l),
        z_0 = x
    infer: z_l <- z_l + gamma (-eps_l + (eps_{l+1} * f'(a_{l+1})) W_{l+1}^T),
        from the forward pass
    learn: dW_l = -(1/(B pi)) z_{l-1}^T (eps_l * f'(a_l))
strict: all W_l after T steps.    Z-IL: W_l at step t = L - l, the output first, gamma = pi = 1.
iPC: all W_l with every step
z_l: [B, n_l] activities of the hidden layers;
eps_L stands for -pi dL/df(a_L) (y - f(a_L) for half the squared error, as
in the paper);  pi: precision of the output.

Whittington and Bogacz, "An Approximation of the Error Backpropagation Algorithm in a Predictive
Coding Network with Local Hebbian Synaptic Plasticity", 2017, doi:10.1162/NECO_a_00949. Rao and
Ballard, 1999, doi:10.1038/4580. Z-IL: Song, Lukasiewicz, Xu, Bogacz, "Can the Brain Do
Backpropagation? Exact Implementation of Backpropagation in Predictive Coding Networks", 2020,
https://papers.nips.cc/paper/2020/hash/fec87a37cdeec1c6ecf8181c0aa2d3bf-Abstract.html. iPC:
Salvatori et al., "A Stable, Fast, and Fully Automatic Learning Algorithm for Predictive Coding
Networks", 2024, arXiv:2212.00720.
Departures: any loss at the output; predictions f(W z) rather than W f(z), so that the net is the
one other rules train; dW is divided by pi, so that it tends to backprop's as pi -> 0.
"""

from collections.abc import Callable
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.entry import learning_rule
from bioplaus.hyper import Count, Fraction, Positive, Share
from bioplaus.local import error_of, gates_of, pull, send, signals_of, through
from bioplaus.net import drive, fire, forward, layer_key, predictor
from bioplaus.rules.shared.relax import relax
from bioplaus.types import PER_LAYER, Array, Batch, Info, Key, Loss, Net, PerExample, PyTree, Rule


def inference(
    net: Net,
    loss: Loss,
    params: PyTree,
    batch: Batch,
    first: Array,
    k: list[Key],
    rate: ArrayLike,
    precision: ArrayLike,
) -> Callable[[tuple[Array, ...]], tuple[tuple[Array, ...], tuple[Array, ...], list[Array]]]:
    """A step of inference: activities z of the hidden layers -> (z after it, inputs of each layer
    and -eps_l * f'(a_l) before).

    first: the current of x. k: each layer's key.
    """
    last = len(net) - 1

    def infer(z):
        inputs, eps, signal = (batch.x, *z), [], []
        for l, layer in enumerate(net):
            a = first if l == 0 else drive(layer, params[l], inputs[l], k[l])
            output = fire(layer, a, k[l])
            eps.append(
                z[l] - output if l < last else precision * -error_of(loss, output, batch.y)[1]
            )
            signal.append(through(layer, a, k[l], -eps[l]))
        down = [
            send(net[l], params[l], params[l], z[l - 1], k[l], signal[l])
            for l in range(1, last + 1)
        ]
        return tuple(h - rate * (eps[l] + down[l]) for l, h in enumerate(z)), inputs, signal

    return infer


@learning_rule
def predictive_coding(
    net: Net, loss: Loss, *, steps: Count = 20, rate: Positive = 0.1, precision: Positive = 1.0
) -> Rule:
    """Tends to backprop as precision -> 0, and is not backprop otherwise. T (F + X) credit; the
    current of x is constant.

    steps: T. rate: gamma, a step of inference. precision: pi. info['residual'] is that of
    `bioplaus.rules.shared.relax`; under max pooling it stays at 1e-4 to 1e-2, because activities
    chatter where two of them tie (with mean pooling it falls to zero).
    """

    def init(key, params, batch):
        del key, params, batch
        return ()

    def grad(params, state, batch, key, gate=None):
        k = [layer_key(key, l) for l in range(len(net))]
        trace = forward(net, params, batch.x, key)
        losses = loss(trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        infer = inference(net, loss, params, batch, trace.currents[0], k, rate, precision)
        with jax.named_scope("credit"):
            hidden = len(net) > 1
            z, residual = (
                relax(lambda z, _: infer(z)[0], trace.inputs[1:], steps)
                if hidden
                else ((), losses.mean() * 0)
            )
            _, inputs, signal = infer(z)
        grads = [
            pull(net[l], params[l], inputs[l], k[l], signal[l] / precision, gates[l])
            for l in range(len(net))
        ]
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals, residual=residual)

    return Rule(init, grad, predictor(net))


@learning_rule
def zero_divergence_inference_learning(net: Net, loss: Loss, *, rate: Share = 1.0) -> Rule:
    """Z-IL. Equals backprop exactly: an error reaches layer l at step L - l, when nothing below has
    moved, and W_l learns there.

    It needs a clock that tells each layer when, and a forward pass to start from. rate: gamma;
    another than 1 multiplies the gradient of layer l by gamma^(L-l), and is no longer Z-IL: it is
    there for the comparison and is not tuned. Costs (F + X) credit at the first step, and one layer
    less at each of the others, whose errors have been learned from.
    """

    def init(key, params, batch):
        del key, params, batch
        return ()

    def grad(params, state, batch, key, gate=None):
        k = [layer_key(key, l) for l in range(len(net))]
        trace = forward(net, params, batch.x, key)
        losses = loss(trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        infer = inference(net, loss, params, batch, trace.currents[0], k, rate, 1.0)
        z, grads = trace.inputs[1:], []
        for l in reversed(range(len(net))):
            with jax.named_scope("credit"):
                z, inputs, signal = infer(z)
            grads.insert(0, pull(net[l], params[l], inputs[l], k[l], signal[l], gates[l]))
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))


class Held(NamedTuple):
    """activities: z_l [B, n_l] of the hidden layers, for the batch that is held. step: how often it
    has been presented, int32.

    velocity: of the activities, where they have momentum.
    """

    activities: Annotated[PerExample, PER_LAYER]
    velocity: Annotated[PerExample, PER_LAYER]
    step: PerExample


@learning_rule
def incremental_predictive_coding(
    net: Net,
    loss: Loss,
    *,
    hold: Count = 5,
    rate: Positive = 0.5,
    precision: Positive = 1.0,
    momentum: Fraction | None = None,
) -> Rule:
    """iPC. Weights and activities move together, T times a batch; not backprop. A call costs F
    forward, (F + X) credit, F update.

    hold: T, how often each batch is presented, one after the other (`make_train(..., hold=T)`):
    every T-th call takes its batch for a new one, from a forward pass. So n steps are n updates on
    n / T batches. rate: gamma. precision: pi.
    momentum: mu of the activities within a batch, v <- mu v - gamma dF/dz, z <- z + v, as in the
    benchmark of Pinchetti et al., 2024, arXiv:2407.01163; None is 0.
    info is of a forward pass at the weights of the call; it serves new batches alone, and is
    charged to every call.
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
