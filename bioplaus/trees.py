"""Comparisons of trees of arrays, for the contract of a rule."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from bioplaus.types import PyTree

TOLERANCE = 1e-9  # relative, per leaf, in float64: results may differ by the order of additions


def cast(tree: PyTree, dtype: DTypeLike) -> PyTree:
    return jax.tree.map(
        lambda a: jnp.asarray(a, dtype) if jnp.issubdtype(jnp.result_type(a), jnp.floating) else a,
        tree,
    )


def types(tree: PyTree) -> PyTree:
    return jax.tree.structure(tree), [(a.shape, str(a.dtype)) for a in jax.tree.leaves(tree)]


def leaves(tree: PyTree) -> list[np.ndarray]:
    """Leaves as numpy arrays; random keys by their bits."""
    leaves = jax.tree.leaves(tree)
    return [
        np.asarray(jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a)
        for a in leaves
    ]


def close(a: PyTree, b: PyTree, tolerance: float = TOLERANCE) -> bool:
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    pairs = zip(leaves(a), leaves(b), strict=True)
    return all(
        u.shape == v.shape and np.linalg.norm(u - v) <= tolerance * np.linalg.norm(v)
        for u, v in pairs
    )


def agree(message: str, a: PyTree, b: PyTree, tolerance: float = TOLERANCE) -> None:
    assert close(a, b, tolerance), f"{message} (by more than {tolerance:g})"
