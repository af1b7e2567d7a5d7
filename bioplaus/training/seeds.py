"""Seeds: their keys, and how the runs of many seeds share one compiled program."""

import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.training.loops import in_turn
from bioplaus.types import Key, PyTree

VMAP_MAX_PARAMS = 200_000
"""Number of parameters up to which vmapped seeds are faster on a CPU than one after another."""

How = Literal["auto", "vmap", "loop"]

WAYS: dict[str, Callable[..., Any]] = {"vmap": jax.vmap, "loop": in_turn}
"""Functions that map a function of one seed over many."""


def seed_key(seed: ArrayLike) -> Key:
    """The key of a seed, of type threefry2x32 whatever JAX's default is.

    Numbers drawn from such a key do not depend on vmap, on the machine or on settings.
    """
    return jax.random.key(seed, impl="threefry2x32")


def seed_keys(seeds: int) -> Key:
    """Keys of the seeds 0 to seeds - 1, [S]."""
    return jax.vmap(seed_key)(jnp.arange(seeds))


def check_keys(keys: Key) -> None:
    """Raise ValueError unless keys are typed keys [S] of type threefry2x32."""
    if not jnp.issubdtype(keys.dtype, jax.dtypes.prng_key):
        kind = f"raw numbers {keys.dtype}{list(keys.shape)}"
    elif str(jax.random.key_impl(keys)) != "threefry2x32":
        kind = f"type {jax.random.key_impl(keys)}"
    elif keys.ndim != 1:
        kind = f"shape {list(keys.shape)}"
    else:
        return
    raise ValueError(
        f"seeds: got keys of {kind}, expected one key per seed, [S], of type threefry2x32, because"
        " other types draw other numbers under vmap; make them with bioplaus.seed_keys(S), or each"
        " with jax.random.key(seed, impl='threefry2x32')"
    )


def seeds_over(params: PyTree) -> Callable[..., Any]:
    """The fastest way to run the seeds of a net of this size in one program.

    params: those of one seed. On accelerators, and on a CPU for small dense nets, it is vmap.
    Larger nets and convolutions run one seed after the other on a CPU. This was measured by
    experiments/benchmarks/seeds.py.
    """
    leaves = jax.tree.leaves(params)
    small = sum(math.prod(a.shape) for a in leaves) <= VMAP_MAX_PARAMS and all(
        len(a.shape) < 4 for a in leaves
    )
    return jax.vmap if small or jax.default_backend() != "cpu" else in_turn


def side_by_side(f: Callable[..., Any]) -> Callable[..., Any]:
    """f on all seeds at once, each seed on its own devices of a mesh."""
    return jax.vmap(f, spmd_axis_name="seeds")
