"""Forward gradients and weight perturbation: identities and negative controls.

The mean over all sign vectors, or over an orthogonal array of them, is exact: E[v v^T] = 1 has no
Monte Carlo error. The signs v and -v together cancel every even order in sigma, so that what is
left of weight perturbation's bias is O(sigma^2).
"""

import math
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.common import (
    LINEAR,
    Check,
    Family,
    Problem,
    equal,
    large,
    pose,
    problem,
    relative,
    slope,
    small,
    truth,
)
from bioplaus.layers import mlp
from bioplaus.net import current_shapes, drive, fire, layer_key
from bioplaus.neurons import gaussian, tanh
from bioplaus.rules import RULES
from bioplaus.types import PyTree, RuleFactory

SIGMAS = [0.1, 0.03, 0.01]
TANH = tanh()


def fg_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the forward gradient."""
    p = problem((2, 2, 2), examples=3)
    want, rows = truth(p), every(12)
    draws = estimates(factory, p, rows)
    yield equal(
        "fg", "backprop in the mean over all directions of signs", average(draws), want, 1e-12
    )
    yield equal("fg", "E|grad|^2 = d |backprop|^2", energy(draws), 12 * energy(want), 1e-12)
    yield large(
        "fg",
        "one direction is not backprop",
        relative(jax.tree.map(lambda g: g[0], draws), want),
        0.5,
    )
    short = average(estimates(factory, p, rows / math.sqrt(12)))
    yield equal(
        "fg",
        "directions of length one give backprop / d",
        short,
        jax.tree.map(lambda g: g / 12, want),
        1e-12,
    )
    yield large("fg", "which is biased", relative(short, want), 0.5)
    gate = jnp.array([0.5, 0.0, 2.0])
    gated = average(estimates(factory, p, orthogonal(12), gate=gate))
    yield equal("fg", "gates weigh the examples, in the mean", gated, weighed(p, gate), 1e-12)
    alone = estimates(factory, p, orthogonal(36), gate=gate, shared=False)
    yield equal(
        "fg", "the same with one direction an example", average(alone), weighed(p, gate), 1e-12
    )

    noisy = pose(mlp((2, 2, 2), gaussian(TANH, 0.5)), (2, 2), 2)
    for shared, size in ((True, 12), (False, 24)):
        mean = average(estimates(factory, noisy, orthogonal(size), shared=shared))
        yield equal(
            "fg",
            f"backprop at one sample of the neurons' noise, shared {shared}",
            mean,
            truth(noisy),
            1e-12,
        )
    yield large(
        "fg",
        "differs at another sample",
        relative(mean, truth(noisy._replace(key=jax.random.key(99)))),
        0.05,
    )
    yield from fg_on_net(factory, pose(mlp((5, 6, 4, 3), TANH), (4, 5), 3))


def wp_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be weight perturbation."""
    p = problem((2, 2, 2), examples=2)
    want, rows = truth(p), orthogonal(24)
    errors = [
        relative(average(estimates(factory, p, rows, sigma=s, shared=False)), want) for s in SIGMAS
    ]
    yield small(
        "wp", "backprop in the mean over an orthogonal array of signs, sigma 0.01", errors[-1], 1e-3
    )
    yield small("wp", "its bias is O(sigma^2): |order - 2|", abs(slope(SIGMAS, errors) - 2), 0.1)
    yield large("wp", "the bias at sigma 0.1 is seen", errors[0], 1e-5)
    gate = jnp.array([0.5, 2.0])
    both = average(estimates(factory, p, orthogonal(12), gate=gate, sigma=1e-3))
    yield small(
        "wp",
        "one direction for the batch: gates weigh the examples, in the mean",
        relative(both, weighed(p, gate)),
        1e-3,
    )

    noisy = pose(mlp((2, 2, 2), gaussian(TANH, 0.5)), (2, 2), 2)
    mean = average(estimates(factory, noisy, rows, sigma=1e-3, shared=False))
    yield equal(
        "wp", "backprop in the mean at one sample of the neurons' noise", mean, truth(noisy), 1e-3
    )
    yield large(
        "wp",
        "differs at another sample",
        relative(mean, truth(noisy._replace(key=jax.random.key(99)))),
        0.05,
    )

    line = problem((4, 3), examples=1, neuron=LINEAR)
    ours, theirs = (
        energy(estimates(f, line, rows, sigma=1e-6)) - energy(truth(line))
        for f, rows in ((factory, every(15)[::2]), (RULES["np"], every(3)))
    )
    yield small(
        "wp",
        "variance over node perturbation's: |ratio / ((N_w - 1) / (N_u - 1)) - 1|",
        abs(ours / theirs / 7 - 1),
        1e-4,
    )
    yield from wp_on_net(factory, pose(mlp((5, 6, 4, 3), TANH), (4, 5), 3))


def afg_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the activity-perturbed forward gradient."""
    p = problem((3, 3, 2), examples=2)
    want, rows = truth(p), every(10)
    draws = estimates(factory, p, rows)
    yield equal(
        "afg", "backprop in the mean over all directions of signs", average(draws), want, 1e-12
    )
    yield large(
        "afg",
        "one direction is not backprop",
        relative(jax.tree.map(lambda g: g[0], draws), want),
        0.5,
    )
    gate = jnp.array([0.5, 2.0])
    gated = average(estimates(factory, p, orthogonal(10), gate=gate))
    yield equal("afg", "gates weigh the examples, in the mean", gated, weighed(p, gate), 1e-12)
    short = average(estimates(factory, p, rows / math.sqrt(5)))
    yield equal(
        "afg",
        "directions of length one give backprop / d",
        short,
        jax.tree.map(lambda g: g / 5, want),
        1e-12,
    )
    yield large("afg", "which is biased", relative(short, want), 0.5)

    near = estimates(RULES["np"], p, rows[:1], sigma=1e-5)
    yield equal(
        "afg",
        "node perturbation as sigma -> 0, for one draw",
        jax.tree.map(lambda g: g[:1], draws),
        near,
        1e-3,
    )
    line = problem((4, 3), examples=1, neuron=LINEAR)
    drawn = estimates(factory, line, every(3))
    yield equal(
        "afg",
        "one linear layer: E|grad|^2 = n |backprop|^2",
        energy(drawn),
        3 * energy(truth(line)),
        1e-12,
    )

    noisy = pose(mlp((3, 3, 2), gaussian(TANH, 0.5)), (2, 3), 2)
    mean = average(estimates(factory, noisy, orthogonal(10)))
    yield equal(
        "afg", "backprop in the mean at one sample of the neurons' noise", mean, truth(noisy), 1e-12
    )
    yield large(
        "afg",
        "differs at another sample",
        relative(mean, truth(noisy._replace(key=jax.random.key(99)))),
        0.05,
    )
    yield from afg_on_net(factory, pose(mlp((5, 6, 4, 3), TANH), (4, 5), 3))


def fg_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """One direction on any net: the gradient projected on it."""
    yield from _projection("fg", factory, p, 1e-9, {"shared": True})


def wp_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """One direction on any net, the same for all examples: the gradient projected on it, at a small
    sigma.
    """
    yield from _projection("wp", factory, p, 1e-3, {"sigma": 1e-6})


def _projection(
    key: str, factory: RuleFactory, p: Problem, limit: float, hyper: dict
) -> Iterator[Check]:
    leaves = jax.tree.leaves(p.params)
    grads, v, repeats = _one(factory, p, [leaf.shape for leaf in leaves], hyper)
    slopes = jax.tree.leaves(truth(p))
    along = sum(float(jnp.vdot(g, d)) for g, d in zip(slopes, v, strict=True))
    yield equal(
        key,
        "one direction: the projection of jax.grad on it",
        jax.tree.leaves(grads),
        [along * d for d in v],
        limit,
    )
    yield large(
        key, "which is not the gradient itself", relative(jax.tree.leaves(grads), slopes), 0.5
    )
    yield small(key, "keys that are drawn from twice", repeats, 0)


def afg_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """One direction on any net: jax.grad by offsets of the currents, projected on it, pulled on
    each layer by jax.vjp.
    """
    grads, u, repeats = _one(
        factory, p, [a.shape for a in current_shapes(p.net, p.params, p.batch, p.key)], {}
    )

    def pulled(params):
        def losses(offsets):
            h, inputs = p.batch.x, []
            for l, layer in enumerate(p.net):
                k = layer_key(p.key, l)
                inputs.append(h)
                h = fire(layer, drive(layer, params[l], h, k) + offsets[l], k)
            return p.loss(h, p.batch.y).sum(), inputs

        deltas, inputs = jax.grad(losses, has_aux=True)([jnp.zeros_like(d) for d in u])
        slopes = [jnp.sum((g * d).reshape(len(d), -1), -1) for g, d in zip(deltas, u, strict=True)]
        change = jnp.stack(slopes).sum(0) / len(p.batch.y)
        signals = [change.reshape(-1, *(1,) * (d.ndim - 1)) * d for d in u]
        return tuple(
            jax.vjp(
                lambda w, l=l, layer=layer: drive(layer, w, inputs[l], layer_key(p.key, l)),
                params[l],
            )[1](signals[l])[0]
            for l, layer in enumerate(p.net)
        )

    yield equal(
        "afg",
        "one direction: each layer's vjp of the projection on it",
        grads,
        jax.jit(pulled)(p.params),
        1e-9,
    )
    yield large("afg", "which is not the gradient itself", relative(grads, truth(p)), 0.5)
    yield small("afg", "keys that are drawn from twice", repeats, 0)


def _one(factory: RuleFactory, p: Problem, shapes: list, hyper: dict) -> tuple[PyTree, list, int]:
    """`grad` at one vector of signs, which all examples share where they may; the signs; how many
    draws had another's key.
    """
    draw, keys = np.random.default_rng(2), []
    signs = [jnp.asarray(draw.choice([-1.0, 1.0], shape)) for shape in shapes]

    def sample(key, shape, dtype):
        keys.append(jax.random.key_data(key))
        return jnp.broadcast_to(signs[len(keys) - 1], shape).astype(dtype)

    def run():
        return factory(p.net, p.loss, sample=sample, **hyper).grad(p.params, (), p.batch, p.key)[
            0
        ], jnp.stack(keys)

    grads, drawn = jax.jit(run)()
    return grads, signs, len(drawn) - len(np.unique(np.asarray(drawn), axis=0))


def weighed(p: Problem, gate: jax.Array) -> PyTree:
    """`jax.grad` of the mean of the losses, each weighed by its gate."""
    return truth(p._replace(loss=lambda output, y: gate * p.loss(output, y)))


def every(d: int) -> np.ndarray:
    """All sign vectors of d components, [2^d, d]."""
    return 2.0 * ((np.arange(2**d)[:, None] >> np.arange(d)) & 1) - 1


def orthogonal(d: int) -> np.ndarray:
    """Sign vectors v and -v with mean v v^T = 1, [2 n, d], from a Hadamard matrix: the moments of
    all signs up to the third.
    """
    h = np.ones((1, 1))
    while len(h) < d:
        h = np.block([[h, h], [h, -h]])
    return np.concatenate([h, -h])[:, :d]


def estimates(
    factory: RuleFactory, p: Problem, rows: np.ndarray, gate: Any = None, **hyper: Any
) -> PyTree:
    """`grad` at each row, which the sampler hands out in order."""

    def one(row):
        position = 0

        def sample(key, shape, dtype):
            nonlocal position
            del key
            position += (size := math.prod(shape))
            return row[position - size : position].reshape(shape).astype(dtype)

        grads = factory(p.net, p.loss, sample=sample, **hyper).grad(
            p.params, (), p.batch, p.key, gate
        )[0]
        # not as many as a rule should draw
        return grads if position == len(row) else jax.tree.map(lambda g: jnp.nan * g, grads)

    return jax.jit(jax.vmap(one))(jnp.asarray(rows))


def average(draws: PyTree) -> PyTree:
    """The mean over rows."""
    return jax.tree.map(lambda g: g.mean(0), draws)


def energy(draws: PyTree) -> float:
    """|grad|^2; its mean over rows where there are any (a leaf has then one axis more than a weight
    or bias).
    """
    rows = {len(g) for g in jax.tree.leaves(draws)}
    n = rows.pop() if len(rows) == 1 and all(g.ndim > 1 for g in jax.tree.leaves(draws)) else 1
    return float(sum(jnp.sum(g**2) for g in jax.tree.leaves(draws))) / n


FAMILIES = {
    "wp": Family(
        wp_checks,
        wp_on_net,
        credit="one scalar: the change of the loss",
        equals="in expectation, as sigma -> 0",
    ),
    "fg": Family(
        fg_checks,
        fg_on_net,
        credit="one scalar: the slope along a random direction",
        equals="in expectation",
    ),
    "afg": Family(
        afg_checks,
        afg_on_net,
        credit="one scalar: the slope along a random direction",
        equals="in expectation",
    ),
}
