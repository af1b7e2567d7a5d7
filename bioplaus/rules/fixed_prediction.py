"""Predictive coding under the fixed-prediction assumption.

Predictions f(a_l), their derivatives f'(a_l) and the activities h_l that enter the weight updates
keep their values from the forward pass; the errors alone relax:
    eps_l <- eps_l + gamma (-eps_l + (eps_{l+1} * f'(a_{l+1})) W_{l+1}^T)
    eps_l = 0 at first,    eps_L = -dL/dh_L
    dW_l = -(1/B) h_{l-1}^T (eps_l * f'(a_l))
h_l: [B, n_l] activities, h_l = f(a_l);  a_l: [B, n_l] currents, a_l = h_{l-1} W_l;  f: neurons;
eps_l: [B, n_l] prediction errors;  gamma: step size.
At equilibrium this is backprop, written as a relaxation. a_l and h_l do not depend on the errors,
so that the network must remember the forward pass while other activity flows through it.

Millidge, Tschantz, Buckley, "Predictive Coding Approximates Backprop Along Arbitrary Computation
Graphs", 2022, arXiv:2006.04182. Rosenbaum, "On the Relationship Between Predictive Coding and
Backpropagation", 2022, doi:10.1371/journal.pone.0266102, with corrected formulae arXiv:2106.13082.
Departures: errors are relaxed instead of activities, which are h_l + eps_l; any loss at the output.
"""

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import Count, Share
from bioplaus.local import error_of, gates_of, pull, send, signals_of, through
from bioplaus.net import forward, layer_key, predictor
from bioplaus.rules.shared.relax import relax
from bioplaus.types import Info, Loss, Net, OverTime, Rule

RELAXES = OverTime(recurrent="errors relax from layer to layer, and not through a layer's own past")


@learning_rule(time=RELAXES)
def fixed_prediction(net: Net, loss: Loss, *, steps: Count = 20, rate: Share = 0.5) -> Rule:
    """Equals backprop at equilibrium, and at gamma = 1 after L - 1 steps.

    steps: T. rate: gamma in (0, 1], on which the equilibrium does not depend; it is not tuned.
    Before equilibrium dW_l is backprop's, times the probability of at least L - l successes in T
    draws with probability gamma each. If T steps are too few, info['residual']
    (`bioplaus.rules.shared.relax`) is not small against 1.

    Cost, in the letters of docs/rules.md: F forward, T X credit, F update.
    """
    last = len(net) - 1

    def init(key, params, batch):
        del key, params, batch
        return ()

    def grad(params, state, batch, key, gate=None):
        k = [layer_key(key, l) for l in range(len(net))]
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))

        def credited(eps):
            """-eps_l * f'(a_l), from the errors of the hidden layers."""
            return [
                through(net[l], trace.currents[l], k[l], -e) for l, e in enumerate((*eps, -error))
            ]

        def infer(eps, _):
            signal = credited(eps)
            down = [
                send(net[l], params[l], params[l], trace.inputs[l], k[l], signal[l])
                for l in range(1, last + 1)
            ]
            return tuple(e - rate * (e + down[l]) for l, e in enumerate(eps))

        with jax.named_scope("credit"):
            eps = jax.tree.map(jnp.zeros_like, trace.inputs[1:])
            eps, residual = relax(infer, eps, steps) if last else ((), losses.mean() * 0)
        signal = credited(eps)
        grads = [
            pull(net[l], params[l], trace.inputs[l], k[l], signal[l], gates[l])
            for l in range(len(net))
        ]
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals, residual=residual)

    return Rule(init, grad, predictor(net))
