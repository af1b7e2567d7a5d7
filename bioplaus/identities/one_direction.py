"""Forward gradients and weight perturbation on any net, at one direction of perturbation."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import current_of
from bioplaus.identities.common import (
    Check,
    Problem,
    equal,
    large,
    relative,
    small,
    truth,
)
from bioplaus.net import current_shapes, forward, with_gain
from bioplaus.types import Gain, PyTree, RuleFactory


def fg_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """One direction on any net: the gradient projected on it."""
    yield from _projection("fg", factory, p, 1e-9, {"shared": True})


def wp_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """One direction for all examples, at a small sigma: the gradient projected on it."""
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
        "one direction: dW is the projection of jax.grad on it",
        jax.tree.leaves(grads),
        [along * d for d in v],
        limit,
    )
    yield large(
        key,
        "one direction: dW differs from jax.grad: relative difference",
        relative(jax.tree.leaves(grads), slopes),
        0.5,
    )
    yield small(key, "number of random keys that are used twice", repeats, 0)


def afg_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """One direction on any net: `jax.grad` by offsets of the currents, projected on the direction.

    `jax.vjp` of each layer maps the result to its parameters.
    """
    grads, u, repeats = _one(
        factory, p, [a.shape for a in current_shapes(p.net, p.params, p.batch, p.key)], {}
    )

    def pulled(params):
        def losses(offsets):
            moved = with_gain(p.net, [Gain(offset=d) for d in offsets])
            trace = forward(moved, params, p.batch.x, p.key)
            return p.loss(trace.output, p.batch.y).sum(), trace

        deltas, trace = jax.grad(losses, has_aux=True)([jnp.zeros_like(d) for d in u])
        slopes = [jnp.sum((g * d).reshape(len(d), -1), -1) for g, d in zip(deltas, u, strict=True)]
        change = jnp.stack(slopes).sum(0) / len(p.batch.y)
        signals = [change.reshape(-1, *(1,) * (d.ndim - 1)) * d for d in u]
        return tuple(
            jax.vjp(lambda w, l=l: current_of(p, l, w, trace), params[l])[1](signals[l])[0]
            for l in range(len(p.net))
        )

    yield equal(
        "afg",
        "one direction: dW is the vjp, by layer, of the projection on it",
        grads,
        jax.jit(pulled)(p.params),
        1e-9,
    )
    yield large(
        "afg",
        "one direction: dW differs from jax.grad: relative difference",
        relative(grads, truth(p)),
        0.5,
    )
    yield small("afg", "number of random keys that are used twice", repeats, 0)


def _one(factory: RuleFactory, p: Problem, shapes: list, hyper: dict) -> tuple[PyTree, list, int]:
    """`grad` at one vector of signs; the signs; and how many random keys were used twice.

    shapes: of the signs, one for each draw of the rule.
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
