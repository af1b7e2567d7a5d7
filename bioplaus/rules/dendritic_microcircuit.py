"""Dendritic microcircuit: the error is the part of the top-down input that interneurons miss.

Interneurons predict the layer above; the apical dendrite adds up top-down input and prediction:
    u_l = a_l + g v_l,    a_l = r_{l-1} W_l,    r_l = phi(u_l),    r_0 = x
    u_L = a_L - lambda dL/dr_L
    v_l = r_{l+1} B_{l+1}^T + phi(w_l) P_{l+1}^T
    w_l = m_l + q (u_{l+1} - m_l),    m_l = r_l I_{l+1}
At the settled state
    dW_l = (1/(B lambda c_l)) r_{l-1}^T (phi(a_l) - phi(u_l)),    c_l = (g (1 - q))^{L-l}
    dI_{l+1} = (1/B) r_l^T (phi(m_l) - phi(w_l)),    dP_{l+1} = (1/B) v_l^T phi(w_l)
a_l, v_l, u_l: [B, n_l] basal, apical and somatic potential of the pyramidal cells;  r_l: [B, n_l]
their rates;  m_l, w_l: [B, n_{l+1}] dendritic and somatic potential of layer l's interneurons, one
for each pyramidal cell of the layer above, which nudges it;  B_l: top-down weights;  I_l, P_l:
weights to and from the interneurons; all of the shape of W_l;  lambda, g, q: the conductances of
the output's nudge, the apical dendrite and the interneurons' nudge, relative to the total ones.
In the self-predicting state, I = W and P = -B, the apical potential is zero without a target. With
one it is (1 - q) phi' (u_{l+1} - a_{l+1}) B_{l+1}^T to first order.

Sacramento, Costa, Bengio, Senn, "Dendritic cortical microcircuits approximate the backpropagation
algorithm", 2018, arXiv:1810.11393.
Departures: rates at the settled state, with each example alone, instead of potentials in time;
potentials are in units in which the basal attenuation is 1; any loss nudges the output; dW is
divided by lambda and by c_l, which replace separate learning rates of the layers; W_l and I_{l+1}
have biases; B is fixed; I and P start in the self-predicting state; predictions come from a forward
pass, which is the settled state without target if the circuit is self-predicting.
Convolutions: the interneurons have the synapses of the layer above, and P = -B cancels B only if
these are linear in their weights. A flax block with a skip connection or a norm is not, and the
circuit does not become self-predicting there.
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from bioplaus.entry import learning_rule
from bioplaus.hyper import Count, Positive, Probability, Real
from bioplaus.local import error_of, gates_of, pull, send, signals_of, spread
from bioplaus.net import drive, feedback_init, fire, forward, layer_key, predictor
from bioplaus.rules.shared.over_time import SETTLES
from bioplaus.rules.shared.relax import relax
from bioplaus.types import (
    Array,
    Feedback,
    Info,
    Key,
    Loss,
    Net,
    OptimiserOf,
    PerLayer,
    PyTree,
    Rule,
)

ADAM = optax.adam(2e-3)


class State(NamedTuple):
    """Lateral and top-down weights of each layer, with the tree of params; () for the first layer.

    feedback: B_l. predict: I_l, from the pyramidal cells to the interneurons. cancel: P_l, from the
    interneurons to the apical dendrites. opt: the state of `tx`, which trains I and P.
    """

    feedback: Feedback
    predict: PerLayer
    cancel: PerLayer
    opt: Annotated[Any, OptimiserOf(lambda state: (state.predict, state.cancel))]


@learning_rule(time=SETTLES)
def dendritic_microcircuit(
    net: Net,
    loss: Loss,
    *,
    nudge: Positive = 0.6,
    apical: Probability = 0.1,
    teaching: Probability = 0.03,
    steps: Count = 5,
    tx: optax.GradientTransformation = ADAM,
    scale: Real = 1.0,
) -> Rule:
    """Tends to backprop as nudge -> 0, at B = W in the self-predicting state.

    nudge, apical, teaching: lambda, g, q, each between 0 and 1. steps: T sweeps, from the top down.
    tx: optimiser of I and P. scale: multiplies B. The circuit stays close to the self-predicting
    state if the interneurons are nudged weakly, and if W learns slowly. Where it does not settle,
    info['residual'] (`bioplaus.rules.shared.relax`) is not small against 1.

    Cost, in the letters of docs/rules.md: F forward, T (F + 3X) credit, F update, and X each for
    I and P.
    """
    last = len(net) - 1

    def init(key, params, batch):
        feedback = jax.tree.map(
            lambda b: scale * b, ((), *feedback_init(net, key, params, batch.x)[1:])
        )
        lateral = ((), *params[1:]), jax.tree.map(jnp.negative, feedback)
        return State(feedback, *lateral, tx.init(lateral))

    def grad(params, state, batch, key, gate=None):
        if len(state.feedback) != len(net):
            raise ValueError(
                f"feedback has {len(state.feedback)} entries for {len(net)} layers; make it with"
                " rule.init"
            )
        k = [layer_key(key, l) for l in range(len(net))]
        trace = forward(net, params, batch.x, key)
        losses = loss(trace.output, batch.y)
        signals = signals_of(loss, losses, trace.output, batch.y)
        gates = gates_of(gate, signals, len(net))

        circuit, silence = _interneurons(net, params, state, k, teaching)

        def basal(u):
            """r_{l-1} and a_l of all layers."""
            r = (batch.x, *(fire(net[l], u[l], k[l]) for l in range(last)))
            return r, [
                drive(net[l], params[l], r[l], k[l]) if l else trace.currents[0]
                for l in range(len(net))
            ]

        def sweep(u, _):
            r, a = basal(u)
            new = [a[last] - nudge * error_of(loss, fire(net[last], a[last], k[last]), batch.y)[1]]
            for l in reversed(range(last)):
                new.insert(0, a[l] + apical * circuit(l, r[l + 1], new[0])[2])
            return tuple(new)

        with jax.named_scope("credit"):
            u, residual = relax(sweep, trace.currents, steps)
            r, a = basal(u)
        grads, predict, cancel = [], [()], [()]
        for l, layer in enumerate(net):
            reach = nudge * (apical * (1 - teaching)) ** (last - l)
            signal = (fire(layer, a[l], k[l]) - fire(layer, u[l], k[l])) / reach
            grads.append(pull(layer, params[l], r[l], k[l], signal, gates[l]))
        with jax.named_scope("auxiliary"):
            for l in range(last):
                up, g = net[l + 1], gates[l + 1]
                m, w, v = circuit(l, r[l + 1], u[l + 1])
                rate = fire(up, w, k[l + 1])
                predict.append(
                    pull(
                        up,
                        state.predict[l + 1],
                        r[l + 1],
                        k[l + 1],
                        fire(up, m, k[l + 1]) - rate,
                        g,
                    )
                )
                cancel.append(silence(l, r[l + 1], v, rate, g))
            lateral = state.predict, state.cancel
            updates, opt = tx.update((tuple(predict), tuple(cancel)), state.opt, lateral)
            lateral: Any = optax.apply_updates(lateral, updates)
        info = Info(loss=losses.mean(), signals=signals, residual=residual)
        return tuple(grads), State(state.feedback, lateral[0], lateral[1], opt), info

    return Rule(init, grad, predictor(net))


def _interneurons(
    net: Net, params: PyTree, state: State, k: list[Key], teaching: ArrayLike
) -> tuple[Callable[..., tuple[Array, Array, Array]], Callable[..., PyTree]]:
    """Two functions of layer l: the potentials of its interneurons, and what P_{l+1} learns.

    k: the key of each layer. teaching: q.
    """

    def circuit(l, r, above):
        """m_l, w_l and v_l. r: r_l. above: u_{l+1}."""
        up, p = net[l + 1], params[l + 1]
        m = drive(up, state.predict[l + 1], r, k[l + 1])
        w = m + teaching * (above - m)
        down = send(up, p, state.feedback[l + 1], r, k[l + 1], fire(up, above, k[l + 1]))
        return m, w, down + send(up, p, state.cancel[l + 1], r, k[l + 1], fire(up, w, k[l + 1]))

    def silence(l, r, v, rate, gate):
        """dP_{l+1}, exact also if the synapses above pool their input. rate: phi(w_l)."""
        rate = spread(gate, rate) * rate / len(rate)
        up, p = net[l + 1], params[l + 1]
        return jax.vjp(lambda c: send(up, p, c, r, k[l + 1], rate), state.cancel[l + 1])[1](v)[0]

    return circuit, silence
