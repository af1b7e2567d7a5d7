"""Sign-concordant feedback: identities and negative controls."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp

from bioplaus.types import PyTree, RuleFactory
from bioplaus.verify.common import Check, by_hand, cosine, equal, gradient, large, problem, small, truth


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be uniform sign-concordant feedback."""
    p = problem()
    constant = p._replace(params=jax.tree.map(lambda w: 0.3 * jnp.where(w < 0, -1.0, 1.0), p.params))
    want = truth(constant)
    grads = gradient(factory, constant)[0]
    yield equal("usf", "backprop where all |W| are equal", grads, want, 1e-12)
    grads = gradient(factory, constant, scale=3.0)[0]
    yield small("usf", "parallel to it at any scale: 1 - cosine of a layer", 1 - least(grads, want), 1e-12)

    rule = factory(p.net, p.loss)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    moved = p._replace(params=jax.tree.map(lambda w: 0.5 * w[::-1] - 0.02, p.params))  # many signs differ from the initial ones
    grads = jax.jit(rule.grad)(moved.params, state, p.batch, p.key)[0]
    yield equal("usf", "hand-coded, B = rms(initial W) sign(W), after W has changed", grads, hand(p.params, moved), 1e-12)
    frozen = by_hand(moved, lambda l, s, e: s @ back(p.params[l + 1]["w"], p.params[l + 1]["w"]).T)
    yield large("usf", "signs frozen at the start: 1 - cosine", 1 - least(grads[:1], frozen[:1]), 0.1)
    holes = p._replace(params=jax.tree.map(lambda w: jnp.where(jnp.abs(w) < 0.05, 0.0, w), p.params))
    yield equal("usf", "a weight of zero sends as a positive one", gradient(factory, holes)[0], hand(holes.params, holes), 1e-12)

    grads, want = gradient(factory, p)[0], truth(p)
    yield large("usf", "not parallel to backprop at random W: 1 - cosine", 1 - cosine(grads[0], want[0]), 1e-3)
    yield small("usf", "but near to it: 1 - cosine of a layer", 1 - least(grads, want), 0.7)


def hand(initial: PyTree, p):
    return by_hand(p, lambda l, s, e: s @ back(initial[l + 1]["w"], p.params[l + 1]["w"]).T)


def back(initial: jax.Array, w: jax.Array) -> jax.Array:
    return jnp.linalg.norm(initial) / jnp.sqrt(initial.size) * jnp.where(w < 0, -1.0, 1.0)


def least(a: PyTree, b: PyTree) -> float:
    """The smallest cosine over layers."""
    return min(cosine(g, t) for g, t in zip(a, b, strict=True))
