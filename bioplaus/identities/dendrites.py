"""The dendritic microcircuit: identities and negative controls.

Burst-dependent plasticity (`burst.py`) shares those by which a rule learns nothing without a
teaching signal, and tends to backprop at symmetric feedback as the nudge vanishes.

B: feedback weights. I: weights of the interneurons. P: weights from interneurons to apical
dendrites. In the self-predicting state, I = W and P = -B.
"""

from collections.abc import Callable, Iterator
from typing import Any

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
from bioplaus.identities.microcircuit_by_hand import CIRCUIT, descended, equilibrium, learned
from bioplaus.losses import cross_entropy, mse
from bioplaus.neurons import sigmoid
from bioplaus.types import PyTree, RuleFactory

NUDGES = [0.2, 0.1, 0.05]
SIGMOID = sigmoid()


def microcircuit_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the dendritic microcircuit."""
    key, p = "dendritic_microcircuit", problem()
    state = gradient(factory, p)[1]
    yield equal(key, "the initial state has I = W", state.predict, ((), *p.params[1:]), 0.0)
    yield equal(
        key,
        "the initial state has P = -B",
        weights(state.cancel),
        [-b for b in weights(state.feedback)],
        0.0,
    )
    yield large(
        key,
        "initial B differs from W: relative difference",
        relative(weights(state.feedback), weights(p.params)),
        0.5,
    )

    for name, change in (("random B", lambda s: s), ("I and P displaced", displaced)):
        grads, state, info = gradient(factory, p, change, steps=40, **CIRCUIT)
        settled = equilibrium(p, state)
        yield small(key, f"settles, {name}: residual after 40 sweeps", info["residual"], 1e-12)
        yield equal(
            key,
            f"dW equals that of the hand-coded fixed point, {name}",
            grads,
            learned(p, settled),
            1e-9,
        )
        after = one_step(factory, p, change)
        yield equal(
            key,
            f"the steps of I and P equal hand-coded ones, {name}",
            after,
            descended(p, state, settled),
            1e-9,
        )

    yield from silent(key, factory)
    quiet = without_teaching(p)
    grads = gradient(factory, quiet, displaced)[0]
    yield large(
        key,
        "I and P displaced, no teaching signal: largest gradient, first layer",
        largest(grads[0]),
        1e-3,
    )
    after = one_step(factory, quiet)
    state = gradient(factory, quiet)[1]
    yield equal(
        key,
        "self-predicting state, no teaching signal: I and P do not change",
        after,
        (state.predict, weights(state.cancel)),
        0.0,
    )
    yield from limit(key, factory, cancelled, order=1)
    yield from recovery(key, factory, quiet)


def recovery(key: str, factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Without a teaching signal, the plasticity of P alone silences the apical dendrites.

    dW of the hidden layers vanishes.
    """
    rule = factory(p.net, p.loss, tx=optax.sgd(0.5), **CIRCUIT)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    state = state._replace(cancel=jax.tree.map(lambda b: -0.5 * b, state.feedback))

    def body(state, _):
        grads, state, _ = rule.grad(p.params, state, p.batch, p.key)
        return state, jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads[0])))

    sizes = jax.jit(lambda s: jax.lax.scan(body, s, length=300)[1])(state)
    yield large(key, "P = -B / 2, no teaching signal: |dW| of the first layer", sizes[0], 1e-3)
    yield small(
        key, "P = -B / 2, 300 steps of P later: |dW| over |dW| at first", sizes[-1] / sizes[0], 0.2
    )


def one_step(
    factory: RuleFactory, p: Problem, change: Callable[[PyTree], PyTree] = lambda state: state
) -> PyTree:
    """I and the weights of P after one call of `grad`, with gradient descent at rate 1 as `tx`."""
    rule = factory(p.net, p.loss, steps=40, tx=optax.sgd(1.0), **CIRCUIT)
    state = change(rule.init(jax.random.key(6), p.params, p.batch))
    after = jax.jit(rule.grad)(p.params, state, p.batch, p.key)[1]
    return after.predict, weights(after.cancel)


def displaced(state: PyTree) -> PyTree:
    """The state with I and P moved away from the self-predicting state."""
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
    """The problem with the output as its own target: the derivative of the loss is exactly zero."""
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
        "with a teaching signal: largest gradient of the first layer",
        largest(gradient(factory, p, **hyper)[0][0]),
        1e-4,
    )
    for name, q in (
        ("", without_teaching(p)),
        (", convolutions and pooling", without_teaching(convolutional())),
    ):
        yield small(
            key,
            f"without a teaching signal{name}: largest gradient",
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
    """Backprop at symmetric feedback as the nudge vanishes; another direction at random feedback.

    alike: makes the feedback of a state symmetric. order: the error to backprop is O(nudge^order).
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
        f"B = W: relative error to backprop is O(nudge^{order}): |order - {order}|",
        abs(slope(NUDGES, errors) - order),
        0.1,
    )
    yield away(key, gradient(factory, p)[0], backprop)
    images = convolutional()
    close = nudged(factory, images, alike(images), [1e-4])[0]
    yield equal(
        key,
        "backprop at B = W, nudge 1e-4, convolutions and pooling",
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
    """Any net at a small nudge: backprop at B = W, and feedback alignment at random B.

    Without a teaching signal nothing is learned.
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
    yield same(key, "jax.grad with every error crossing B, random B, nudge 1e-5", grads, want, 1e-3)
    yield from apart(key, p, grads)
    silence = largest(gradient(factory, without_teaching(p))[0]) / largest(want)
    yield small(key, "largest gradient without a teaching signal over that with one", silence, 1e-6)


FAMILIES = {
    "dendritic_microcircuit": Family(
        microcircuit_checks,
        microcircuit_on_net,
        credit="apical potentials that interneurons cannot explain away",
        equals="B = W, self-predicting, and a small nudge",
    ),
}
