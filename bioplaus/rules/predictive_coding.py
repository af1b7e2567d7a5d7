"""Predictive coding: activities relax towards the minimum of the prediction errors.

Two times at which the weights learn: after the relaxation (strict), or layer by layer (Z-IL).
    F = sum_{l<L} 1/2 |eps_l|^2 + pi L(f(a_L), y)
    a_l = z_{l-1} W_l,    eps_l = z_l - f(a_l),    z_0 = x
    infer: z_l <- z_l + gamma (-eps_l + (eps_{l+1} * f'(a_{l+1})) W_{l+1}^T)
    learn: dW_l = -(1/(B pi)) z_{l-1}^T (eps_l * f'(a_l))
Inference starts from the activities of the forward pass.
    strict: all W_l learn after T steps of inference
    Z-IL:   W_l learns at step t = L - l, so that the output layer is the first; gamma = pi = 1
z_l: [B, n_l] activities of the hidden layers;  a_l: [B, n_l] currents;  f: neurons;  eps_l:
[B, n_l] prediction errors, where eps_L stands for -pi dL/df(a_L), which is y - f(a_L) for half the
squared error, as in the paper;  pi: precision of the output;  gamma: step size;  L(o, y): the loss.

Whittington and Bogacz, "An Approximation of the Error Backpropagation Algorithm in a Predictive
Coding Network with Local Hebbian Synaptic Plasticity", 2017, doi:10.1162/NECO_a_00949. Rao and
Ballard, 1999, doi:10.1038/4580. Z-IL: Song, Lukasiewicz, Xu, Bogacz, "Can the Brain Do
Backpropagation? Exact Implementation of Backpropagation in Predictive Coding Networks", 2020,
https://papers.nips.cc/paper/2020/hash/fec87a37cdeec1c6ecf8181c0aa2d3bf-Abstract.html.
Departures: any loss at the output; predictions are f(W z) rather than W f(z), so that the net is
the one that other rules train; dW is divided by pi, so that it tends to backprop's as pi -> 0.
"""

import jax

from bioplaus.entry import learning_rule
from bioplaus.hyper import Count, Positive, Share
from bioplaus.local import gates_of, pull, signals_of
from bioplaus.net import forward, layer_key, predictor
from bioplaus.rules.shared.inference import inference
from bioplaus.rules.shared.over_time import FEEDFORWARD
from bioplaus.rules.shared.relax import relax
from bioplaus.types import Info, Loss, Net, Rule


@learning_rule(time=FEEDFORWARD)
def predictive_coding(
    net: Net, loss: Loss, *, steps: Count = 20, rate: Positive = 0.1, precision: Positive = 1.0
) -> Rule:
    """Strict predictive coding: tends to backprop as precision -> 0, and is not backprop otherwise.

    steps: T. rate: gamma. precision: pi. info['residual'] is that of `bioplaus.rules.shared.relax`.
    Under max pooling it stays at 1e-4 to 1e-2, because activities chatter where two of them tie;
    with mean pooling it falls to zero.

    Cost, in the letters of docs/rules.md: F forward, T (F + X) credit without the first layer's
    current (which is constant), F update.
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


@learning_rule(time=FEEDFORWARD)
def zero_divergence_inference_learning(net: Net, loss: Loss, *, rate: Share = 1.0) -> Rule:
    """Z-IL: equals backprop exactly.

    An error reaches layer l at step L - l, when nothing below has moved, and W_l learns at that
    step. The rule needs a forward pass to start from, and a clock that tells each layer when to
    learn.

    rate: gamma. A value below 1 multiplies the gradient of layer l by gamma^(L-l); that is no
    longer Z-IL, but there for comparison, and it is not tuned.

    Cost, in the letters of docs/rules.md: F forward, F update; credit is F + X at the first step,
    and one layer less at each further step, because layers that have learned drop out.
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
