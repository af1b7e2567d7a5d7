"""Hebbian and competitive learning: identities and negative controls.

One update is compared with its equation (`hebbian_by_hand.py`). The result of many updates is
compared with what is known of it, such as the principal components of the data.
"""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from bioplaus.identities.any_net import apart, same, settings
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    convolutional,
    cosine,
    equal,
    large,
    problem,
    relative,
    small,
    truth,
)
from bioplaus.identities.hebbian_by_hand import equation, learned, mean_moment, update
from bioplaus.net import forward
from bioplaus.rules.competitive import repelling
from bioplaus.types import PyTree, RuleFactory

DRAW = np.random.default_rng
AXES = np.linalg.qr(DRAW(3).standard_normal((5, 5)))[0]
SPREAD = np.array([3.0, 2.0, 1.3, 0.5, 0.3])
# The mean, 2 in each variable, is not small against the spread.
CLOUD = DRAW(4).standard_normal((64, 5)) @ (AXES * SPREAD).T + 2.0
SQUARE = np.cov(CLOUD.T, bias=True)
COMPONENTS = np.linalg.eigh(SQUARE)[1][:, ::-1]
SUBSPACE = COMPONENTS[:, :3] @ COMPONENTS[:, :3].T


def perceptron() -> Problem:
    """A small perceptron: the time of these checks is that of compiling."""
    return problem((6, 8, 7, 3), examples=6)


def by_equation(
    key: str, factory: RuleFactory, p: Problem, name: str, **hyper: Any
) -> Iterator[Check]:
    """One update on any net."""
    grads, state, after = update(factory, p, **hyper)
    inputs = forward(p.net, p.params, p.batch.x, p.key).inputs
    if len(p.net) > 1:
        want = equation(key, p, state.mean, state.threshold, settings(factory) | hyper)
        yield same(key, "dW equals the equation, layer by layer" + name, grads[:-1], want)
    yield same(key, "the last layer equals backprop" + name, grads[-1:], truth(p)[-1:])
    if len(p.net) > 1:
        rate = (settings(factory) | hyper)["averaging"]
        moved = [
            m + rate * (np.asarray(mean_moment(layer, x)).mean(0).reshape(m.shape) - m)
            for layer, m, x in zip(p.net, state.mean, inputs, strict=False)
        ]
        yield equal(
            key, "the running mean of the input equals the equation" + name, after.mean, moved, 1e-9
        )
    yield from (c._replace(name=c.name + name) for c in apart(key, p, grads))


def on_net(key: str, factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Any net with plain synapses."""
    yield from by_equation(key, factory, p, "")


def both(key: str, factory: RuleFactory, **hyper: Any) -> Iterator[Check]:
    """The equation on a perceptron with fixed biases, and on a net with convolutions."""
    yield from by_equation(key, factory, perceptron(), "", homeostasis=False, **hyper)
    yield from by_equation(key, factory, convolutional(), ", convolutions", **hyper)


def hebb_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be Hebb's rule."""
    yield from both("hebb", factory)
    w, _ = learned(factory, CLOUD, 3, 800, 0.05, length=1.0)
    yield equal(
        "hebb",
        "linear units: W W^T is the projector on the principal subspace",
        w @ w.T,
        SUBSPACE,
        1e-8,
    )
    w, _ = learned(factory, CLOUD - CLOUD.mean(0), 2, 30, 0.1, inhibition=0.0)
    yield large(
        "hebb",
        "no inhibition: |cosine| to the first principal component, worst unit",
        min(cosines(w)[:, 0]),
        0.99,
    )
    yield large(
        "hebb",
        "no inhibition: weights grow without bound: least length",
        np.linalg.norm(w, axis=0).min(),
        10.0,
    )


def cosines(w: np.ndarray) -> np.ndarray:
    """|cosine| of each unit with each principal component."""
    return np.abs(COMPONENTS.T @ (w / np.linalg.norm(w, axis=0))).T


def oja_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be Oja's rule."""
    yield from both("oja", factory)
    w, _ = learned(factory, CLOUD, 1, 400, 0.05, length=1.0)
    yield small(
        "oja",
        "one unit: 1 - |cosine| to the first component of data with a mean",
        1 - cosines(w)[0, 0],
        1e-9,
    )
    yield small("oja", "one unit: |length of its weights - 1|", abs(np.linalg.norm(w) - 1), 1e-9)
    w, _ = learned(factory, CLOUD, 3, 800, 0.05)
    yield equal(
        "oja",
        "three units, length 2: W W^T is 4 times the principal projector",
        w @ w.T,
        4 * SUBSPACE,
        1e-8,
    )
    yield large(
        "oja",
        "three units: not the components: 1 - |cosine|, worst unit",
        1 - np.diag(cosines(w)).min(),
        0.02,
    )


def sanger_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be Sanger's rule."""
    yield from both("sanger", factory)
    w, _ = learned(factory, CLOUD, 3, 1500, 0.05, length=1.0)
    yield small(
        "sanger",
        "the principal components in order: 1 - |cosine|, worst unit",
        1 - np.diag(cosines(w)).min(),
        1e-8,
    )
    yield small(
        "sanger",
        "weights have length 1: largest |length - 1|",
        np.abs(np.linalg.norm(w, axis=0) - 1).max(),
        1e-8,
    )


PATTERNS = np.eye(4) + 0.2 * DRAW(6).standard_normal((4, 4))
TIMES = np.array([4, 3, 2, 1])


def bcm_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the rule of Bienenstock, Cooper and Munro."""
    yield from both("bcm", factory)
    x = np.repeat(PATTERNS, TIMES, axis=0)
    w, state = learned(factory, x, 3, 8000, 0.02, averaging=0.0, target=1.0)
    response = PATTERNS @ w
    chosen = response.argmax(0)
    want = np.eye(4)[:, chosen] * (10 / TIMES[chosen])
    yield small(
        "bcm",
        "responses are 1 / p to one pattern of share p, 0 to others: largest error",
        np.abs(response - want).max(),
        1e-5,
    )
    yield equal(
        "bcm",
        "the threshold is the mean square of the activity",
        state.threshold[0],
        ((x @ w) ** 2).mean(0),
        1e-5,
    )
    yield large(
        "bcm",
        "the threshold differs from the square of the mean activity",
        relative(state.threshold[0], (x @ w).mean(0) ** 2),
        0.1,
    )


def single(factory: RuleFactory) -> tuple[PyTree, Problem]:
    """The update of one linear unit at a mean of zero, and its problem."""
    p = problem((12, 1, 5))
    rule = factory(p.net, p.loss)
    return jax.jit(rule.grad)(p.params, rule.init(p.key, p.params, p.batch), p.batch, p.key)[0][0][
        "w"
    ], p


def softhebb_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be SoftHebb."""
    yield from both("softhebb", factory, temperature=0.3, inhibition=0.7)
    yield from by_equation(
        "softhebb",
        factory,
        perceptron(),
        ", losers repelled",
        temperature=0.3,
        competition=repelling,
    )
    w, _ = learned(
        factory, CLOUD, 4, 2000, 0.1, temperature=0.5, inhibition=0.0, power=0.0, length=1.5
    )
    yield small(
        "softhebb",
        "weights have length R: largest |length - R|",
        np.abs(np.linalg.norm(w, axis=0) - 1.5).max(),
        1e-6,
    )
    got, p = single(
        functools.partial(factory, temperature=1.0, power=0.0, length=1.0, competition=lambda v: v)
    )
    x, v = np.asarray(p.batch.x), np.asarray(p.params[0]["w"])
    y = x @ v
    yield equal(
        "softhebb",
        "dW equals Oja's rule if activities are not normalised, y = u",
        got,
        -(x.T @ y - v * (y**2).sum()) / len(x),
        1e-12,
    )
    got, _ = single(functools.partial(factory, temperature=1.0, power=0.0, length=1.0))
    yield large(
        "softhebb",
        "dW differs from Oja's rule with softmax activities",
        relative(got, -(x.T @ y - v * (y**2).sum()) / len(x)),
        0.1,
    )


def krotov_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the rule of Krotov and Hopfield."""
    yield from both("krotov", factory, rank=3, delta=0.4, length=1.5)
    w, _ = learned(factory, CLOUD, 4, 600, 0.1, delta=0.0, length=1.0)
    yield small(
        "krotov",
        "weights of winners have length 1: largest |length - 1|",
        np.abs(np.linalg.norm(w, axis=0) - 1).max(),
        1e-6,
    )
    yield large(
        "krotov",
        "units learn different features: 1 - largest cosine of two units",
        1 - closest(w),
        0.05,
    )


def closest(w: np.ndarray) -> float:
    """The largest cosine of two units."""
    return max(cosine(w[:, i], w[:, j]) for i in range(w.shape[1]) for j in range(i))


CHECKS = {
    "hebb": hebb_checks,
    "oja": oja_checks,
    "sanger": sanger_checks,
    "bcm": bcm_checks,
    "softhebb": softhebb_checks,
    "krotov": krotov_checks,
}
FAMILIES = {
    key: Family(
        checks,
        functools.partial(on_net, key),
        credit="nothing",
        equals="never, but for the readout",
    )
    for key, checks in CHECKS.items()
}
