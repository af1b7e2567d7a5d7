"""Real-time recurrent learning: all that the parameters have done to all states, carried forward.

    P_t = (ds_t / ds_{t-1}) P_{t-1} + ds_t / dtheta
    dtheta = (1/B) sum_t [(dL_t / ds_{t-1}) P_{t-1} + dL_t / dtheta]
s_t: [B, S] all states of all layers after moment t;  theta: all |theta| parameters;
P: [B, S, |theta|];  L_t: [B] loss of moment t. Exact: it equals backprop through time, on a stream
of any length, without a memory of the moments before a piece. P is carried as tangents, in forward
mode, one for each parameter, so that no matrix ds_t / ds_{t-1} is formed.

Williams, Zipser, "A Learning Algorithm for Continually Running Fully Recurrent Neural Networks",
1989, doi:10.1162/neco.1989.1.2.270.
Departures: any net; spikes have surrogate derivatives, as in every rule.
"""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from bioplaus.eligibility import begun, floats
from bioplaus.entry import learning_rule
from bioplaus.local import gates_of, signals_of, weighted
from bioplaus.net import advance, forward, predictor
from bioplaus.rules.shared.over_time import ONLINE
from bioplaus.types import Array, Info, Key, Loss, Net, PyTree, Rule, StreamInfo, StreamState

LARGEST = 10**7
"""Numbers of P for each example, at most."""
MOST_PARAMETERS = 10**4
"""Each tangent begins with a direction of as many numbers as there are parameters."""


@learning_rule(time=ONLINE)
def rtrl(net: Net, loss: Loss) -> Rule:
    """Backprop through time, forwards: the oracle for tiny nets.

        rule = bp.rules.rtrl(net, bp.at_each_moment(bp.mse))

    Raises ValueError for nets with more than 10^7 numbers in P for an example, S |theta|, or more
    than 10^4 parameters. A gate is a number, or one for each example. Cost, in the letters of
    docs/rules.md: |theta| F T in forward mode; memory |theta|^2 + B (S + K N) |theta|. N: currents
    and outputs of all layers at one moment; K: moments of a piece, T of a whole sequence.
    """

    def learned(params, pasts, tangents, batch, key, gate):
        """(grads, pasts, tangents, losses, signals, output) of a piece. tangents: of each state."""
        theta, unravel = ravel_pytree(params)
        states, rebuilt = floats(pasts)

        def run(params, states):
            after, trace = advance(net, params, rebuilt(states), batch.x, key)
            return (loss(trace.output, batch.y), floats(after)[0]), (after, trace.output)

        def along(direction, tangents):
            """What one parameter does."""
            primal, change, aux = jax.jvp(
                run, (params, states), (unravel(direction), tangents), has_aux=True
            )
            return change, (primal[0], *aux)

        changes, (losses, after, output) = jax.vmap(
            along, in_axes=(0, -1), out_axes=((-1, -1), None)
        )(jnp.eye(theta.size, dtype=theta.dtype), tangents)
        signals = signals_of(loss, losses, output, batch.y)
        gates = gates_of(gate, signals, len(net))
        with jax.named_scope("update"):
            grads = tuple(
                unravel((weighted(g, jnp.ones_like(losses)) / len(losses)) @ changes[0])[l]
                for l, g in enumerate(gates)
            )
        return grads, after, changes[1], losses, signals, output

    def init(key, params, batch):
        _check_size(net, params, batch.x, key)
        return ()

    def grad(params, state, batch, key, gate=None):
        _check_size(net, params, batch.x, key)
        grads, _, _, losses, signals, _ = learned(params, None, [], batch, key, gate)
        return grads, state, Info(loss=losses.mean(), signals=signals)

    def stream_init(key, params, batch):
        _check_size(net, params, batch.x, key)
        pasts, _ = begun(net, params, batch.x, key)
        size = ravel_pytree(params)[0].size
        states = floats(pasts)[0]
        return StreamState((), pasts, [jnp.zeros((*s.shape, size), s.dtype) for s in states])

    def stream_grad(params, state, batch, key, gate=None):
        grads, pasts, tangents, losses, signals, output = learned(
            params, state.pasts, state.traces, batch, key, gate
        )
        info = StreamInfo(loss=losses.mean(), signals=signals, output=output)
        return grads, StreamState((), pasts, tangents), info

    predict = predictor(net)
    return Rule(init, grad, predict, Rule(stream_init, stream_grad, predict))


def _check_size(net: Net, params: PyTree, x: Array, key: Key) -> None:
    """Raise ValueError for a net that is too large. Only shapes are computed."""

    def pasts(params, x):
        each = zip(net, params, forward(net, params, x, key).inputs, strict=True)
        return [layer.time.start(p, h) for layer, p, h in each if layer.time is not None]

    states = floats(jax.eval_shape(pasts, params, x))[0]
    n = sum(s.size // s.shape[0] for s in states)
    parameters = sum(w.size for w in jax.tree.leaves(params))
    if parameters * n > LARGEST or parameters > MOST_PARAMETERS:
        raise ValueError(
            f"rtrl: {parameters} parameters and {n} states are {parameters * n} numbers for each"
            f" example; rtrl is for tiny nets, of {MOST_PARAMETERS} parameters and {LARGEST}"
            " numbers at most: give a smaller one, or another rule, as eprop"
        )
