"""Actor-critic: the error of predicted rewards, as dopamine, meets the eligibility of synapses.

    delta_t = r_t + gamma V_t - V_{t-1},    dW = (1/B) sum_b sum_t delta_t E_{t-1}
    E_t = gamma lambda E_{t-1} + d [-log pi(a_t) - c V_t] / d W
V_t: value, the last output of the net at moment t;  pi: policy, softmax of its other outputs;  a_t:
action drawn from it;  r_t: reward of the action before, a_{t-1};  delta_t: [B] reward prediction
error, one number for all synapses;  E_t: [B, *W] eligibility of each synapse and example;  gamma:
discount;  lambda: decay of the trace;  c: weight of the critic. V is 0 where a trial has ended.

The derivative at each moment is that of e-prop (`bioplaus.rules.eprop`), exact for a net of one
layer. With lambda = 1 the updates of a trial at fixed weights add up to the policy gradient of
REINFORCE, whose baseline is V; this is the reward-based e-prop of Bellec et al., 2020.

Fremaux, Sprekeler, Gerstner, "Reinforcement Learning Using a Continuous Time Actor-Critic Framework
with Spiking Neurons", 2013, doi:10.1371/journal.pcbi.1003024. Bellec et al., 2020,
doi:10.1038/s41467-020-17236-y. Sutton, Barto, "Reinforcement Learning", 2nd ed., 2018, 13.5.
Departures: discrete moments; actor and critic are outputs of one net, and actions are drawn from a
softmax, where Fremaux et al. have populations of neurons that compete; the eligibility is the
derivative of log pi and V, where they have coincidences of spikes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.entry import learning_rule
from bioplaus.hyper import NonNegative, Probability, Real
from bioplaus.local import gates_of, signals_of, spread
from bioplaus.losses import at_each_moment
from bioplaus.net import advance, predictor
from bioplaus.outputs import declared_by, moment_loss
from bioplaus.rules.eprop import eprop
from bioplaus.rules.shared.acting import actions_of, discount_of, rewards_of
from bioplaus.rules.shared.over_time import ONLINE
from bioplaus.types import MOMENTS, Array, Batch, Loss, Net, PyTree, Rule, StreamInfo, StreamState


class Traces(NamedTuple):
    """What a stream keeps. of_moment: the traces of `rules.eprop`. eligibility: E, the tree of
    params with the axis [B] first. value: V at the last moment, [B]."""

    of_moment: PyTree
    eligibility: PyTree
    value: Array


class RewardInfo(StreamInfo):
    """Of a piece of K moments. The loss is the sum of -log pi(a) over it. action: [B, K], int. rpe:
    delta, [B, K]. value: V, [B, K]."""

    action: Array
    rpe: Array
    value: Array


@learning_rule(time=ONLINE, rewards=True)
def td(
    net: Net,
    loss: Loss,
    *,
    gamma: Probability = 0.99,
    decay: Probability = 0.9,
    critic: NonNegative = 0.5,
    scale: Real = 1.0,
    symmetric: bool = False,
    broadcast: Callable[[Array], Array] | None = None,
) -> Rule:
    """TD(lambda) on streams, one moment for each action: `bp.worlds.run`.

    loss: `bp.at_each_moment(bp.cross_entropy)`, whose derivative is that of -log pi. A net for C
    actions has C + 1 outputs at each moment.
    gamma: 0 to 1, for each moment. decay: lambda. critic: c. scale, symmetric: the feedback weights
    of `rules.eprop`. broadcast: what of delta [B, K] reaches the synapses, a function; None: all.

    A batch has `context["reward"]` [B, K], of the action before each moment; if trials end,
    `context["ended"]` [B, K], 1 at the moment that shows the last reward of a trial; and perhaps
    `context["serotonin"]` [B, K], which is gamma of that moment, in delta and in E. Actions are
    drawn at the moments that are not `asked`; at the others y says which is taken, and info
    ["action"] tells both. A whole sequence is a stream from rest. A gate, [], [B] or [B, K, 1],
    multiplies delta. Gains must be the same for all examples.

    Cost, in the letters of docs/rules.md: for each moment 2 F forward, F update for each example by
    itself, and as much as `rules.eprop` on streams; |theta| sums for a trace, of which there are B.
    """
    each = moment_loss(loss)
    if each is None or declared_by(loss) != "logits":
        raise ValueError(
            "td: the net answers at each moment with logits of the actions, and a value; give"
            " bp.at_each_moment(bp.cross_entropy)"
        )

    def of_both(output, y):
        return each(output[:, :-1], y[:, :-1]) - critic * output[:, -1]

    alone = eprop(net, at_each_moment(of_both), scale=scale, symmetric=symmetric).stream
    assert alone is not None

    def init(key, params, batch):
        return stream_init(key, params, batch).learned

    def stream_init(key, params, batch):
        rewards_of(batch)
        learned, pasts, traces = alone.init(key, params, Batch(batch.x, jnp.nan_to_num(batch.y)))
        examples, dtype = batch.x.shape[0], jnp.result_type(*jax.tree.leaves(params))
        eligibility = jax.tree.map(lambda w: jnp.zeros((examples, *w.shape), w.dtype), params)
        kept = Traces(traces, eligibility, jnp.zeros(examples, dtype))
        return StreamState(learned, pasts, kept)

    def played(params, pasts, x, key):
        """Outputs [K, C + 1] of one example."""
        return advance(net, params, _batched(pasts), x[None], key)[1].output[0]

    def taught(params, learned, pasts, traces, x, y, key):
        """The derivative at one moment of one example, and what its stream has become."""
        state = StreamState(learned, _batched(pasts), _batched(traces))
        grads, after, _ = alone.grad(params, state, Batch(x[None, None], y[None, None]), key)
        return grads, _single(after.pasts), _single(after.traces)

    def stream_grad(params, state, batch, key, gate=None):
        reward, live = rewards_of(batch)
        keys = jax.vmap(lambda b: jax.random.fold_in(key, b))(jnp.arange(len(reward)))
        axes = _axes((state.pasts, state.traces.of_moment))
        output = jax.vmap(played, (None, axes[0], 0, 0))(params, state.pasts, batch.x, keys)
        action = actions_of(batch.y, output[..., :-1], keys, state.pasts[0].t)
        y = jax.nn.one_hot(action, output.shape[-1], dtype=output.dtype)
        losses = loss(output[..., :-1], y[..., :-1])
        signals = signals_of(loss, losses, output[..., :-1], y[..., :-1])

        value = live * output[..., -1]
        before = jnp.concatenate([state.traces.value[:, None], value[:, :-1]], 1)
        discount = discount_of(batch, gamma)
        rpe = reward + discount * value - before
        fade = jnp.full(rpe.shape, discount * decay, rpe.dtype)
        dopamine = rpe if broadcast is None else broadcast(rpe)
        dopamine = tuple(_gated(g, dopamine) for g in gates_of(gate, signals, len(net)))
        teach = jax.vmap(taught, (None, None, *axes, 0, 0, 0), (0, *axes))

        def moment(carry, at):
            pasts, traces, eligibility, grads = carry
            x, y, live, fade, dopamine = at
            fresh, pasts, traces = teach(params, state.learned, pasts, traces, x, y, keys)
            with jax.named_scope("update"):
                learns = (
                    jax.tree.map(lambda e, d=d: jnp.tensordot(d, e, 1) / len(d), layer)
                    for d, layer in zip(dopamine, eligibility, strict=True)
                )
                grads = jax.tree.map(jnp.add, grads, tuple(learns))
                eligibility = jax.tree.map(
                    lambda e, f: _of_rows(live, e) * (_of_rows(fade, e) * e + f), eligibility, fresh
                )
            return (pasts, traces, eligibility, grads), None

        nothing = jax.tree.map(jnp.zeros_like, params)
        start = (state.pasts, state.traces.of_moment, state.traces.eligibility, nothing)
        moments = jax.tree.map(lambda a: jnp.moveaxis(a, 1, 0), (batch.x, y, live, fade, dopamine))
        with jax.named_scope(MOMENTS):
            (pasts, traces, eligibility, grads), _ = jax.lax.scan(moment, start, moments)
        kept = Traces(traces, eligibility, value[:, -1])
        info = RewardInfo(
            loss=losses.mean(), signals=signals, output=output, action=action, rpe=rpe, value=value
        )
        return grads, StreamState(state.learned, pasts, kept), info

    def grad(params, state, batch, key, gate=None):
        rest = stream_init(key, params, batch)._replace(learned=state)
        grads, after, info = stream_grad(params, rest, batch, key, gate)
        return grads, after.learned, info

    predict = predictor(net)
    return Rule(init, grad, predict, Rule(stream_init, stream_grad, predict))


def _gated(gate: Any, rpe: Array) -> Array:
    return rpe * spread(gate, rpe[..., None])[..., 0]


def _of_rows(factor: Array, like: Array) -> Array:
    return factor.reshape(-1, *(1,) * (like.ndim - 1))


# --- Streams of single examples, for `jax.vmap`: all but the number of the moment are floats


def _axes(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: 0 if _real(a) else None, tree)


def _batched(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: a[None] if _real(a) else a, tree)


def _single(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: a[0] if _real(a) else a, tree)


def _real(a: Array) -> bool:
    return jnp.issubdtype(a.dtype, jnp.floating)
