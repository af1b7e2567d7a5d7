"""An agent in a world: its rule acts, the world answers, and the rule learns, moment by moment."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bioplaus.hyper import Count, declared
from bioplaus.losses import at_each_moment, cross_entropy
from bioplaus.net import forward
from bioplaus.net import init as init_net
from bioplaus.salts import NOISE, RULE, WEIGHTS, WORLD
from bioplaus.support import needs_rewards
from bioplaus.training.online import restarted
from bioplaus.training.steps import TrainState, learned, stream_of
from bioplaus.types import Array, Batch, Key, Net, PyTree, Rule, RuleFactory
from bioplaus.worlds.world import World


class Lived(NamedTuple):
    """What has happened at the moments [M] to the agents [B], each [M, B], and the last params.

    reward: of the action before. ended: whether the trial has ended with it. action, value, rpe:
    what the rule has done, its value V and its reward prediction error.
    """

    params: PyTree
    reward: Array
    ended: Array
    action: Array
    value: Array
    rpe: Array


@declared
def run(
    world: World,
    net: Net,
    factory: RuleFactory,
    tx: optax.GradientTransformation,
    *,
    key: Key,
    moments: Count = 1000,
    rows: Count = 16,
    params: PyTree = None,
) -> Lived:
    """`rows` agents with common weights live for `moments`, each in a world of its own, and learn
    at each. A trial that has ended is followed by another, before which the agent's own memory, its
    traces included, starts anew.

    net: over time, with world.actions + 1 outputs at each moment, for the logits of the actions and
    the value. factory: of a rule that needs rewards, as `bp.rules.td`, perhaps modulated. params:
    to go on with; drawn if none are given. It is one compiled program, and may be mapped over keys
    by `jax.vmap`.

    Raises ValueError for a rule that learns from labels, and for a net with other outputs.
    """
    if not needs_rewards(factory):
        raise ValueError(
            f"run: {getattr(factory, '__name__', factory)} learns from labels, and a world gives"
            " rewards; give a rule that takes them, as bp.rules.td"
        )
    stream = stream_of(factory(net, at_each_moment(cross_entropy)))
    state, x = _rows(world.reset, rows, jax.random.fold_in(jax.random.fold_in(key, WORLD), moments))
    params = (
        init_net(net, jax.random.fold_in(key, WEIGHTS), x[:, None]) if params is None else params
    )
    _check_outputs(world, net, params, x)
    seen = (x, jnp.zeros(rows), jnp.zeros(rows, bool))
    kept = stream.init(jax.random.fold_in(key, RULE), params, _batch(world, *seen))
    agent = TrainState(jnp.zeros((), jnp.int32), key, params, tx.init(params), kept)
    live = _life(world, stream, tx, key)
    (agent, *_), happened = jax.lax.scan(live, (agent, state, seen, seen[-1]), jnp.arange(moments))
    return Lived(agent.params, *happened)


def _batch(world: World, x: Array, reward: Array, ended: Array) -> Batch:
    """One moment, at which no action is given."""
    context = {"reward": reward[:, None], "ended": ended[:, None]}
    y = jnp.zeros((len(x), 1, world.actions + 1))
    return Batch(x[:, None], y, context, asked=jnp.zeros((len(x), 1), bool))


def _life(world: World, stream: Rule, tx: optax.GradientTransformation, key: Key):
    """One moment of the scan: the agents act and learn, and the worlds answer.

    Carried: the agents; the states of the worlds; what is seen, (x, reward, ended); and which
    agents begin a trial.
    """

    def live(carry, t):
        agent, state, seen, fresh = carry
        batch, (_, reward, ended) = _batch(world, *seen), seen
        rest = stream.init(jax.random.fold_in(key, RULE), agent.params, batch)
        agent = agent._replace(rule=restarted(agent.rule, rest, fresh))
        agent, info = learned(stream, tx, agent, batch, jax.random.fold_in(key, NOISE))
        value, rpe, action = (info[name][:, 0] for name in ("value", "rpe", "action"))

        rows, k = len(reward), jax.random.fold_in(jax.random.fold_in(key, WORLD), t)
        after = jax.vmap(world.step)(state, action, jax.random.split(k, rows))
        first = _rows(world.reset, rows, jax.random.fold_in(k, rows))
        anew = (*first, jnp.zeros_like(reward), jnp.zeros_like(ended))
        state, *seen = jax.tree.map(lambda a, b: jnp.where(_like(ended, a), a, b), anew, after)
        return (agent, state, tuple(seen), ended), (reward, ended, action, value, rpe)

    return live


def _rows(reset, rows: int, key: Key) -> tuple[PyTree, Array]:
    return jax.vmap(reset)(jax.random.split(key, rows))


def _like(flags: Array, a: Array) -> Array:
    return flags.reshape(-1, *(1,) * (a.ndim - 1))


def _check_outputs(world: World, net: Net, params: PyTree, x: Array) -> None:
    output = jax.eval_shape(lambda: forward(net, params, x[:, None], jax.random.key(0)).output)
    if output.shape != (len(x), 1, world.actions + 1):
        raise ValueError(
            f"run: the net answers {output.shape} where this world has {world.actions} actions;"
            f" expected {(len(x), 1, world.actions + 1)}, one logit for each action and the value,"
            f" at each moment: the last layer is bp.over_time(bp.dense({world.actions + 1}))"
        )


class Trials(NamedTuple):
    """Trials that have ended, in the order in which they did: the moments that each took, its
    rewards, and the row that lived it; each [N]."""

    moments: np.ndarray
    reward: np.ndarray
    row: np.ndarray


def trials(lived: Lived) -> Trials:
    """The trials of a run, row by row within a moment."""
    ended, paid = np.asarray(lived.ended), np.cumsum(np.asarray(lived.reward), 0)
    found = []
    for row in range(ended.shape[1]):
        ends = np.flatnonzero(ended[:, row])
        # the moment after the end of a trial is the first of the next, on which no action acted
        moments = np.diff(ends, prepend=-1) - 1
        rewards = np.diff(paid[ends, row], prepend=0)
        found += zip(ends, np.full(len(ends), row), moments, rewards, strict=True)
    columns = np.array(sorted(found)).reshape(-1, 4)
    return Trials(columns[:, 2].astype(int), columns[:, 3], columns[:, 1].astype(int))
