"""Three-factor learning: identities and negative controls.

Gauss-Hermite quadrature takes the mean over the noise of all units, without Monte Carlo error.
Loops in numpy give the traces and the delay, step by step.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import current_of
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    equal,
    large,
    pose,
    problem,
    relative,
    small,
    truth,
)
from bioplaus.layers import mlp
from bioplaus.net import current_shapes, forward, with_gain
from bioplaus.neurons import tanh
from bioplaus.types import Batch, Gain, PyTree, RuleFactory

KEY = "threefactor"
NOISE = 0.3
DELAY, DECAY, RATE, SIGMA, STEPS = 2, 0.6, 0.3, 0.4, 6


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be three-factor learning."""
    p = problem((2, 1, 2), examples=2)
    want = expected(p, NOISE)
    rows, weights = quadrature(3, 16)
    draws = drawn(factory, p, rows, sigma=NOISE)
    mean = jax.tree.map(lambda g: np.tensordot(weights, g, 1), draws)
    yield equal(KEY, "mean over the noise: the gradient of the expected loss", mean, want, 1e-8)
    yield large(
        KEY,
        "mean over the noise: differs from the gradient without noise",
        relative(mean, truth(p)),
        0.01,
    )
    yield large(
        KEY,
        "one draw differs from the mean: relative difference",
        relative(jax.tree.map(lambda g: g[0], draws), mean),
        0.5,
    )
    other = drawn(factory, p, rows, baseline=-3.0, sigma=NOISE)
    mean = jax.tree.map(lambda g: np.tensordot(weights, g, 1), other)
    yield equal(KEY, "mean over the noise: equal at another baseline", mean, want, 1e-8)
    yield large(
        KEY, "another baseline changes each draw: relative difference", relative(other, draws), 0.5
    )

    late = drawn(factory, p, rows, silent=DELAY, sigma=NOISE, delay=DELAY, decay=DECAY)
    mean = jax.tree.map(lambda g: np.tensordot(weights, g, 1), late)
    yield equal(
        KEY,
        "reward delayed by two steps: the same mean, two steps later",
        mean,
        want,
        1e-8,
    )

    constant = p._replace(loss=lambda output, y: jnp.full(len(y), 1.7) + 0 * (output * y).sum(-1))
    quiet, loud = (drawn(factory, constant, rows[:1], baseline=b, sigma=NOISE) for b in (1.7, 1.0))
    yield small(KEY, "reward equal to the baseline: largest gradient", biggest(quiet), 0.0)
    yield large(KEY, "reward differs from the baseline: largest gradient", biggest(loud), 1e-3)
    yield from timing(factory)
    yield from on_net(factory, pose(mlp((5, 6, 4, 3), tanh()), (4, 5), 3))


def timing(factory: RuleFactory) -> Iterator[Check]:
    """Six steps with a delay of two against loops in numpy.

    Each step has its batch, noise and gates.
    """
    p, draw = problem((3, 4, 2), examples=3), np.random.default_rng(3)
    x, xi, gates = (
        draw.standard_normal((STEPS, 3, 3)),
        draw.standard_normal((STEPS, 18)),
        draw.random((STEPS, 3)),
    )
    y = np.eye(2)[draw.integers(0, 2, (STEPS, 3))]

    def run(x, y):
        def step(state, now):
            x, y, row, gate = now
            rule = factory(
                p.net,
                p.loss,
                sigma=SIGMA,
                decay=DECAY,
                rate=RATE,
                delay=DELAY,
                sample=handing(row, shared=False),
            )
            grads, state, _ = rule.grad(p.params, state, Batch(x, y), p.key, gate)
            return state, grads

        first = factory(p.net, p.loss, decay=DECAY, delay=DELAY).init(
            p.key, p.params, Batch(x[0], y[0])
        )
        return jax.lax.scan(step, first, (x, y, xi, gates))[1]

    run = jax.jit(run)
    got, want = run(x, y), by_loops(p, x, y, xi, gates)
    yield small(
        KEY,
        "steps before the first reward: largest gradient",
        biggest(jax.tree.map(lambda g: g[:DELAY], got)),
        0.0,
    )
    after, before = (jax.tree.map(lambda g: g[DELAY:], updates) for updates in (got, want))
    yield equal(KEY, "traces, delay, gates and baseline: numpy, step by step", after, before, 1e-12)
    changed = y.copy()
    changed[1] = 1 - y[1]
    moved = [
        biggest(jax.tree.map(lambda a, b, t=t: a[t] - b[t], run(x, changed), got))
        for t in range(DELAY + 2)
    ]
    yield small(
        KEY,
        "a changed reward does not act before it arrives: largest change",
        max(moved[: DELAY + 1]),
        0.0,
    )
    yield large(
        KEY, "a changed reward acts when it arrives: largest change", moved[DELAY + 1], 1e-3
    )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """One step on any net: `jax.grad` of sum_l <xi_l / sigma, current_l>.

    Each example is weighted by its loss minus the baseline.
    """
    draw, sigma = np.random.default_rng(2), 0.3
    xi = [
        jnp.asarray(draw.standard_normal(a.shape))
        for a in current_shapes(p.net, p.params, p.batch, p.key)
    ]
    keys = []

    def sample(key, shape, dtype):
        del shape
        keys.append(jax.random.key_data(key))
        return xi[len(keys) - 1].astype(dtype)

    def run():
        rule = factory(p.net, p.loss, sigma=sigma, sample=sample)
        state = rule.init(p.key, p.params, p.batch)
        return rule.grad(p.params, state, p.batch, p.key)[0], state.baseline, jnp.stack(keys)

    def surrogate(params, baseline):
        noisy = with_gain(p.net, [Gain(offset=sigma * x) for x in xi])
        trace = jax.lax.stop_gradient(forward(noisy, params, p.batch.x, p.key))
        score = jnp.zeros(len(p.batch.y))
        for l, x in enumerate(xi):
            current = current_of(p, l, params[l], trace)
            score += jnp.sum((current * x / sigma).reshape(len(score), -1), -1)
        return jnp.mean((p.loss(trace.output, p.batch.y) - baseline) * score)

    grads, baseline, drawn_from = jax.jit(run)()
    yield equal(
        KEY,
        "one draw: jax.grad of (loss - baseline) times the noise's score",
        grads,
        jax.jit(jax.grad(surrogate))(p.params, baseline),
        1e-9,
    )
    yield large(
        KEY, "one draw differs from backprop: relative difference", relative(grads, truth(p)), 0.5
    )
    repeats = len(drawn_from) - len(np.unique(np.asarray(drawn_from), axis=0))
    yield small(KEY, "number of random keys that are used twice", repeats, 0)


def quadrature(units: int, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows [nodes^units, units] of standard normal noise, and their weights."""
    x, w = np.polynomial.hermite_e.hermegauss(nodes)
    rows = np.array(list(itertools.product(x, repeat=units)))
    return rows, np.array(list(itertools.product(w / w.sum(), repeat=units))).prod(1)


def handing(row: Any, *, shared: bool) -> Callable[..., jax.Array]:
    """A sampler that returns the numbers of a row in order.

    shared: whether all examples share the number of a unit.
    """
    position = 0

    def sample(key, shape, dtype):
        nonlocal position
        del key
        drawn = (1, *shape[1:]) if shared else shape
        position += (size := math.prod(drawn))
        return jnp.broadcast_to(row[position - size : position].reshape(drawn), shape).astype(dtype)

    return sample


def drawn(
    factory: RuleFactory,
    p: Problem,
    rows: np.ndarray,
    *,
    baseline: float = 0.5,
    silent: int = 0,
    **hyper: Any,
) -> PyTree:
    """`grad` at each row of noise; or of the last of `silent` further steps, without noise."""

    def one(row):
        def grad(state, noise):
            return factory(p.net, p.loss, sample=handing(noise, shared=True), **hyper).grad(
                p.params, state, p.batch, p.key
            )

        first = factory(p.net, p.loss, **hyper).init(p.key, p.params, p.batch)
        grads, state, _ = grad(first._replace(baseline=jnp.asarray(baseline)), row)
        for _ in range(silent):
            grads, state, _ = grad(state, 0 * row)
        return grads

    return jax.jit(jax.vmap(one))(jnp.asarray(rows))


def expected(p: Problem, sigma: float) -> PyTree:
    """`jax.grad` of the expected loss of a tanh perceptron with noisy currents.

    All examples share the noise.
    """
    rows, weights = quadrature(3, 16)

    def mean_loss(params):
        def one(row):
            h = jnp.tanh(p.batch.x @ params[0]["w"] + params[0]["b"] + sigma * row[:1])
            return p.loss(h @ params[1]["w"] + params[1]["b"] + sigma * row[1:], p.batch.y).mean()

        return jnp.asarray(weights) @ jax.vmap(one)(jnp.asarray(rows))

    return jax.jit(jax.grad(mean_loss))(p.params)


def by_loops(p: Problem, x: np.ndarray, y: np.ndarray, xi: np.ndarray, gates: np.ndarray) -> PyTree:
    """The updates of a tanh perceptron of two layers under cross-entropy, [steps, *W], in numpy."""
    (w1, b1), (w2, b2) = ((np.asarray(w["w"]), np.asarray(w["b"])) for w in p.params)

    def nats(output, y):
        return np.log(np.exp(output).sum(-1)) - (output * y).sum(-1)

    baseline = nats(np.tanh(x[0] @ w1 + b1) @ w2 + b2, y[0]).mean()
    traces = [np.zeros((3, *w.shape)) for w in (b1, w1, b2, w2)]
    losses, updates = [], []
    for t in range(STEPS):
        first, second = xi[t, :12].reshape(3, 4), xi[t, 12:].reshape(3, 2)
        h = np.tanh(x[t] @ w1 + b1 + SIGMA * first)
        losses.append(nats(h @ w2 + b2 + SIGMA * second, y[t]))
        outer = [np.einsum("bi,bj->bij", a, b) for a, b in ((x[t], first), (h, second))]
        scores = [first, outer[0], second, outer[1]]
        traces = [DECAY * e + s / SIGMA for e, s in zip(traces, scores, strict=True)]
        surprise = losses[t - DELAY] - baseline if t >= DELAY else np.zeros(3)
        baseline += RATE * surprise.mean()
        updates.append(
            [np.tensordot(gates[t] * surprise, e, 1) / (3 * DECAY**DELAY) for e in traces]
        )
    b1, w1, b2, w2 = (np.stack(u) for u in zip(*updates, strict=True))
    return ({"b": b1, "w": w1}, {"b": b2, "w": w2})


def biggest(tree: PyTree) -> float:
    """The largest absolute value."""
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


FAMILIES = {
    "threefactor": Family(
        checks,
        on_net,
        credit="one scalar: the reward, perhaps late",
        equals="in expectation, of the noisy net",
    )
}
