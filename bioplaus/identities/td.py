"""Actor-critic: identities and negative controls.

TD(lambda) of one layer by loops in numpy; the gradient of the expected reward of a task of two
steps, by `jax.grad` over all its histories.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.common import Check, Family, Problem, equal, large, pose, relative, small
from bioplaus.layers import dense, over_time, recurrent
from bioplaus.losses import at_each_moment, cross_entropy
from bioplaus.net import forward
from bioplaus.neurons import alif, leaky, lif
from bioplaus.types import Batch, PyTree, RuleFactory

KEY = "td"
GAMMA, LAMBDA, CRITIC, RATE = 0.8, 0.6, 0.7, 0.3
LOSS = at_each_moment(cross_entropy)


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be actor-critic learning."""
    yield from of_one_layer(factory)
    yield from policy_gradient(factory)
    yield from of_streams(factory)
    yield from drawn_actions(factory)


# --- One layer: TD(lambda), by loops


def of_one_layer(factory: RuleFactory) -> Iterator[Check]:
    """A stream of three agents with trials that end, gates, and weights that learn all the time."""
    p = posed((over_time(dense(3)),), 3, 7, 4)
    draw = np.random.default_rng(2)
    reward, gates = draw.standard_normal((3, 7)), draw.random((3, 7))
    ended = np.zeros((3, 7))
    ended[0, 2] = ended[1, 4] = 1
    given = np.asarray(p.batch.y).argmax(-1)
    context = {"reward": reward, "ended": ended}
    hyper = {"gamma": GAMMA, "decay": LAMBDA, "critic": CRITIC}
    stream = factory(p.net, p.loss, **hyper).stream
    assert stream is not None

    @jax.jit
    def lived(params, state, gates, context):
        def moment(carry, at):
            params, state = carry
            x, y, context, gate = jax.tree.map(lambda a: a[:, None], at)
            found: Any = stream.grad(  # which reports more than all rules do
                params, state, Batch(x, y, context), p.key, gate[..., None]
            )
            grads, state, info = found
            params = jax.tree.map(lambda w, g: w - RATE * g, params, grads)
            return (params, state), (grads[0], info["value"][:, 0], info["rpe"][:, 0])

        moments = jax.tree.map(
            lambda a: jnp.moveaxis(jnp.asarray(a), 1, 0), (*p.batch[:2], context, gates)
        )
        return jax.lax.scan(moment, (params, state), moments)[1]

    start = stream.init(p.key, p.params, p.batch._replace(context=context))
    got = lived(p.params, start, gates, context)
    want = by_loops(p, given, reward, ended, gates)
    yield equal(KEY, "one layer, moment by moment: TD(lambda) in numpy", got, want, 1e-12)
    whole = by_loops(p, given, reward, 0 * ended, gates)
    yield large(KEY, "without ends of trials: relative difference", relative(got, whole), 0.1)
    yield large(
        KEY,
        "without gates: relative difference",
        relative(got, lived(p.params, start, 1 + 0 * gates, context)),
        0.1,
    )
    serotonin = draw.random((3, 7))
    slowed = lived(p.params, start, gates, context | {"serotonin": serotonin})
    want = by_loops(p, given, reward, ended, gates, serotonin)
    yield equal(KEY, "serotonin is the discount of its moment, in numpy", slowed, want, 1e-12)
    late = by_loops(p, given, reward, ended, gates, np.roll(serotonin, 1, 1))
    yield large(KEY, "serotonin one moment late: relative difference", relative(slowed, late), 0.1)


def by_loops(
    p: Problem, action: Any, reward: Any, ended: Any, gates: Any, gamma: Any = GAMMA
) -> PyTree:
    """(grads [T, *W], V [T, B], delta [T, B]) of a dense layer. gamma: [], or of moments [B, T]."""
    gamma = np.broadcast_to(gamma, reward.shape)
    w, b = (np.array(p.params[0][name]) for name in ("w", "b"))
    x = np.asarray(p.batch.x)
    rows, moments = action.shape
    traces = [np.zeros((rows, *a.shape)) for a in (b, w)]
    last, updates, values, errors = np.zeros(rows), [], [], []
    for t in range(moments):
        output = x[:, t] @ w + b
        odds = np.exp(output[:, :-1])
        signal = np.zeros_like(output)
        signal[:, :-1] = odds / odds.sum(-1, keepdims=True) - np.eye(odds.shape[1])[action[:, t]]
        signal[:, -1] = -CRITIC
        live = 1 - ended[:, t]
        value = live * output[:, -1]
        delta = reward[:, t] + gamma[:, t] * value - last
        grads = [np.tensordot(gates[:, t] * delta, e, 1) / rows for e in traces]
        fresh = [signal, np.einsum("bi,bj->bij", x[:, t], signal)]
        for k, f in enumerate(fresh):
            alive, discount = (a.reshape(-1, *(1,) * (f.ndim - 1)) for a in (live, gamma[:, t]))
            traces[k] = alive * (discount * LAMBDA * traces[k] + f)
        b, w, last = b - RATE * grads[0], w - RATE * grads[1], value
        updates.append(grads)
        values.append(value)
        errors.append(delta)
    by_bias, by_weights = (np.stack(u) for u in zip(*updates, strict=True))
    return {"b": by_bias, "w": by_weights}, np.stack(values), np.stack(errors)


# --- Two steps: the gradient of the expected reward


def policy_gradient(factory: RuleFactory) -> Iterator[Check]:
    """Spiking neurons, two actions, after the first of which the agent sees one of two inputs.

    All four histories are one batch, weighted by their probabilities, which a gate does.
    """
    net = (over_time(dense(6, lif(tau=3.0))), over_time(dense(3, leaky(tau=2.0))))
    histories = np.array(list(itertools.product((0, 1), repeat=2)))
    draw = np.random.default_rng(4)
    x = np.stack([2 * draw.standard_normal((1, 5)).repeat(4, 0)] * 3, 1)  # the first and the last
    x[:, 1] = 2 * draw.standard_normal((2, 5))[histories[:, 0]]
    first, second = np.array([0.3, -0.2]), np.array([[1.0, -0.5], [0.2, 0.7]])
    reward = np.stack([np.zeros(4), first[histories[:, 0]], second[tuple(histories.T)]], 1)
    ended = np.array([[0, 0, 1]] * 4)
    y = np.eye(3)[np.c_[histories, np.zeros(4, int)]]
    batch = Batch(jnp.asarray(x), jnp.asarray(y), {"reward": reward, "ended": ended})
    p = pose(net, x.shape, 3, LOSS, gain=2.0)._replace(batch=batch)

    def probabilities(params):
        logits = forward(p.net, params, batch.x, p.key).output[:, :2, :-1]
        logs = (jax.nn.log_softmax(logits) * batch.y[:, :2, :-1]).sum((1, 2))
        return jnp.exp(logs)

    def expected_loss(params):
        return -(probabilities(params) @ reward.sum(1))

    want = jax.jit(jax.grad(expected_loss))(p.params)
    chance = jax.jit(probabilities)(p.params)

    @jax.jit
    def mean(decay, batch):
        rule = factory(p.net, p.loss, gamma=1.0, decay=decay, critic=0.0, symmetric=True)
        state = rule.init(p.key, p.params, batch)
        return rule.grad(p.params, state, batch, p.key, gate=4 * chance)[0]

    got = mean(1.0, batch)
    actor = [(want[0], got[0]), *((want[1][n][..., :-1], got[1][n][..., :-1]) for n in ("w", "b"))]
    ours, theirs = zip(*((g, w) for w, g in actor), strict=True)
    name = "two steps, all histories: the gradient of the expected reward"
    yield equal(KEY, name, ours, theirs, 1e-10)
    yield small(KEY, "sum of the four probabilities - 1", abs(float(chance.sum()) - 1), 1e-12)
    yield large(
        KEY,
        "a trace that decays: relative difference",
        relative(mean(0.5, batch)[0], want[0]),
        0.01,
    )
    swapped = batch._replace(y=batch.y[::-1])
    yield large(
        KEY,
        "actions of another history: relative difference",
        relative(mean(1.0, swapped)[0], want[0]),
        0.1,
    )


# --- Streams


def of_streams(factory: RuleFactory) -> Iterator[Check]:
    """Recurrent ALIF neurons, random feedback: pieces of any length add up to the whole."""
    hidden = recurrent(dense(5, alif(tau=4.0, tau_adapt=9.0)), dense(5))
    p = posed((hidden, over_time(dense(3, leaky(tau=3.0)))), 3, 7, 4, gain=3.0)
    draw = np.random.default_rng(3)
    ended = np.zeros((3, 7))
    ended[0, 3] = 1
    batch = p.batch._replace(context={"reward": draw.standard_normal((3, 7)), "ended": ended})
    rule = factory(p.net, p.loss, gamma=GAMMA, decay=LAMBDA)
    assert rule.stream is not None
    init, step, whole = (jax.jit(f) for f in (rule.stream.init, rule.stream.grad, rule.grad))
    state = init(p.key, p.params, batch)

    def in_pieces(*, forget: bool):
        now, total, start = state, jax.tree.map(jnp.zeros_like, p.params), 0
        for moments in (1, 3, 1, 2):
            piece = jax.tree.map(lambda a, s=start, n=moments: a[:, s : s + n], batch)
            grads, now, info = step(p.params, now, piece, p.key)
            total, start = jax.tree.map(jnp.add, total, grads), start + moments
            now = state if forget else now
        return total, info["value"][:, -1]

    grads, _, info = whole(p.params, state.learned, batch, p.key)
    want = grads, info["value"][:, -1]
    yield equal(KEY, "a stream in pieces: the whole", in_pieces(forget=False), want, 1e-12)
    yield large(
        KEY, "pieces from rest: relative difference", relative(in_pieces(forget=True), want), 0.1
    )
    half = factory(p.net, p.loss, gamma=GAMMA, decay=LAMBDA, broadcast=lambda rpe: rpe / 2).grad
    halved = jax.jit(half)(p.params, state.learned, batch, p.key)[0]
    yield equal(
        KEY,
        "half of the dopamine: half of the change",
        jax.tree.map(lambda g: 2 * g, halved),
        grads,
        1e-12,
    )


def drawn_actions(factory: RuleFactory) -> Iterator[Check]:
    """Actions that are not given are drawn from the policy, anew for each agent and moment."""
    agents, moments = 2000, 2
    x = jnp.ones((agents, moments, 1))
    logits = jnp.array([0.5, -0.5, 1.0])
    params = ({"w": jnp.zeros((1, 4)), "b": jnp.r_[logits, 2.0]},)
    net, none = (over_time(dense(4)),), jnp.zeros((agents, moments), bool)
    batch = Batch(x, jnp.zeros((agents, moments, 4)), {"reward": jnp.zeros(none.shape)}, none)
    stream = factory(net, LOSS).stream
    assert stream is not None
    key = jax.random.key(8)
    info: Any = stream.grad(params, stream.init(key, params, batch), batch, key)[2]
    actions, p = np.asarray(info["action"]), np.asarray(jax.nn.softmax(logits))
    seen = np.stack([(actions == a).mean() for a in range(3)])
    z = np.abs(seen - p) / np.sqrt(p * (1 - p) / actions.size)
    yield small(KEY, "frequency of drawn actions: deviations from the policy", z.max(), 4)
    uniform = np.abs(seen - 1 / 3) / np.sqrt(2 / 9 / actions.size)
    yield large(KEY, "their deviations from chance", uniform.max(), 4)
    both = (actions[:, 0] == actions[:, 1]).mean()
    spread = np.sqrt((p @ p) * (1 - p @ p) / agents)
    yield small(KEY, "the same action twice: deviations from chance", abs(both - p @ p) / spread, 4)


def posed(net: Any, rows: int, moments: int, inputs: int, **gain: float) -> Problem:
    """A net for two actions, with actions that are given."""
    p = pose(net, (rows, moments, inputs), 3, LOSS, **gain)
    actions = np.random.default_rng(5).integers(0, 2, (rows, moments))
    return p._replace(batch=p.batch._replace(y=jnp.asarray(np.eye(3)[actions])))


FAMILIES = {
    KEY: Family(
        checks,
        credit="one scalar: the error of predicted reward; to hidden layers as in e-prop",
        equals="is no gradient of a loss: the policy gradient in expectation, at decay = 1",
    )
}
