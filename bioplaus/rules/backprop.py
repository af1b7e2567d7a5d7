"""Backprop: the output error travels back through the transposes of the forward weights.

    s_L = phi'(a_L) * e,    s_l = phi'(a_l) * (s_{l+1} W_{l+1}^T),    dW_l = (1/B) h_{l-1}^T s_l
h_{l-1}: [B, n_{l-1}] input of layer l;  a_l: [B, n_l] its current;  phi: its neurons;
e: [B, C] = dL/dh_L;  s_l: [B, n_l] teaching signal at the current.

Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", 1986,
doi:10.1038/323533a0.
Departures from the paper: none. `readout_only` is the baseline that any rule must beat: its hidden
layers keep their random initial weights.
"""

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.local import backward, error_of, gates_of, pull, signals_of, through
from bioplaus.net import forward, layer_key, predictor
from bioplaus.rules.shared.over_time import ANY
from bioplaus.types import Info, Loss, Net, OverTime, Rule

STILL = OverTime(still="they keep their first weights, to be what other rules must beat")


@learning_rule(time=ANY)
def backprop(net: Net, loss: Loss) -> Rule:
    """The reference: equals `jax.grad` of the mean loss.

    Cost, in the letters of docs/rules.md: F forward, X credit, F update.
    """

    def init(key, params, batch):
        del key, params, batch
        return ()

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        grads = backward(net, params, params, trace, error, key, gates_of(gate, signals, len(net)))
        return grads, state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))


@learning_rule(time=STILL)
def readout_only(net: Net, loss: Loss) -> Rule:
    """Random features: the delta rule on the last layer, and a zero gradient elsewhere.

    Equals backprop on a net of one layer that does not hear itself.
    """

    def init(key, params, batch):
        del key, params, batch
        return ()

    def grad(params, state, batch, key, gate=None):
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates, k = gates_of(gate, signals, len(net)), layer_key(key, len(net) - 1)
        signal = through(net[-1], trace.currents[-1], k, error)
        heard = trace.heard[-1]
        last = pull(net[-1], params[-1], trace.inputs[-1], k, signal, gates[-1], heard)
        return (
            (*jax.tree.map(jnp.zeros_like, params[:-1]), last),
            state,
            Info(loss=losses.mean(), signals=signals),
        )

    return Rule(init, grad, predictor(net))
