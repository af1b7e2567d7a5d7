"""Incremental predictive coding: identities and negative controls."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import apart, output_of, same, settings
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    convolutional,
    equal,
    large,
    problem,
    relative,
    small,
    truth,
)
from bioplaus.identities.predictive_coding import descended, energy
from bioplaus.types import Batch, PyTree, Rule, RuleFactory


def size(grads: PyTree) -> float:
    """The norm of a tree as one vector."""
    return math.sqrt(sum(float(np.sum(np.square(g))) for g in jax.tree.leaves(grads)))


RATE, PRECISION, HOLD = 0.3, 0.5, 4


def ipc_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be incremental predictive coding."""
    grad = {}
    for kind, p in (("", problem()), (", convolutions and pooling", convolutional())):
        rule = factory(p.net, p.loss, hold=HOLD, rate=RATE, precision=PRECISION)
        grad[kind] = jax.jit(rule.grad)
        held = presented(grad[kind], rule, p, 0.0, HOLD)[0]
        yield equal(
            "ipc",
            f"first call on a batch: the last layer equals backprop{kind}",
            held[0][-1],
            truth(p)[-1],
            1e-12,
        )
        yield small(
            "ipc",
            f"first call on a batch: largest gradient of hidden layers{kind}",
            size(held[0][:-1]),
            1e-14,
        )
        name = f"fixed weights: call {HOLD} equals pc after {HOLD - 1} steps{kind}"
        yield equal("ipc", name, held[-1], descended(p, HOLD - 1, RATE, PRECISION), 1e-12)

    p = problem()
    rule = factory(p.net, p.loss, hold=HOLD, rate=RATE, precision=PRECISION)
    still = presented(grad[""], rule, p, 0.0, HOLD)[0][-1]
    grads, params, state = presented(grad[""], rule, p, 0.5, HOLD)
    yield equal(
        "ipc",
        "learning: weights and activities descend F at the same time",
        params,
        together(p, 0.5, HOLD),
        1e-12,
    )
    yield large(
        "ipc",
        f"learning changes the gradient of call {HOLD}: relative difference",
        relative(grads[-1], still),
        1e-3,
    )
    yield large(
        "ipc",
        f"call {HOLD} differs from backprop: relative difference",
        relative(still, truth(p)),
        0.1,
    )
    yield from _next_batch(grad[""], p, params, state)
    yield from _momentum(factory, p, params)
    yield from _gates(rule, p, state)


def _next_batch(grad: Any, p: Problem, params: PyTree, state: PyTree) -> Iterator[Check]:
    """Another batch after `HOLD` calls on the first one, which have led to params and state."""
    q = p._replace(params=params, batch=Batch(p.batch.x[::-1], p.batch.y))
    after = grad(q.params, state, q.batch, q.key)[0]
    yield equal(
        "ipc",
        "first call on the next batch: the last layer equals backprop",
        after[-1],
        truth(q)[-1],
        1e-12,
    )
    yield small(
        "ipc",
        "first call on the next batch: largest gradient of hidden layers",
        size(after[:-1]),
        1e-14,
    )
    late = grad(q.params, state._replace(step=jnp.asarray(1, jnp.int32)), q.batch, q.key)[0]
    yield large(
        "ipc",
        "next batch at the old activities: norm of the hidden layers' gradient",
        size(late[:-1]),
        1e-3,
    )


def _momentum(factory: RuleFactory, p: Problem, params: PyTree) -> Iterator[Check]:
    """Activities and weights with momentum. params: the weights that the rule reaches without."""
    heavy = factory(p.net, p.loss, hold=HOLD, rate=RATE, precision=PRECISION, momentum=0.4)
    moved = presented(jax.jit(heavy.grad), heavy, p, 0.5, 2 * HOLD)[1]
    twice = together(p._replace(params=together(p, 0.5, HOLD, 0.4)), 0.5, HOLD, 0.4)
    yield equal(
        "ipc",
        "momentum: weights descend F, and a new batch starts without velocity",
        moved,
        twice,
        1e-12,
    )
    yield large(
        "ipc",
        "momentum changes the weights: relative difference",
        relative(together(p, 0.5, HOLD, 0.4), params),
        1e-3,
    )


def _gates(rule: Rule, p: Problem, state: PyTree) -> Iterator[Check]:
    """Gates per example. state: of any earlier call."""
    g = jnp.linspace(0.0, 2.0, len(p.batch.y))
    state = state._replace(step=jnp.asarray(1, jnp.int32))
    gated = jax.jit(jax.vmap(lambda gate: rule.grad(p.params, state, p.batch, p.key, gate)[0]))(
        jnp.stack([*jnp.eye(len(g)), g])
    )
    summed = jax.tree.map(lambda a: jnp.tensordot(g, a[:-1], 1), gated)
    yield equal(
        "ipc",
        "gates weight the examples, at fixed activities",
        jax.tree.map(lambda a: a[-1], gated),
        summed,
        1e-12,
    )


def presented(
    grad: Callable[..., Any], rule: Rule, p: Problem, learning_rate: float, n: int
) -> tuple[list[PyTree], PyTree, Any]:
    """n calls on one batch, with gradient descent: the gradients, the last params and state."""
    params, state, found = p.params, rule.init(jax.random.key(6), p.params, p.batch), []
    for _ in range(n):
        grads, state, _ = grad(params, state, p.batch, p.key)
        params = jax.tree.map(lambda w, g: w - learning_rate * g, params, grads)
        found.append(grads)
    return found, params, state


def together(p: Problem, learning_rate: float, n: int, momentum: float = 0.0) -> PyTree:
    """Weights after n steps of gradient descent on F in weights and activities at once.

    Activities start at the forward pass.
    """

    @jax.jit
    def step(params, z, v):
        dw, dz = jax.grad(energy, argnums=(1, 2))(p, params, z, PRECISION)
        pace = learning_rate / (PRECISION * len(p.batch.y))
        return jax.tree.map(lambda w, g: w - pace * g, params, dw), jax.tree.map(
            lambda a, d: momentum * a - RATE * d, v, dz
        )

    params, z, h = p.params, [], p.batch.x
    for l, w in enumerate(params[:-1]):
        z.append(h := output_of(p, l, w, h))
    z, v = tuple(z), jax.tree.map(jnp.zeros_like, tuple(z))
    for _ in range(n):
        params, v = step(params, z, v)
        z = jax.tree.map(jnp.add, z, v)
    return params


def ipc_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Two calls on a batch of the caller's with fixed weights, at the factory's settings."""
    hyper = settings(factory)
    rule = factory(p.net, p.loss)
    first, second = presented(jax.jit(rule.grad), rule, p, 0.0, 2)[0]
    yield same(
        "ipc", "first call on a batch: the last layer equals backprop", first[-1:], truth(p)[-1:]
    )
    if len(p.net) > 1 and hyper["hold"] > 1:
        name = "fixed weights: call 2 equals pc after 1 step of inference"
        yield same(
            "ipc", name, second[-2:], descended(p, 1, hyper["rate"], hyper["precision"])[-2:]
        )
        yield from apart("ipc", p, second)


FAMILIES = {
    "ipc": Family(
        ipc_checks,
        ipc_on_net,
        credit="prediction errors, the weights moving with them",
        equals="never",
    ),
}
