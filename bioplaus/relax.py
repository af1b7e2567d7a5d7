"""Relaxation to a fixed point, shared by the rules that settle."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.types import Array, PyTree


def relax(step: Callable[[PyTree], PyTree], state: PyTree, steps: int) -> tuple[PyTree, Array]:
    """`steps` applications of `step` in a scan of fixed length (a while loop has no reverse mode: attacks would fail).

    Returns the state and the residual: the root-mean-square change of the last step over that of the state itself. A
    residual that is not small against 1 says that the state had not settled.
    """

    def rms(tree):
        leaves = jax.tree.leaves(tree)
        return jnp.sqrt(sum(jnp.sum(jnp.abs(z) ** 2) for z in leaves) / sum(z.size for z in leaves))

    def body(z, _):
        new = step(z)
        return new, rms(jax.tree.map(jnp.subtract, new, z))

    state, changes = jax.lax.scan(body, state, length=steps)
    return state, changes[-1] / jnp.maximum(rms(state), jnp.finfo(changes.dtype).tiny)
