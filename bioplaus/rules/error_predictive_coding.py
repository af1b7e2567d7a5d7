"""Error-based predictive coding (ePC): strict predictive coding's minimum, found by the errors.

    F = sum_{l<L} 1/2 |eps_l|^2 + pi L(f(a_L), y)
    z_l = f(a_l) + eps_l,    a_l = z_{l-1} W_l,    z_0 = x
    infer: eps_l <- eps_l - eta (eps_l + d_l)        T times from eps = 0
           d_l = (d_{l+1} * f'(a_{l+1})) W_{l+1}^T,    d_L = pi dL/df(a_L)
    learn: dW_l = -(1/(B pi)) z_{l-1}^T (eps_l * f'(a_l)),    eps_L = -d_L
z_l: [B, n_l] activities;  a_l: [B, n_l] currents;  f: neurons;  eps_l: [B, n_l] prediction errors;
d_l: [B, n_l] derivative of pi L by z_l;  pi: precision of the output;  eta: step size.
Activities follow from the errors. Each step of inference is therefore a forward pass with errors,
followed by BACKPROP of the output's error to all of them: inference is not local, learning is. One
small step gives backprop, with a factor eta on the gradient of the hidden layers.

Goemaere, Oliviers, Bogacz, Demeester, "ePC: Overcoming Exponential Signal Decay in Deep Predictive
Coding Networks", 2025, arXiv:2505.20137.
Departures: the precision; dW is divided by pi, and not by eta T as in the authors' code, so that it
is that of strict predictive coding at equilibrium.
"""

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import Count, Positive
from bioplaus.local import error_of, gates_of, pull, send, signals_of, through
from bioplaus.net import drive, fire, forward, layer_key, predictor
from bioplaus.rules.shared.over_time import FEEDFORWARD
from bioplaus.rules.shared.relax import relax
from bioplaus.types import Info, Loss, Net, Rule


@learning_rule(time=FEEDFORWARD)
def error_predictive_coding(
    net: Net, loss: Loss, *, steps: Count = 5, rate: Positive = 0.3, precision: Positive = 1.0
) -> Rule:
    """Strict predictive coding at equilibrium; at T = 1 parallel to backprop as eta -> 0.

    The latter holds layer by layer.

    steps: T, each through the whole net and back. rate: eta. precision: pi. info['residual'] is
    that of `bioplaus.rules.shared.relax`.

    Cost, in the letters of docs/rules.md: F forward, T 2X credit, F update.
    """
    last = len(net) - 1

    def init(key, params, batch):
        del key, params, batch
        return ()

    def grad(params, state, batch, key, gate=None):
        k = [layer_key(key, l) for l in range(len(net))]
        trace = forward(net, params, batch.x, key)
        losses = loss(trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))

        def run(eps):
            """Inputs and currents of all layers, and d_L, with errors eps at the hidden layers."""
            inputs, currents = [batch.x], [trace.currents[0]]
            for l in range(1, len(net)):
                inputs.append(fire(net[l - 1], currents[-1], k[l - 1]) + eps[l - 1])
                currents.append(drive(net[l], params[l], inputs[l], k[l]))
            error = error_of(loss, fire(net[last], currents[last], k[last]), batch.y)[1]
            return inputs, currents, jnp.multiply(precision, error)

        def infer(eps, _):
            inputs, currents, d = run(eps)
            new = []
            for l in reversed(range(last)):
                signal = through(net[l + 1], currents[l + 1], k[l + 1], d)
                d = send(net[l + 1], params[l + 1], params[l + 1], inputs[l + 1], k[l + 1], signal)
                new.insert(0, eps[l] - rate * (eps[l] + d))
            return tuple(new)

        with jax.named_scope("credit"):
            eps = jax.tree.map(jnp.zeros_like, trace.inputs[1:])
            eps, residual = relax(infer, eps, steps) if last else ((), losses.mean() * 0)
            inputs, currents, d = run(eps)
        error = [
            through(net[l], currents[l], k[l], e) / precision
            for l, e in enumerate((*(-e for e in eps), d))
        ]
        grads = [
            pull(net[l], params[l], inputs[l], k[l], error[l], gates[l]) for l in range(len(net))
        ]
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals, residual=residual)

    return Rule(init, grad, predictor(net))
