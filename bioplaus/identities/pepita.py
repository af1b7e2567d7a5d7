"""PEPITA: identities and negative controls."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import same
from bioplaus.identities.common import (
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
    slope,
    small,
    squashed,
    truth,
)
from bioplaus.layers import mlp
from bioplaus.losses import mse
from bioplaus.net import drive, fire, forward, layer_key
from bioplaus.neurons import gaussian, tanh
from bioplaus.pools import to_moments
from bioplaus.rules.pepita import State
from bioplaus.types import PyTree, RuleFactory

SCALES = [0.1, 0.01, 0.001]


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be PEPITA."""
    p = problem()
    rule = factory(p.net, p.loss, scale=1.0)  # so large that the two passes differ
    state, grad = rule.init(jax.random.key(6), p.params, p.batch), jax.jit(rule.grad)

    def at(projection, y=p.batch.y):
        return grad(p.params, state._replace(projection=projection), p.batch._replace(y=y), p.key)[
            0
        ]

    f = state.projection
    got = at(f)
    yield equal(
        "pepita", "hand-coded PEPITA, two passes in numpy", got, by_hand(p, np.asarray(f)), 1e-12
    )
    yield large(
        "pepita",
        "differs from backprop: 1 - cosine, hidden layers",
        1 - cosine(got[:-1], truth(p)[:-1]),
        0.1,
    )
    bound = (6 / f.shape[-1]) ** 0.5
    yield small("pepita", "largest |F| over He's uniform bound", jnp.abs(f).max() / bound, 1.0)
    yield large(
        "pepita", "largest |F| over He's uniform bound, from below", jnp.abs(f).max() / bound, 0.9
    )
    default = factory(p.net, p.loss).init(jax.random.key(6), p.params, p.batch)
    yield equal(
        "pepita", "scale multiplies F, and is 0.05 by default", default.projection, 0.05 * f, 1e-12
    )

    yield from linearised(factory, p)
    yield from linearised(factory, squashed(mse), ", sigmoid outputs")
    yield equal(
        "pepita",
        "-F gives -dW of the hidden layers at small F",
        at(-1e-4 * f)[:-1],
        jax.tree.map(jnp.negative, at(1e-4 * f)[:-1]),
        1e-2,
    )

    none = at(0.0 * f)
    yield small("pepita", "F = 0: largest gradient of the hidden layers", size(none[:-1]), 0.0)
    yield equal("pepita", "F = 0: the last layer equals backprop", none[-1], truth(p)[-1], 1e-12)
    content = jax.nn.softmax(forward(p.net, p.params, p.batch.x, p.key).output)
    yield small("pepita", "y = softmax(output): largest gradient", size(at(f, content)), 1e-14)
    after = grad(p.params, state, p.batch, p.key)[1]
    yield equal("pepita", "F stays as drawn", after.projection, f, 0.0)
    yield from _other_nets(factory)


def _other_nets(factory: RuleFactory) -> Iterator[Check]:
    """Noisy neurons, and convolutions."""
    noisy = pose(mlp((5, 6, 4, 3), gaussian(tanh(), 0.5)), (4, 5), 3)
    rule = factory(noisy.net, noisy.loss)
    state, grad = rule.init(jax.random.key(6), noisy.params, noisy.batch), jax.jit(rule.grad)
    still, moved = (
        grad(noisy.params, s, noisy.batch, noisy.key)[0][:-1]
        for s in (jax.tree.map(jnp.zeros_like, state), state)
    )
    yield small(
        "pepita", "noisy neurons, F = 0: largest gradient of the hidden layers", size(still), 0.0
    )
    yield large(
        "pepita", "noisy neurons, F not 0: largest gradient of the hidden layers", size(moved), 1e-4
    )
    yield from on_net(factory, convolutional())


def linearised(factory: RuleFactory, p: Problem, name: str = "") -> Iterator[Check]:
    """The first layer at small F equals feedback alignment."""
    rule = factory(p.net, p.loss, scale=1.0)
    f = rule.init(jax.random.key(6), p.params, p.batch).projection
    at = jax.jit(lambda s: rule.grad(p.params, State(s * f), p.batch, p.key)[0][0]["w"])
    linear = feedback_aligned(p, f)
    errors = [relative(at(s), s * linear) for s in SCALES]
    yield small(
        "pepita",
        "first layer: error to feedback alignment by -F W_1, small F" + name,
        errors[-1],
        1e-2,
    )
    yield small(
        "pepita",
        "first layer: error to feedback alignment is O(F): |order - 1|" + name,
        abs(slope(SCALES, errors) - 1),
        0.2,
    )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Any net: the gradient of a surrogate loss, each layer at its input in the second pass."""
    grads, state, _ = gradient(factory, p)
    slope_of = jax.jit(jax.grad(surrogate(p, state.projection)))
    want, joined = slope_of(p.params, 0.0), slope_of(p.params, 1.0)
    yield same("pepita", "jax.grad of sum_l <h_l - h'_l, a'_l>, layer by layer", grads, want)
    if len(p.net) > 1:
        yield large(
            "pepita",
            "differs from jax.grad with signals passing between layers",
            relative(grads[:-1], joined[:-1]),
            1e-3,
        )


def surrogate(p: Problem, projection: jax.Array) -> Callable[[PyTree, float], jax.Array]:
    """(params, joined) -> a loss whose gradient is the update.

    joined: 1 lets signals pass between layers, 0 does not.
    """
    stop = jax.lax.stop_gradient

    def through(params, h, joined):
        passed = []
        for l, (layer, w) in enumerate(zip(p.net, params, strict=True)):
            a = drive(layer, w, joined * h + (1 - joined) * stop(h), layer_key(p.key, l))
            passed.append((a, h := fire(layer, a, layer_key(p.key, l))))
        return passed

    def loss(params, joined):
        first, last = through(stop(params), p.batch.x, 0.0), len(p.net) - 1
        error = jax.grad(
            lambda a: p.loss(fire(p.net[last], a, layer_key(p.key, last)), p.batch.y).sum()
        )(first[last][0])
        moved = to_moments(p.net, p.net[0], p.batch.x, jnp.tensordot(error, projection, 1))
        second = through(params, p.batch.x + moved, joined)
        hidden = [
            jnp.sum(stop(h - g) * a) for (_, h), (a, g) in zip(first[:-1], second[:-1], strict=True)
        ]
        return (sum(hidden) + p.loss(second[-1][1], p.batch.y).sum()) / len(p.batch.y)

    return loss


def by_hand(p: Problem, f: np.ndarray) -> PyTree:
    """The rule on a tanh perceptron under cross-entropy, in numpy."""
    weights, y = jax.tree.map(np.asarray, p.params), np.asarray(p.batch.y)

    def forward(h):
        hs = [h]
        for w in weights[:-1]:
            hs.append(np.tanh(hs[-1] @ w["w"] + w["b"]))
        odds = np.exp(hs[-1] @ weights[-1]["w"] + weights[-1]["b"])
        return hs, odds / odds.sum(-1, keepdims=True) - y

    x = np.asarray(p.batch.x)
    h, e = forward(x)
    m, last = forward(x + e @ f)
    signals = [*(a - b for a, b in zip(h[1:], m[1:], strict=True)), last]
    return tuple(
        {"w": pre.T @ s / len(x), "b": s.mean(0)} for pre, s in zip(m, signals, strict=True)
    )


def feedback_aligned(p: Problem, f: jax.Array) -> np.ndarray:
    """dW_1 of feedback alignment by -F W_1: -(1/B) x^T (phi'(a_1) * (e F W_1)), e = dL/da_L."""
    x, w = np.asarray(p.batch.x), np.asarray(p.params[0]["w"])
    a, top = (
        x @ w + np.asarray(p.params[0]["b"]),
        forward(p.net, p.params, p.batch.x, p.key).currents[-1],
    )
    e = np.asarray(jax.grad(lambda a: p.loss(fire(p.net[-1], a, p.key), p.batch.y).sum())(top))
    return -x.T @ ((1 - np.tanh(a) ** 2) * (e @ np.asarray(f) @ w)) / len(x)


def size(tree: PyTree) -> float:
    """The largest absolute value in a tree."""
    return max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(tree))


FAMILIES = {
    "pepita": Family(
        checks,
        on_net,
        credit="the error, projected onto the input of a second forward pass",
        equals="feedback alignment of the first layer, at small F",
    )
}
