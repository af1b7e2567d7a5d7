"""Burst-dependent plasticity: event rates carry activity, burst probabilities carry credit.

    e_l = h_l + tonic,    b_l = p_l e_l,    dW_l = -(1/(B kappa)) h_{l-1}^T (b_l - pbar_l e_l)
    p_L = pbar_L - kappa phi'(a_L) (dL/dh_L) / e_L
    p_l = sigma(beta u_l),          pbar_l = sigma(beta ubar_l)
    u_l = (phi'(a_l) / e_l) * [b_{l+1} - iota pbar_{l+1} e_{l+1}] B_{l+1}^T
    ubar_l = (phi'(a_l) / e_l) * (1 - iota) [pbar_{l+1} e_{l+1}] B_{l+1}^T
h_l, a_l: [B, n_l] output and current of layer l;  phi: its neurons;  e_l, b_l: [B, n_l] event and
burst rate;  p_l, pbar_l: [B, n_l] burst probability with and without the teaching signal;  u_l,
ubar_l: [B, n_l] apical potential with and without it;  sigma: the logistic function;  B_l: feedback
weights of the shape of W_l, drawn as W_l is, never learned;  iota: the part of the top-down
baseline that inhibition removes;  kappa: strength of the teaching signal.
phi' / e is 1 - e for a sigmoid at tonic = 0.

Payeur, Guerguiev, Zenke, Richards, Naud, "Burst-dependent synaptic plasticity can coordinate
learning in hierarchical circuits", 2021, doi:10.1038/s41593-021-00857-x: iota = 0, beta = 1, pbar =
kappa = 0.2, tonic = 0 and sigmoids in the authors' code. Greedy, Zhu, Pemberton, Mellor, Costa,
"Single-phase deep learning in cortico-cortical networks", 2022, arXiv:2206.11769 (BurstCCN): iota =
1, beta = 4.
Departures: pbar is p without the teaching signal, as in the authors' rate code, not a moving
average; a perfect inhibition replaces the recurrent or interneuron weights that learn to cancel the
baseline; outputs may be negative, as those of tanh are: they are measured from the tonic rate,
which the presynaptic factor leaves out; p_L is not confined to [0, 1]; dW is divided by kappa.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import NonNegative, Positive, PositiveProbability, Real
from bioplaus.local import error_of, gates_of, pull, send, signals_of, through
from bioplaus.net import feedback_init, forward, layer_key, predictor
from bioplaus.types import Feedback, Info, Loss, Net, OverTime, Rule

BURSTS = OverTime(
    recurrent="bursts travel down from layer to layer, and not back along a layer's own past"
)


class State(NamedTuple):
    """feedback: B_l for each layer, with the tree of params; () for the first layer."""

    feedback: Feedback


@learning_rule(time=BURSTS)
def burstprop(
    net: Net,
    loss: Loss,
    *,
    nudge: Positive = 0.2,
    slope: Positive = 4.0,
    inhibition: NonNegative = 1.0,
    baseline: PositiveProbability = 0.2,
    tonic: NonNegative = 1.0,
    scale: Real = 1.0,
) -> Rule:
    """Tends to backprop as nudge -> 0, at B = W, slope 4 and inhibition 1.

    As slope -> 0 it tends to the direction of backprop.

    nudge: kappa. slope: beta. inhibition: iota. baseline: pbar of the output layer. tonic: event
    rate at output 0, in units of the output; event rates are not negative if outputs are at least
    -tonic.
    scale: multiplies B.

    Cost, in the letters of docs/rules.md: F forward, 2X credit, F update.
    """

    def init(key, params, batch):
        return State(
            jax.tree.map(lambda b: scale * b, ((), *feedback_init(net, key, params, batch.x)[1:]))
        )

    def grad(params, state, batch, key, gate=None):
        if len(state.feedback) != len(net):
            raise ValueError(
                f"feedback has {len(state.feedback)} entries for {len(net)} layers; make it with"
                " rule.init"
            )
        trace = forward(net, params, batch.x, key)
        losses, error = error_of(loss, trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))
        outputs, last, grads = (*trace.inputs[1:], trace.output), len(net) - 1, [()] * len(net)
        taught = resting = trace.output  # b - pbar e and pbar e, of the layer above
        for l in reversed(range(len(net))):
            k, a = layer_key(key, l), trace.currents[l]
            with jax.named_scope("credit"):
                # of a unit with several currents, as of two compartments, the same at each
                units = outputs[l].reshape(*outputs[l].shape, *(1,) * (a.ndim - outputs[l].ndim))
                event = units + jnp.asarray(tonic)
                if l == last:
                    p_bar = jnp.asarray(baseline)
                    taught = -jnp.asarray(nudge) * through(net[l], a, k, error)
                else:
                    upper = (
                        net[l + 1],
                        params[l + 1],
                        state.feedback[l + 1],
                        outputs[l],
                        layer_key(key, l + 1),
                    )
                    # Without events there are no bursts, and 0 / 1 is 0.
                    rate = jnp.where(event == 0, 1, event)
                    drive, change = (
                        slope * through(net[l], a, k, send(*upper, b)) / rate
                        for b in (resting, taught)
                    )
                    rest = (1 - inhibition) * drive
                    p_bar = jax.nn.sigmoid(rest)
                    taught = (jax.nn.sigmoid(rest + change) - p_bar) * event
                resting = p_bar * event
            grads[l] = pull(net[l], params[l], trace.inputs[l], k, -taught / nudge, gates[l])
        return tuple(grads), state, Info(loss=losses.mean(), signals=signals)

    return Rule(init, grad, predictor(net))
