"""Learning with fewer and smaller changes of synapses.

A meter of changes, and two transformations that save some.

    M = sum_i sum_t |w_i(t) - w_i(t - 1)|^alpha        alpha = 1: M-energy;
                                                       alpha = 0: number of synaptic updates
    M_min = sum_i |w_i(T) - w_i(0)|,    inefficiency = M / M_min >= 1
    largest:  only the largest fraction of each layer's changes is made
    cached:   w = s + l;  s <- e^(-1/tau) s + dw;  where |s| > theta: l <- l + s, s <- 0;
              M = sum |dl| + c sum_t sum_i |s|
w_i: every parameter, biases too;  t: step, 1 to T;  s, l: transient and lasting part of a weight;
tau: lifetime of s;  theta: threshold;  c: cost of keeping a transient change for one step.

    # the meter goes around everything that changes weights
    tx = economy.metered(optax.chain(optax.sgd(0.1), economy.largest(0.1)))

Li and van Rossum, "Energy efficient synaptic plasticity", 2020, eLife 9:e50804,
doi:10.7554/eLife.50804; only large updates: van Rossum and Pache, "Competitive plasticity to reduce
the energetic costs of learning", 2024, doi:10.1371/journal.pcbi.1012553. Departures: each synapse
is consolidated when it crosses the threshold itself (one of the paper's variants); `largest` ranks
the updates of a layer at a step, where van Rossum and Pache also restrict which synapses may ever
change.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike

from bioplaus.types import Array, PyTree


class Spent(NamedTuple):
    """The state of `metered`. inner: the state of the metered transformation. start: the params at
    the start.

    energy, updates: M at alpha = 1 and at alpha = 0, summed so far. Each is a pair (sum, rounding
    error of the sum).
    """

    inner: PyTree
    start: PyTree
    energy: tuple[Array, Array]
    updates: tuple[Array, Array]


class Cache(NamedTuple):
    """The state of `cached`. transient: s. consolidation: sum |dl|. maintenance: sum over steps of
    sum |s|, to be multiplied by c.
    """

    transient: PyTree
    consolidation: Array
    maintenance: Array


class Efficiency(NamedTuple):
    """A reading of the meter. energy: M. growth: M of increases alone, (M + sum_i (w_i(T) -
    w_i(0))) / 2. updates: number of synaptic updates. least: M_min. inefficiency: M / M_min, inf
    for M_min = 0.
    """

    energy: float
    growth: float
    updates: float
    least: float
    inefficiency: float


def metered(tx: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """tx, with a meter of the changes that it makes. `efficiency` reads it. Goes outermost; holds a
    copy of the params. Extra arguments of `update` go to tx.
    """
    metered_tx = optax.with_extra_args_support(tx)

    def init(params: PyTree) -> Spent:
        zero = (jnp.zeros(()), jnp.zeros(()))
        return Spent(tx.init(params), jax.tree.map(jnp.array, params), zero, zero)

    def update(updates: PyTree, state: Any, params: PyTree = None, **extra):
        changes, inner = metered_tx.update(updates, state.inner, params, **extra)
        leaves = jax.tree.leaves(changes)
        energy = _added(state.energy, sum(_sum(jnp.abs(u)) for u in leaves))
        count = _added(state.updates, sum(_sum((u != 0).astype(u.dtype)) for u in leaves))
        return changes, Spent(inner, state.start, energy, count)

    return optax.GradientTransformationExtraArgs(init, update)


def efficiency(spent: Spent, params: PyTree) -> Efficiency:
    """The reading of a meter. params: the present weights. If state and params have an axis of
    seeds, take one seed of both.
    """
    energy, updates = (float(s) - float(lost) for s, lost in (spent.energy, spent.updates))
    pairs = zip(jax.tree.leaves(params), jax.tree.leaves(spent.start), strict=True)
    moved = [np.asarray(w, np.float64) - np.asarray(w0, np.float64) for w, w0 in pairs]
    least, net = float(sum(np.abs(d).sum() for d in moved)), float(sum(d.sum() for d in moved))
    return Efficiency(
        energy, (energy + net) / 2, updates, least, energy / least if least else math.inf
    )


def largest(fraction: float) -> optax.GradientTransformation:
    """Keep the `fraction` of each leaf's updates with the largest magnitude.

    At least one is kept; the others become 0. Chain it after the optimiser.

    Of equal magnitudes the first is kept. Raises ValueError for a fraction outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"largest: fraction is {fraction}, expected above 0, up to 1")

    def kept(u: Array) -> Array:
        flat = u.ravel()
        chosen = jax.lax.top_k(jnp.abs(flat), max(1, round(fraction * flat.size)))[1]
        return jnp.zeros_like(flat).at[chosen].set(flat[chosen]).reshape(u.shape)

    return optax.stateless(lambda updates, params: jax.tree.map(kept, updates))


def cached(threshold: ArrayLike, lifetime: ArrayLike = math.inf) -> optax.GradientTransformation:
    """Make changes of weights transient, until they exceed a threshold.

    A transient change decays. Where it exceeds the threshold it becomes lasting. Chain it after the
    optimiser.

    threshold: theta, in units of a weight. lifetime: tau, in steps; inf for no decay. At the end of
    training, `consolidate` makes the rest lasting. The best threshold is theta* = sqrt(3 K eta^2 /
    (1 + c T)) for K changes of size eta in T steps. Raises ValueError for a threshold below 0 or a
    lifetime that is not positive, if they are numbers.
    """
    if (isinstance(threshold, (int, float)) and threshold < 0) or (
        isinstance(lifetime, (int, float)) and not lifetime > 0
    ):
        raise ValueError(
            f"cached: threshold is {threshold}, lifetime {lifetime}; expected 0 or more, and"
            " above 0"
        )

    def init(params: PyTree) -> Cache:
        return Cache(jax.tree.map(jnp.zeros_like, params), jnp.zeros(()), jnp.zeros(()))

    def update(updates: PyTree, state: Any, params: PyTree = None):
        del params
        keep = jnp.exp(-1 / jnp.asarray(lifetime))
        held = jax.tree.map(lambda s, u: keep * s + u, state.transient, updates)
        passed = jax.tree.map(lambda s: jnp.where(jnp.abs(s) > threshold, s, 0), held)
        transient = jax.tree.map(jnp.subtract, held, passed)
        # the change of w = s + l: what moved from s to l does not change w
        changes = jax.tree.map(jnp.subtract, held, state.transient)
        spent, waiting = (
            sum(jnp.abs(x).sum() for x in jax.tree.leaves(t)) for t in (passed, transient)
        )
        return changes, Cache(transient, state.consolidation + spent, state.maintenance + waiting)

    return optax.GradientTransformation(init, update)


def consolidate(state: Cache) -> Cache:
    """Make all transient changes lasting. The weights do not change, and the energy is spent."""
    rest = sum(jnp.abs(s).sum() for s in jax.tree.leaves(state.transient))
    return Cache(
        jax.tree.map(jnp.zeros_like, state.transient), state.consolidation + rest, state.maintenance
    )


def _sum(x: Array) -> Array:
    """The sum, computed as a product with ones. On a CPU XLA sums an array one number after the
    other, but runs products in parallel.
    """
    # bfloat16 has too few digits to count in
    x = jnp.atleast_1d(x).astype(jnp.promote_types(x.dtype, jnp.float32))
    x = x.reshape(-1, x.shape[-1])
    return (jnp.ones(len(x), x.dtype) @ x).sum()


def _added(total: tuple[Array, Array], x: ArrayLike) -> tuple[Array, Array]:
    """(sum, error) with x added. sum - error is the sum at twice the precision (Kahan, 1965)."""
    y = jnp.asarray(x, total[0].dtype) - total[1]
    new = total[0] + y
    return new, (new - total[0]) - y
