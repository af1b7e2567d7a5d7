"""The dendritic microcircuit: identities and negative controls, and those that burst-dependent
plasticity (`burst.py`) has as well.

Without a teaching signal neither learns anything. At symmetric feedback both tend to backprop as
the nudge vanishes.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bioplaus.identities.any_net import aligned, apart, feedback_through, same
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    convolutional,
    cosine,
    equal,
    gradient,
    large,
    problem,
    relative,
    slope,
    small,
    truth,
)
from bioplaus.identities.feedback_alignment import away, weights
from bioplaus.losses import cross_entropy, mse
from bioplaus.neurons import sigmoid
from bioplaus.types import PyTree, RuleFactory

NUDGES = [0.2, 0.1, 0.05]
SIGMOID = sigmoid()


def microcircuit_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the dendritic microcircuit."""
    key, p = "dendritic_microcircuit", problem()
    state = gradient(factory, p)[1]
    yield equal(key, "starts with I = W", state.predict, ((), *p.params[1:]), 0.0)
    yield equal(
        key, "and with P = -B", weights(state.cancel), [-b for b in weights(state.feedback)], 0.0
    )
    yield large(
        key,
        "B is not W, relative difference",
        relative(weights(state.feedback), weights(p.params)),
        0.5,
    )

    for name, change in (("random B", lambda s: s), ("I and P of their own", displaced)):
        grads, state, info = gradient(factory, p, change, steps=40, **CIRCUIT)
        settled = equilibrium(p, state)
        yield small(key, f"settles, {name}: residual after 40 sweeps", info["residual"], 1e-12)
        yield equal(key, f"hand-coded fixed point, {name}", grads, learned(p, settled), 1e-9)
        after = one_step(factory, p, change)
        yield equal(
            key,
            f"I and P descend by hand-coded steps, {name}",
            after,
            descended(p, state, settled),
            1e-9,
        )

    yield from silent(key, factory)
    quiet = without_teaching(p)
    grads = gradient(factory, quiet, displaced)[0]
    yield large(
        key, "out of the self-predicting state it learns without teaching", largest(grads[0]), 1e-3
    )
    after = one_step(factory, quiet)
    state = gradient(factory, quiet)[1]
    yield equal(
        key,
        "in it, I and P rest without teaching",
        after,
        (state.predict, weights(state.cancel)),
        0.0,
    )
    yield from limit(key, factory, cancelled, order=1)
    yield from recovery(key, factory, quiet)


def recovery(key: str, factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Without a teaching signal, the plasticity of P alone silences the apical dendrites: dW of the
    hidden layers vanishes.
    """
    rule = factory(p.net, p.loss, tx=optax.sgd(0.5), **CIRCUIT)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    state = state._replace(cancel=jax.tree.map(lambda b: -0.5 * b, state.feedback))

    def body(state, _):
        grads, state, _ = rule.grad(p.params, state, p.batch, p.key)
        return state, jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads[0])))

    sizes = jax.jit(lambda s: jax.lax.scan(body, s, length=300)[1])(state)
    yield large(key, "half of the cancellation missing: |dW| of the first layer", sizes[0], 1e-3)
    yield small(key, "which 300 steps of P remove: |dW| over that", sizes[-1] / sizes[0], 0.2)


class Circuit(NamedTuple):
    """Settled values in numpy: r[l] is the input of layer l, u and a somatic and basal potentials;
    v, m, w of the hidden layers.
    """

    r: list[np.ndarray]
    u: list[np.ndarray]
    a: list[np.ndarray]
    v: list[np.ndarray]
    m: list[np.ndarray]
    w: list[np.ndarray]


NUDGE, APICAL, TEACHING = 0.1, 0.4, 0.4
CIRCUIT: dict[str, Any] = {"nudge": NUDGE, "apical": APICAL, "teaching": TEACHING}


def equilibrium(p: Problem, state: Any) -> Circuit:
    """The fixed point of a perceptron of tanh units under cross-entropy, by Euler steps of all
    potentials at once, in time.
    """
    weight, down, lateral, cancel = (
        [jax.tree.map(np.asarray, x) for x in tree]
        for tree in (p.params, state.feedback, state.predict, state.cancel)
    )
    x, y, last = np.asarray(p.batch.x), np.asarray(p.batch.y), len(weight) - 1
    phi = [np.tanh] * last + [np.asarray]

    def potentials(u, w):
        r = [x, *(phi[l](u[l]) for l in range(last))]
        a = [r[l] @ weight[l]["w"] + weight[l]["b"] for l in range(last + 1)]
        m = [r[l + 1] @ lateral[l + 1]["w"] + lateral[l + 1]["b"] for l in range(last)]
        v = [
            phi[l + 1](u[l + 1]) @ down[l + 1]["w"].T + phi[l + 1](w[l]) @ cancel[l + 1]["w"].T
            for l in range(last)
        ]
        return Circuit(r, u, a, v, m, w)

    u = [np.zeros((len(x), layer["b"].size)) for layer in weight]
    w = [np.zeros_like(above) for above in u[1:]]
    for _ in range(400):
        c = potentials(u, w)
        odds = np.exp(c.a[last])
        goal = [c.a[l] + APICAL * c.v[l] for l in range(last)]
        goal.append(c.a[last] - NUDGE * (odds / odds.sum(-1, keepdims=True) - y))
        taught = [(1 - TEACHING) * c.m[l] + TEACHING * u[l + 1] for l in range(last)]
        u, w = (
            [0.5 * (now + then) for now, then in zip(*pair, strict=True)]
            for pair in ((u, goal), (w, taught))
        )
    return potentials(u, w)


def learned(p: Problem, c: Circuit) -> PyTree:
    """dW at the fixed point."""
    grads, last = [], len(p.net) - 1
    for l in range(last + 1):
        phi = np.tanh if l < last else np.asarray
        s = (phi(c.a[l]) - phi(c.u[l])) / (NUDGE * (APICAL * (1 - TEACHING)) ** (last - l))
        grads.append({"w": c.r[l].T @ s / len(s), "b": s.mean(0)})
    return tuple(grads)


def descended(p: Problem, state: Any, c: Circuit) -> PyTree:
    """I and the weights of P after a step of plain gradient descent at rate 1, at the fixed
    point.
    """
    predict: list[PyTree] = [()]
    cancel, last = [], len(p.net) - 1
    for l in range(last):
        phi, i = np.tanh if l + 1 < last else np.asarray, state.predict[l + 1]
        s = (phi(c.m[l]) - phi(c.w[l])) / len(c.m[l])
        predict.append({"w": i["w"] - c.r[l + 1].T @ s, "b": i["b"] - s.sum(0)})
        cancel.append(state.cancel[l + 1]["w"] - c.v[l].T @ phi(c.w[l]) / len(c.v[l]))
    return tuple(predict), cancel


def one_step(
    factory: RuleFactory, p: Problem, change: Callable[[PyTree], PyTree] = lambda state: state
) -> PyTree:
    """I and the weights of P that the rule leaves, with plain gradient descent at rate 1 for
    `tx`.
    """
    rule = factory(p.net, p.loss, steps=40, tx=optax.sgd(1.0), **CIRCUIT)
    state = change(rule.init(jax.random.key(6), p.params, p.batch))
    after = jax.jit(rule.grad)(p.params, state, p.batch, p.key)[1]
    return after.predict, weights(after.cancel)


def displaced(state: PyTree) -> PyTree:
    """A circuit out of the self-predicting state."""
    return state._replace(
        predict=jax.tree.map(lambda w: 0.8 * w, state.predict),
        cancel=jax.tree.map(lambda w: 0.7 * w, state.cancel),
    )


def symmetric(p: Problem) -> Callable[[PyTree], PyTree]:
    """B = W."""
    return lambda state: state._replace(feedback=aligned(p))


def cancelled(p: Problem) -> Callable[[PyTree], PyTree]:
    """B = W and P = -B."""
    return lambda state: symmetric(p)(state)._replace(cancel=jax.tree.map(jnp.negative, aligned(p)))


def without_teaching(p: Problem) -> Problem:
    """The problem under half the squared error to its own output, whatever that is: the derivative
    is exactly zero.
    """
    return p._replace(
        loss=lambda output, y: mse(output, jax.lax.stop_gradient(output)) + 0 * y.sum(-1)
    )


def largest(grads: PyTree) -> float:
    """The largest entry."""
    return max(float(np.abs(g).max()) for g in jax.tree.leaves(grads))


def silent(key: str, factory: RuleFactory, **hyper: Any) -> Iterator[Check]:
    """Nothing is learned where the output is the target."""
    p = problem()
    yield large(
        key,
        "with teaching: largest gradient of the first layer",
        largest(gradient(factory, p, **hyper)[0][0]),
        1e-4,
    )
    for name, q in (
        ("", without_teaching(p)),
        (", convolutions and pooling", without_teaching(convolutional())),
    ):
        yield small(
            key,
            f"without, dW = 0{name}: largest gradient",
            largest(gradient(factory, q, **hyper)[0]),
            0.0,
        )
    met = p._replace(
        loss=lambda output, y: cross_entropy(
            output, jax.nn.softmax(jax.lax.stop_gradient(output)) + 0 * y
        )
    )
    yield small(
        key,
        "y = softmax(output), cross-entropy: largest gradient",
        largest(gradient(factory, met, **hyper)[0]),
        1e-14,
    )


def limit(
    key: str, factory: RuleFactory, alike: Callable[[Problem], Callable], order: int
) -> Iterator[Check]:
    """Backprop at symmetric feedback as the nudge vanishes, in the order claimed; at random
    feedback another direction.
    """
    p = problem()
    backprop = truth(p)
    got = nudged(factory, p, alike(p), NUDGES)
    worst = min(cosine(g, t) for g, t in zip(got[-1], backprop, strict=True))
    yield small(
        key, f"B = W, nudge {NUDGES[-1]}: 1 - cosine to backprop, worst layer", 1 - worst, 1e-3
    )
    errors = [relative(g, backprop) for g in got]
    yield small(
        key,
        f"relative error to backprop in proportion to nudge^{order}: |order - {order}|",
        abs(slope(NUDGES, errors) - order),
        0.1,
    )
    yield away(key, gradient(factory, p)[0], backprop)
    images = convolutional()
    close = nudged(factory, images, alike(images), [1e-4])[0]
    yield equal(
        key,
        "backprop with convolutions and pooling at B = W, nudge 1e-4",
        close,
        truth(images),
        1e-3,
    )
    doubled, single = (weights(gradient(factory, p, scale=s)[1].feedback) for s in (2.0, 1.0))
    yield equal(key, "scale multiplies B", doubled, [2.0 * b for b in single], 1e-12)


def nudged(
    factory: RuleFactory, p: Problem, change: Callable[[PyTree], PyTree], values: list[float]
) -> list[PyTree]:
    """Gradients at several nudges, compiled once."""
    state = change(factory(p.net, p.loss).init(jax.random.key(6), p.params, p.batch))
    at = jax.jit(
        lambda value: factory(p.net, p.loss, nudge=value).grad(p.params, state, p.batch, p.key)[0]
    )
    return [at(value) for value in values]


def microcircuit_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """The dendritic microcircuit on a net of the caller's, with its noise."""
    yield from weakly_nudged("dendritic_microcircuit", factory, p, cancelled(p))


def weakly_nudged(
    key: str, factory: RuleFactory, p: Problem, alike: Callable[[PyTree], PyTree], **hyper: Any
) -> Iterator[Check]:
    """Backprop at B = W, and feedback alignment at the B that it has, as the nudge vanishes;
    nothing without a teaching signal.
    """
    grads, state, _ = gradient(factory, p, nudge=1e-5, **hyper)
    yield same(
        key,
        "backprop at B = W, nudge 1e-5",
        gradient(factory, p, alike, nudge=1e-5, **hyper)[0],
        truth(p),
        1e-3,
    )
    want = feedback_through(p, state.feedback, inside=False)
    yield same(
        key, "jax.grad with every error crossing B at random B, nudge 1e-5", grads, want, 1e-3
    )
    yield from apart(key, p, grads)
    silence = largest(gradient(factory, without_teaching(p))[0]) / largest(want)
    yield small(key, "without teaching, dW = 0: largest gradient over that with it", silence, 1e-6)


FAMILIES = {
    "dendritic_microcircuit": Family(
        microcircuit_checks,
        microcircuit_on_net,
        credit="apical potentials that interneurons cannot explain away",
        equals="B = W, self-predicting, and a small nudge",
    ),
}
