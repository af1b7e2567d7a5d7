"""Predictive coding, strict: activities relax to the minimum of the prediction errors before the weights learn.

    F = sum_{l<L} 1/2 |eps_l|^2 + pi L(f(a_L), y),    a_l = z_{l-1} W_l,    eps_l = z_l - f(a_l),    z_0 = x
    infer T times:  z_l <- z_l + gamma (-eps_l + (eps_{l+1} * f'(a_{l+1})) W_{l+1}^T),    from the forward pass
    learn:          dW_l = -(1/(B pi)) z_{l-1}^T (eps_l * f'(a_l))
z_l: [B, n_l] activities of the hidden layers;  eps_L stands for -pi dL/df(a_L) (y - f(a_L) for half the squared error, as
in the paper);  pi: precision of the output.

Whittington and Bogacz, "An Approximation of the Error Backpropagation Algorithm in a Predictive Coding Network with Local
Hebbian Synaptic Plasticity", 2017, doi:10.1162/NECO_a_00949. Rao and Ballard, 1999, doi:10.1038/4580.
Departures: any loss at the output; predictions f(W z) rather than W f(z), so that the net is the one other rules train;
dW is divided by pi, so that it tends to backprop's as pi -> 0.
"""

import jax
from jax.typing import ArrayLike

from bioplaus.local import error_of, gates_of, pull, send, signals_of, through
from bioplaus.net import drive, fire, forward, layer_key, predictor
from bioplaus.relax import relax
from bioplaus.types import Loss, Net, Rule


def predictive_coding(net: Net, loss: Loss, *, steps: int = 20, rate: ArrayLike = 0.1, precision: ArrayLike = 1.0) -> Rule:
    """Tends to backprop as precision -> 0, and is not backprop otherwise. T (F + X) credit; the current of x is constant.

    steps: T. rate: gamma, a step of inference. precision: pi. info['residual'] is that of `bioplaus.relax`.
    """
    last = len(net) - 1

    def init(key, params, batch):
        del key, params, batch
        return ()

    def grad(params, state, batch, key, gate=None):
        k = [layer_key(key, l) for l in range(len(net))]
        trace = forward(net, params, batch.x, key)
        losses = loss(trace.output, batch.y)
        signals = signals_of(losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))

        def errors(z):
            """Inputs of each layer, prediction errors eps_l and -eps_l * f'(a_l), at activities z of the hidden layers."""
            inputs, eps, signal = (batch.x, *z), [], []
            for l, layer in enumerate(net):
                a = trace.currents[0] if l == 0 else drive(layer, params[l], inputs[l], k[l])
                output = fire(layer, a, k[l])
                eps.append(z[l] - output if l < last else precision * -error_of(loss, output, batch.y)[1])
                signal.append(through(layer, a, k[l], -eps[l]))
            return inputs, eps, signal

        def infer(z):
            _, eps, signal = errors(z)
            down = [send(net[l], params[l], params[l], z[l - 1], k[l], signal[l]) for l in range(1, last + 1)]
            return tuple(h - rate * (eps[l] + down[l]) for l, h in enumerate(z))

        with jax.named_scope("credit"):
            z, residual = relax(infer, trace.inputs[1:], steps) if last else ((), losses.mean() * 0)
            inputs, _, signal = errors(z)
        grads = [pull(net[l], params[l], inputs[l], k[l], signal[l] / precision, gates[l]) for l in range(len(net))]
        return tuple(grads), state, {"loss": losses.mean(), "signals": signals, "residual": residual}

    return Rule(init, grad, predictor(net))
