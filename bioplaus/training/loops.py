"""Loops inside a compiled program, over steps and over seeds."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from bioplaus.types import Array, PyTree


def loop(
    step: Callable[[PyTree, PyTree], tuple[PyTree, PyTree]],
    state: PyTree,
    xs: PyTree,
    count: Array | None,
) -> tuple[PyTree, PyTree]:
    """As jax.lax.scan. If a count is given, only the first `count` of xs [n, ...] are used; one
    program serves all counts.
    """
    if count is None:
        return jax.lax.scan(step, state, xs)

    def one(i: Array, carried: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
        state, infos = carried
        state, info = step(state, jax.tree.map(lambda a: a[i], xs))
        return state, jax.tree.map(lambda all, new: all.at[i].set(new), infos, info)

    info = jax.eval_shape(step, state, jax.tree.map(lambda a: a[0], xs))[1]
    n = len(jax.tree.leaves(xs)[0])
    return jax.lax.fori_loop(
        0, count, one, (state, jax.tree.map(lambda a: jnp.zeros((n, *a.shape), a.dtype), info))
    )


def in_turn(f: Callable[..., Any]) -> Callable[..., Any]:
    """f on one seed after the other, in one program. On a CPU this is faster than vmap for large
    nets, and takes less memory.
    """
    return lambda *xs: jax.lax.map(lambda x: f(*x), xs)
