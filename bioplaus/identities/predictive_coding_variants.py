"""Variants of predictive coding: identities and negative controls. Two of them equal backprop,
which the strict form does not.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import apart, output_of, same, settings
from bioplaus.identities.common import (
    LINEAR,
    Check,
    Family,
    Problem,
    convolutional,
    cosine,
    equal,
    gradient,
    large,
    pose,
    problem,
    relative,
    small,
    truth,
)
from bioplaus.identities.predictive_coding import descended, energy, equilibrium_energy
from bioplaus.losses import mse
from bioplaus.rules import predictive_coding
from bioplaus.types import Batch, PyTree, Rule, RuleFactory


def zil_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be Z-IL."""
    p = pose(problem().net, (8, 12), 5, gain=1.2)
    backprop = truth(p)
    yield equal("zil", "backprop", gradient(factory, p)[0], backprop, 1e-12)
    deep = problem((6, 8, 7, 9, 5, 4), loss=mse)
    yield equal(
        "zil",
        "backprop, four hidden layers, half the squared error",
        gradient(factory, deep)[0],
        truth(deep),
        1e-12,
    )
    images = convolutional()
    yield equal(
        "zil",
        "backprop, convolutions and pooling",
        gradient(factory, images)[0],
        truth(images),
        1e-12,
    )

    slow = gradient(factory, p, rate=0.5)[0]
    scaled = [jax.tree.map(lambda g, l=l: 0.5 ** (2 - l) * g, backprop[l]) for l in range(3)]
    yield large(
        "zil",
        "half a step of inference is not backprop: relative difference",
        relative(slow, backprop),
        0.4,
    )
    yield equal("zil", "but backprop times 2^-(L-l) at layer l", list(slow), scaled, 1e-12)
    strict = gradient(predictive_coding, p, steps=2, rate=1.0)[0]
    name = (
        "strict predictive coding, which learns after the last of these steps, is not: relative"
        " difference"
    )
    yield large("zil", name, relative(strict, backprop), 0.05)


def zil_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Checks on any net."""
    yield same("zil", "backprop", gradient(factory, p)[0], truth(p))
    yield from apart("zil", p, gradient(factory, p, rate=0.5)[0])


def fpa_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be predictive coding with fixed predictions."""
    p = pose(problem().net, (8, 12), 5, gain=1.2)
    backprop = truth(p)
    settled, _, info = gradient(factory, p, steps=80)
    yield small("fpa", "settles: residual after 80 steps", info["residual"], 1e-14)
    yield equal("fpa", "backprop at equilibrium", settled, backprop, 1e-12)
    yield equal(
        "fpa",
        "backprop after L - 1 steps of size 1",
        gradient(factory, p, steps=2, rate=1.0)[0],
        backprop,
        1e-12,
    )
    deep = problem((6, 8, 7, 9, 5, 4), loss=mse)
    name = "backprop, four hidden layers, half the squared error"
    yield equal("fpa", name, gradient(factory, deep, steps=4, rate=1.0)[0], truth(deep), 1e-12)
    images = convolutional()
    yield equal(
        "fpa",
        "backprop, convolutions and pooling",
        gradient(factory, images, steps=80)[0],
        truth(images),
        1e-12,
    )

    early, _, info = gradient(factory, p, steps=3, rate=0.3)
    yield large(
        "fpa", "too few steps are not backprop: relative difference", relative(early, backprop), 0.2
    )
    yield large("fpa", "and the residual says so", info["residual"], 0.1)
    yield equal(
        "fpa",
        "but backprop times the chance of L - l of 3 draws at 0.3",
        early,
        arrived(backprop, 3, 0.3),
        1e-12,
    )
    strict = gradient(predictive_coding, p, steps=80, rate=0.5)[0]
    yield large(
        "fpa",
        "strict predictive coding is not backprop: relative difference",
        relative(strict, backprop),
        0.05,
    )


def arrived(backprop: PyTree, steps: int, rate: float) -> PyTree:
    """Backprop's gradient of layer l times P(at least L - l successes in `steps` draws at
    `rate`).
    """
    chances = [math.comb(steps, n) * rate**n * (1 - rate) ** (steps - n) for n in range(steps + 1)]
    last = len(backprop) - 1
    return tuple(
        jax.tree.map(lambda g, l=l: sum(chances[last - l :]) * g, layer)
        for l, layer in enumerate(backprop)
    )


def fpa_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Checks on any net."""
    got = gradient(factory, p, steps=max(len(p.net) - 1, 1), rate=1.0)[0]
    yield same("fpa", "backprop after L - 1 steps of size 1", got, truth(p))
    yield from apart("fpa", p, gradient(factory, p, steps=1, rate=0.5)[0])


def epc_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be predictive coding over errors."""
    p = problem()
    got = gradient(factory, p, steps=7, rate=0.2, precision=0.3)[0]
    yield equal(
        "epc",
        "jax.grad of F after 7 steps of gradient descent on F over errors",
        got,
        by_errors(p, 7, 0.2, 0.3),
        1e-12,
    )
    images = convolutional()
    got = gradient(factory, images, steps=3, rate=0.2, precision=1.0)[0]
    yield equal(
        "epc",
        "the same with convolutions and pooling, 3 steps",
        got,
        by_errors(images, 3, 0.2, 1.0),
        1e-12,
    )

    p = pose(p.net, (8, 12), 5, gain=1.2)
    backprop = truth(p)
    strict = gradient(predictive_coding, p, steps=1000)[0]
    settled, _, info = gradient(factory, p, steps=300, rate=0.1)
    yield small("epc", "settles: residual after 300 steps", info["residual"], 1e-10)
    yield equal("epc", "strict predictive coding at equilibrium", settled, strict, 1e-8)
    yield large(
        "epc",
        "which is not parallel to backprop: 1 - cosine",
        1 - cosine(settled[0], backprop[0]),
        1e-3,
    )

    once, _, info = gradient(factory, p, steps=1, rate=1e-3)
    yield large("epc", "one step has not settled: residual", info["residual"], 0.5)
    first = jax.tree.map(lambda g: 1e-3 * g, backprop[0])
    yield equal(
        "epc",
        "one step of 1e-3: the first layer's gradient is 1e-3 of backprop's",
        once[0],
        first,
        1e-12,
    )
    worst = min(map(cosine, once, backprop))
    yield small("epc", "and every layer's is parallel to it: 1 - cosine", 1 - worst, 3e-5)

    linear = problem((12, 20, 16, 8, 5), neuron=LINEAR, loss=mse)
    exact = jax.jit(jax.grad(equilibrium_energy))(linear.params, linear.batch, 0.25)
    got = gradient(factory, linear, steps=300, rate=0.1, precision=0.25)[0]
    yield equal(
        "epc",
        "linear net: jax.grad of the equilibrium energy 1/2 r^T S^-1 r, precision 0.25",
        got,
        exact,
        1e-9,
    )


def by_errors(p: Problem, steps: int, rate: float, precision: float) -> PyTree:
    """(1 / (B pi)) dF/dW, activities held, after gradient descent on F by the errors alone, from
    zero.
    """

    def activities(params, eps):
        z = [p.batch.x]
        for l, e in enumerate(eps):
            z.append(output_of(p, l, params[l], z[l]) + e)
        return tuple(z[1:])

    def gradients(params):
        def free(eps):
            top = (p.batch.x, *activities(params, eps))[-1]
            output = output_of(p, len(eps), params[-1], top)
            return (
                sum(0.5 * jnp.sum(e**2) for e in eps) + precision * p.loss(output, p.batch.y).sum()
            )

        eps, h = [], p.batch.x
        for l, w in enumerate(params[:-1]):
            h = output_of(p, l, w, h)
            eps.append(jnp.zeros_like(h))

        def body(eps, _):
            return jax.tree.map(lambda e, d: e - rate * d, eps, jax.grad(free)(eps)), None

        eps = jax.lax.scan(body, eps, length=steps)[0]
        z = activities(params, eps)
        return jax.tree.map(
            lambda g: g / (precision * len(p.batch.y)),
            jax.grad(energy, argnums=1)(p, params, z, precision),
        )

    return jax.jit(gradients)(p.params)


def size(grads: PyTree) -> float:
    """The norm of a tree as one vector."""
    return math.sqrt(sum(float(np.sum(np.square(g))) for g in jax.tree.leaves(grads)))


def epc_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Predictive coding over errors on a net of the caller's, at the factory's settings."""
    grads, hyper = gradient(factory, p)[0], settings(factory)
    name = f"jax.grad of F after {hyper['steps']} steps of gradient descent on F over errors"
    yield same("epc", name, grads, by_errors(p, hyper["steps"], hyper["rate"], hyper["precision"]))
    yield from apart("epc", p, grads)


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
            f"a new batch: the last layer learns as in backprop{kind}",
            held[0][-1],
            truth(p)[-1],
            1e-12,
        )
        yield small("ipc", f"and no other does: largest gradient{kind}", size(held[0][:-1]), 1e-14)
        name = f"weights held, call {HOLD} is strict predictive coding after {HOLD - 1} steps{kind}"
        yield equal("ipc", name, held[-1], descended(p, HOLD - 1, RATE, PRECISION), 1e-12)

    p = problem()
    rule = factory(p.net, p.loss, hold=HOLD, rate=RATE, precision=PRECISION)
    still = presented(grad[""], rule, p, 0.0, HOLD)[0][-1]
    grads, params, state = presented(grad[""], rule, p, 0.5, HOLD)
    yield equal(
        "ipc", "weights and activities descend F together", params, together(p, 0.5, HOLD), 1e-12
    )
    yield large(
        "ipc",
        "the weights learned from matter: relative difference",
        relative(grads[-1], still),
        1e-3,
    )
    yield large(
        "ipc", f"call {HOLD} is not backprop: relative difference", relative(still, truth(p)), 0.1
    )

    q = p._replace(params=params, batch=Batch(p.batch.x[::-1], p.batch.y))
    after = grad[""](q.params, state, q.batch, q.key)[0]
    yield equal(
        "ipc",
        "the next batch starts from a forward pass: last layer as in backprop",
        after[-1],
        truth(q)[-1],
        1e-12,
    )
    yield small("ipc", "and no other learns: largest gradient", size(after[:-1]), 1e-14)
    late = grad[""](q.params, state._replace(step=jnp.asarray(1, jnp.int32)), q.batch, q.key)[0]
    yield large(
        "ipc",
        "from the activities of the old one instead, they would: gradient",
        size(late[:-1]),
        1e-3,
    )

    heavy = factory(p.net, p.loss, hold=HOLD, rate=RATE, precision=PRECISION, momentum=0.4)
    moved = presented(jax.jit(heavy.grad), heavy, p, 0.5, 2 * HOLD)[1]
    twice = together(p._replace(params=together(p, 0.5, HOLD, 0.4)), 0.5, HOLD, 0.4)
    yield equal("ipc", "with momentum, too; a new batch starts at rest", moved, twice, 1e-12)
    yield large(
        "ipc",
        "momentum matters: relative difference",
        relative(together(p, 0.5, HOLD, 0.4), params),
        1e-3,
    )

    g = jnp.linspace(0.0, 2.0, len(p.batch.y))
    state = state._replace(step=jnp.asarray(1, jnp.int32))
    gated = jax.jit(jax.vmap(lambda gate: rule.grad(p.params, state, p.batch, p.key, gate)[0]))(
        jnp.stack([*jnp.eye(len(g)), g])
    )
    summed = jax.tree.map(lambda a: jnp.tensordot(g, a[:-1], 1), gated)
    yield equal(
        "ipc",
        "gates weigh examples, at held activities",
        jax.tree.map(lambda a: a[-1], gated),
        summed,
        1e-12,
    )


def presented(
    grad: Callable[..., Any], rule: Rule, p: Problem, learning_rate: float, n: int
) -> tuple[list[PyTree], PyTree, Any]:
    """n calls on the same batch, with plain gradient descent: gradients, then weights and state
    after them.
    """
    params, state, found = p.params, rule.init(jax.random.key(6), p.params, p.batch), []
    for _ in range(n):
        grads, state, _ = grad(params, state, p.batch, p.key)
        params = jax.tree.map(lambda w, g: w - learning_rate * g, params, grads)
        found.append(grads)
    return found, params, state


def together(p: Problem, learning_rate: float, n: int, momentum: float = 0.0) -> PyTree:
    """Weights after n steps of gradient descent on F in weights and activities at once, from the
    forward pass.
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
    """Two calls on a batch of the caller's, weights held, at the factory's settings."""
    hyper = settings(factory)
    rule = factory(p.net, p.loss)
    first, second = presented(jax.jit(rule.grad), rule, p, 0.0, 2)[0]
    yield same(
        "ipc", "a new batch: the last layer learns as in backprop", first[-1:], truth(p)[-1:]
    )
    if len(p.net) > 1 and hyper["hold"] > 1:
        name = "weights held, call 2 is strict predictive coding after 1 step"
        yield same(
            "ipc", name, second[-2:], descended(p, 1, hyper["rate"], hyper["precision"])[-2:]
        )
        yield from apart("ipc", p, second)


FAMILIES = {
    "zil": Family(
        zil_checks,
        zil_on_net,
        credit="relaxation that passes backprop's errors on",
        equals="always: they are backprop by other means",
    ),
    "fpa": Family(
        fpa_checks,
        fpa_on_net,
        credit="relaxation that passes backprop's errors on",
        equals="always: they are backprop by other means",
    ),
    "epc": Family(
        epc_checks,
        epc_on_net,
        credit="relaxation of prediction errors",
        equals="never in strict form; as the output's precision -> 0",
    ),
    "ipc": Family(
        ipc_checks,
        ipc_on_net,
        credit="prediction errors, the weights moving with them",
        equals="never",
    ),
}
