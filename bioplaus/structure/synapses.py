"""Rewiring of synapses: of each layer a constant number exists, and the weakest move.

Every `every` steps, of the n = density * size synapses of a layer, k = round(fraction * n):
    the k of least |w_ij + update| are removed
    k others appear, where none was before the step: at random, or where |dL/dw_ij| is largest
    w_ij = 0 where no synapse is, and at a new one
w_ij: a leaf of two axes or more of a net's params, [n_in, n_out] or [h, w, n_in, n_out]; biases
always exist.

Where no synapse is, the gradient that the optimiser sees is 0. A new synapse has no past: the
optimiser's moments are 0 there.

At random: sparse evolutionary training, Mocanu et al., "Scalable training of artificial neural
networks with adaptive sparse connectivity inspired by network science", 2018,
doi:10.1038/s41467-018-04316-3. Where the gradient is largest: RigL, Evci et al., "Rigging the
Lottery", 2020, arXiv:1911.11134. Departures: each layer has the same
density; the fraction of RigL is not annealed; the synapses of least size go, where SET counts the
smallest positive and the largest negative weights apart; new synapses start at 0, as in RigL. Deep
rewiring (Bellec et al., 2018, arXiv:1711.05136), in which a synapse goes when its weight changes
sign, is another rule.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bioplaus.hyper import Count, Share, declared
from bioplaus.optim.projections import are_largest, are_weights, drawn_mask, given
from bioplaus.optim.sampling import by_signs
from bioplaus.structure.cost import Rebuilt, counted, none_yet
from bioplaus.types import Array, Key, PyTree


class Rewired(NamedTuple):
    """The state of `rewired`. exists: which params there are, booleans of their shapes.
    steps: []."""

    inner: PyTree
    exists: PyTree
    steps: Array
    rebuilt: Rebuilt


@declared
def rewired(
    tx: optax.GradientTransformation,
    density: Share,
    key: Key,
    *,
    fraction: Share = 0.3,
    every: Count = 100,
    by_gradient: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """tx on a net with sparse synapses that move; see the head of this file.

    density: fraction of each layer's synapses that exist. key: places are drawn from it and the
    signs of weights, so that seeds under `replicate` differ. fraction: of the synapses that move at
    a time. every: steps between moves. by_gradient: whether new ones appear where the gradient is
    largest, and not at random.

    The first step removes weights where no synapse is. Raises ValueError for numbers outside their
    domains; at init if a layer has no synapse, or too few free places; in `update` without params.

        tx = bp.structure.rewired(optax.adam(1e-3), 0.2, jax.random.key(0), every=50)
    """
    optimiser = optax.with_extra_args_support(tx)

    def numbers(w: Array) -> tuple[int, int]:
        """(synapses that stay at a move, synapses that move)"""
        exist = round(density * w.size)
        return exist - round(fraction * exist), round(fraction * exist)

    def mask(is_weight: bool, w: Array) -> Array:
        if not is_weight:
            return jnp.ones(w.shape, bool)
        _check_room(w, *numbers(w))
        return drawn_mask("rewired", density, key, w)

    def init(params: PyTree) -> Rewired:
        exists = jax.tree.map(mask, are_weights(params), params)
        return Rewired(tx.init(params), exists, jnp.zeros((), jnp.int32), none_yet())

    def update(updates: PyTree, state: Any, params: PyTree = None, **told):
        given(params)
        held = jax.tree.map(lambda g, m: jnp.where(m, g, 0), updates, state.exists)
        changes, inner = optimiser.update(held, state.inner, params, **told)
        steps = state.steps + 1

        def move(exists: PyTree) -> PyTree:
            scores = jax.tree.map(jnp.abs, updates) if by_gradient else _random(key, steps, params)
            after = jax.tree.map(jnp.add, params, changes)
            return jax.tree.map(
                lambda is_weight, m, w, s: _moved(m, w, s, *numbers(w)) if is_weight else m,
                *(are_weights(params), exists, after, scores),
            )

        exists = jax.lax.cond(steps % every == 0, move, lambda m: m, state.exists)
        old = jax.tree.map(jnp.logical_and, exists, state.exists)  # those with a past
        changes = jax.tree.map(lambda m, u, w: jnp.where(m, u, -w), old, changes, params)
        inner = optax.tree_map_params(tx, lambda v, m: jnp.where(m, v, 0), inner, old)
        made = sum(jax.tree.leaves(jax.tree.map(lambda a, b: (a & ~b).sum(), exists, old)))
        return changes, Rewired(inner, exists, steps, counted(state.rebuilt, made))

    return optax.GradientTransformationExtraArgs(init, update)


def _check_room(w: Array, stay: int, moving: int) -> None:
    free = w.size - stay - moving
    if moving > free:
        raise ValueError(
            f"rewired: {moving} of {stay + moving} synapses are to move, and weights {w.shape} have"
            f" {free} free places; give a lower density or fraction"
        )


def _random(key: Key, steps: Array, params: PyTree) -> PyTree:
    """A number in [0, 1) for each place; signs of weights make those of seeds differ."""
    leaves, tree = jax.tree.flatten(params)
    draws = jax.random.fold_in(jax.random.fold_in(key, steps), by_signs(params))
    return tree.unflatten(
        [jax.random.uniform(jax.random.fold_in(draws, i), w.shape) for i, w in enumerate(leaves)]
    )


def _moved(exists: Array, w: Array, score: Array, stay: int, moving: int) -> Array:
    """Which synapses exist after a move: the `stay` largest of w, and `moving` of largest score
    among the places where there was none."""
    kept = are_largest(jnp.where(exists, jnp.abs(w), -1).ravel(), stay)
    grown = are_largest(jnp.where(exists, -1, score).ravel(), moving)
    return (kept | grown).reshape(exists.shape)
