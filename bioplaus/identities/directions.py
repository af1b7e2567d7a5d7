"""Sign vectors as directions of perturbation, and the estimates of the gradient along each."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.common import (
    Problem,
    truth,
)
from bioplaus.types import PyTree, RuleFactory


def weighted(p: Problem, gate: jax.Array) -> PyTree:
    """`jax.grad` of the mean of the losses, each weighted by its gate."""
    return truth(p._replace(loss=lambda output, y: gate * p.loss(output, y)))


def every(d: int) -> np.ndarray:
    """All sign vectors of d components, [2^d, d]."""
    return 2.0 * ((np.arange(2**d)[:, None] >> np.arange(d)) & 1) - 1


def orthogonal(d: int) -> np.ndarray:
    """Sign vectors v and -v from a Hadamard matrix, [2 n, d], n the power of 2 from d on.

    The mean of v v^T is 1. All moments up to the third are those of all 2^d sign vectors.
    """
    h = np.ones((1, 1))
    while len(h) < d:
        h = np.block([[h, h], [h, -h]])
    return np.concatenate([h, -h])[:, :d]


def estimates(
    factory: RuleFactory, p: Problem, rows: np.ndarray, gate: Any = None, **hyper: Any
) -> PyTree:
    """`grad` at each row of directions, whose entries the sampler returns in order."""

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
        # A rule that draws more or fewer numbers than there are gets NaN, and fails.
        return grads if position == len(row) else jax.tree.map(lambda g: jnp.nan * g, grads)

    return jax.jit(jax.vmap(one))(jnp.asarray(rows))


def average(draws: PyTree) -> PyTree:
    """The mean over rows."""
    return jax.tree.map(lambda g: g.mean(0), draws)


def energy(draws: PyTree) -> float:
    """|grad|^2, or its mean over rows where leaves have an axis of rows in front."""
    rows = {len(g) for g in jax.tree.leaves(draws)}
    n = rows.pop() if len(rows) == 1 and all(g.ndim > 1 for g in jax.tree.leaves(draws)) else 1
    return float(sum(jnp.sum(g**2) for g in jax.tree.leaves(draws))) / n
