"""Sign-concordant feedback by hand: feedback weights with given magnitudes and the signs of W."""

import jax
import jax.numpy as jnp

from bioplaus.identities.common import (
    Problem,
    by_hand,
)
from bioplaus.types import PyTree


def concordant(magnitude: PyTree, p: Problem, signs: PyTree | None = None) -> PyTree:
    """Hand-coded, with these magnitudes and the signs of `signs`, by default the params."""
    feedback = signed(magnitude, signs or p.params)
    return by_hand(p, lambda l, s, e: s @ feedback[l]["w"].T)


def signed(magnitude: PyTree, params: PyTree) -> PyTree:
    """M sign(W), with sign(0) = 1, without the first layer."""
    return jax.tree.map(
        lambda m, w: jnp.where(w < 0, -m, m), tuple(magnitude[1:]), tuple(params[1:])
    )


def shifted(params: PyTree) -> PyTree:
    """Other weights, many of them with another sign."""
    return jax.tree.map(lambda w: 0.5 * w[::-1] - 0.02, params)


def with_zeros(p: Problem) -> Problem:
    """The problem with its small weights set to zero."""
    return p._replace(params=jax.tree.map(lambda w: jnp.where(jnp.abs(w) < 0.05, 0.0, w), p.params))


def hand(initial: PyTree, p: Problem) -> PyTree:
    """Hand-coded, with B = rms(initial W) sign(W)."""
    return by_hand(p, lambda l, s, e: s @ uniform(initial[l + 1]["w"], p.params[l + 1]["w"]).T)


def uniform(initial: jax.Array, w: jax.Array) -> jax.Array:
    """rms(initial W) sign(W), with sign(0) = 1."""
    return jnp.linalg.norm(initial) / jnp.sqrt(initial.size) * jnp.where(w < 0, -1.0, 1.0)
