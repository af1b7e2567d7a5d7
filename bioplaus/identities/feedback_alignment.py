"""Feedback alignment: identities and negative controls.

At B = W every wrong version agrees with the right one. So the rule is compared with a hand-coded
one at random B, too.
"""

import itertools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bioplaus.identities.any_net import aligned, apart, feedback_through, same
from bioplaus.identities.common import (
    LINEAR,
    Check,
    Family,
    Problem,
    by_hand,
    convolutional,
    cosine,
    equal,
    feedback_by_grad,
    gradient,
    large,
    problem,
    relative,
    small,
    steps,
    truth,
)
from bioplaus.losses import mse
from bioplaus.types import Batch, PyTree, RuleFactory


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be feedback alignment."""
    p = problem()
    backprop = truth(p)
    yield equal(
        "fa",
        "backprop at B = W",
        gradient(factory, p, lambda s: s._replace(feedback=p.params))[0],
        backprop,
        1e-12,
    )

    grads, state, _ = gradient(factory, p)
    hand = by_hand(p, lambda l, s, e: s @ state.feedback[l + 1]["w"].T)
    yield equal("fa", "hand-coded feedback alignment at random B", grads, hand, 1e-12)
    yield small(
        "fa", "last layer: 1 - cosine to backprop", 1 - cosine(grads[-1], backprop[-1]), 1e-12
    )
    yield away("fa", grads, backprop)
    doubled = gradient(factory, p, scale=2.0)[1]
    yield equal(
        "fa",
        "scale multiplies B",
        weights(doubled.feedback),
        [2.0 * b for b in weights(state.feedback)],
        1e-12,
    )

    images = convolutional()
    grads, state, _ = gradient(factory, images)
    yield equal(
        "fa",
        "jax.grad of a surrogate at random B, convolutions",
        grads,
        feedback_by_grad(images, state.feedback),
        1e-12,
    )

    rule = factory(p.net, p.loss)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    params, after = steps(rule, p, state, optax.adamw(1e-2, weight_decay=0.1), 5)
    yield equal(
        "fa",
        "B unchanged after 5 steps of AdamW",
        weights(after.feedback),
        weights(state.feedback),
        0.0,
    )
    yield large(
        "fa", "W changes in 5 steps of AdamW: relative difference", relative(params, p.params), 1e-2
    )
    yield from alignment(factory)


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Feedback alignment on a net of the caller's, with its noise."""
    yield from crossing("fa", factory, p)


def crossing(key: str, factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Any net: backprop at B = W, and feedback alignment at random B, in `state.feedback`."""
    grads = gradient(factory, p, lambda s: s._replace(feedback=aligned(p)))[0]
    yield same(key, "backprop at B = W", grads, truth(p))
    grads, state, _ = gradient(factory, p)
    yield same(
        key,
        "jax.grad with every error crossing B, random B",
        grads,
        feedback_through(p, state.feedback),
    )
    yield from apart(key, p, grads)


def weights(feedback: PyTree) -> PyTree:
    """The feedback weights without their biases, which are zero and carry no error."""
    return [b["w"] for b in feedback[1:]]


def away(key: str, grads: PyTree, backprop: PyTree) -> Check:
    """Control: at random B every hidden layer's cosine to backprop is below 0.5."""
    worst = max(abs(cosine(g, t)) for g, t in zip(grads[:-1], backprop[:-1], strict=True))
    return large(
        key, "random B: 1 - |cosine| to backprop, hidden layer nearest to it", 1 - worst, 0.5
    )


def alignment(factory: RuleFactory) -> Iterator[Check]:
    """A linear student of a linear teacher: W aligns with B."""
    p = linear_teacher()
    rule = factory(p.net, p.loss)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    angles = [angle(p.params, state)]
    for _ in range(4):
        params, state = steps(rule, p, state, optax.sgd(0.01), 50)
        p = p._replace(params=params)
        angles.append(angle(params, state))
    yield large("fa", "linear teacher: angle(B, W) at first, degrees", angles[0], 80.0)
    yield small("fa", "linear teacher: angle(B, W) after 200 steps, degrees", angles[-1], 60.0)
    rise = max(b - a for a, b in itertools.pairwise(angles))
    yield small(
        "fa", "linear teacher: largest change of angle(B, W) over 50 steps, degrees", rise, -0.1
    )


def linear_teacher() -> Problem:
    """Lillicrap et al., figure 1: a linear net 30-20-10 learns a random linear map.

    Initial W is small.
    """
    p = problem((30, 20, 10), examples=128, neuron=LINEAR, loss=mse)
    target = p.batch.x @ jnp.asarray(np.random.default_rng(8).standard_normal((30, 10))) / 30**0.5
    return p._replace(
        batch=Batch(p.batch.x, target), params=jax.tree.map(lambda w: 0.1 * w, p.params)
    )


def angle(params: PyTree, state: PyTree) -> float:
    """The angle between the readout weights and their feedback weights, in degrees."""
    return math.degrees(math.acos(cosine(params[1]["w"], state.feedback[1]["w"])))


FAMILIES = {"fa": Family(checks, on_net, credit="fixed random weights B", equals="B = W")}
