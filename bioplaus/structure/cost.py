"""What structure costs: how many synapses were made and removed.

A synapse that moves is removed at one place and made at another, and counts in both. A synapse of
weight 0 exists if the transformation that counts says so.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.types import Array, PyTree


class Rebuilt(NamedTuple):
    """Numbers of synapses so far, int32 []: up to 2^31 - 1 of each."""

    made: Array
    removed: Array


def none_yet() -> Rebuilt:
    """The count at the start."""
    return Rebuilt(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))


def counted(before: Rebuilt, moved: ArrayLike) -> Rebuilt:
    """The count after `moved` more synapses were removed, and as many made."""
    return Rebuilt(*(n + jnp.asarray(moved, jnp.int32) for n in before))


def rebuilt(opt: PyTree) -> Rebuilt:
    """The sum of all counts in the state of an optimiser; zeros where no structure changes.

    If the state has an axis of seeds, so has the count.
    """
    leaves = jax.tree.leaves(opt, is_leaf=lambda s: isinstance(s, Rebuilt))
    found = [leaf for leaf in leaves if isinstance(leaf, Rebuilt)]
    return jax.tree.map(lambda *counts: sum(counts), none_yet(), *found)
