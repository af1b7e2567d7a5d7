"""Constraints on weights, for any rule. Chained after an optimiser, each keeps the weights in a
set.

    update <- P(w + update) - w,    so that the new weights w + update are in the set
w: a leaf of two axes or more of a net's params, [n_in, n_out] or [h, w, n_in, n_out]; biases are
not constrained.

    dale       P(w)_ij = max(w_ij, 0) if unit i is excitatory, min(w_ij, 0) if it is inhibitory
    bounded    P(w) = min(max(w, low), high)
    sparse     P(w) = mask * w
    low_bit    P(a) = q clip(round(a / q), -K, K),    K = 2^(bits - 1) - 1,
               for accumulators a <- clip(a + update, -K q, K q) and levels spaced by q
    normalised  P(w)_ij = total w_ij / sum_i |w_ij|

    sparse = projections.sparse(0.1, jax.random.key(0))
    tx = optax.chain(optax.adam(1e-3), projections.dale(0.8), sparse)

Any starting params will do: the first step brings them into the set, and they never leave it;
`project` does so before the first step. Put several at the end of the chain, in the order low_bit,
dale, sparse, or bounded, dale, sparse with 0 within the bounds: each then preserves the constraints
of those before it. low_bit has bounds already; normalised comes last, and keeps signs and zeros.
Weights that belong to a rule, such as feedback, are other synapses: give them an optimiser without
these constraints.

dale: Dale, "Pharmacology and Nerve-endings", 1935; "Dale's principle" is Eccles's name for it.
Clipped to sign, four excitatory units to one inhibitory: Song, Yang, Wang, "Training
Excitatory-Inhibitory Recurrent Neural Networks for Cognitive Tasks", 2016,
doi:10.1371/journal.pcbi.1004792. Its cost: Cornford, Kalajdzievski, Leite, Lamarquette, Kullmann,
Richards, "Learning to live with Dale's principle: ANNs with separate excitatory and inhibitory
units", ICLR 2021, https://openreview.net/forum?id=eU776ZYxEpz (the paper's architecture, DANN, is
another one). sparse: Litwin-Kumar, Harris, Axel, Sompolinsky, Abbott, "Optimal Degrees of Synaptic
Connectivity", 2017, Neuron 93. low_bit, bounded: Courbariaux, Bengio, David, "BinaryConnect", 2015,
arXiv:1511.00363 (accumulators a, clipped); fixed point, by the same authors, "Training deep neural
networks with low precision multiplications", 2014, arXiv:1412.7024. normalised: Turrigiano, "The
self-tuning neuron: synaptic scaling of excitatory synapses", 2008, doi:10.1016/j.cell.2008.10.008.
Departures: dale gives each unit the sign to which its starting weights lean, and only learning
balances excitation and inhibition; low_bit has several bits, and always rounds to the nearest
level; normalised scales at once, and not over hours.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from bioplaus.types import Array, Key, PyTree


class LowBit(NamedTuple):
    """accumulator: a, the weights in full precision. step: q, one per leaf, a power of two."""

    accumulator: PyTree
    step: PyTree


def dale(excitatory: float = 0.8, *, inputs: bool = False) -> optax.GradientTransformation:
    """Dale's law: all weights that leave a unit have its sign. Weights of the wrong sign become 0.

    excitatory: fraction of a layer's units that are excitatory, rounded to a whole number of units.
    They are those whose starting weights have the largest sum, so that they differ between seeds
    and the fewest weights are lost. A channel of a convolution is one unit; if its output is
    flattened, each of its positions is one. inputs: whether the first layer's weights are
    constrained too; otherwise the net's inputs have weights of both signs.

    The law is about weights: a neuron with outputs of both signs, such as tanh, still has effects
    of both signs; relu and sigmoid do not. Raises ValueError for a fraction outside [0, 1], and at
    init for weights of three axes (as in attention), whose units are not known.
    """
    if not 0 <= excitatory <= 1:
        raise ValueError(f"dale: excitatory is {excitatory}, expected a fraction from 0 to 1")

    def signs(w: Array) -> Array:
        if w.ndim not in (2, 4):
            raise ValueError(
                f"dale: weights of shape {w.shape}; expected [n_in, n_out] or [h, w, n_in, n_out]"
            )
        lean = w.sum([axis for axis in range(w.ndim) if axis != w.ndim - 2])
        return are_largest(lean, round(excitatory * lean.size))[:, None]

    def settle(signs: Array, w: Array, update: Array) -> Array:
        return jnp.where(signs, jnp.maximum(update, -w), jnp.minimum(update, -w))

    def within(params: PyTree) -> PyTree:
        chosen = are_weights(params)
        return chosen if inputs else (jax.tree.map(lambda _: False, params[0]), *chosen[1:])

    return optax.masked(_projection(signs, settle), within)


def bounded(low: float, high: float) -> optax.GradientTransformation:
    """Hard bounds: low <= w <= high. Raises ValueError unless low < high."""
    if not low < high:
        raise ValueError(f"bounded: got low {low} and high {high}, expected low < high")

    def settle(_: PyTree, w: Array, update: Array) -> Array:
        upper, lower = high - w, low - w
        # w + (high - w) may be rounded to a number above high
        upper = jnp.where(w + upper > high, jnp.nextafter(upper, -jnp.inf), upper)
        lower = jnp.where(w + lower < low, jnp.nextafter(lower, jnp.inf), lower)
        return jnp.clip(update, lower, upper)

    return optax.masked(_projection(lambda w: (), settle), are_weights)


def sparse(density: float, key: Key) -> optax.GradientTransformation:
    """Fixed sparse connectivity: a random fraction of synapses exists.

    density: that fraction of each layer's synapses, rounded to a whole number; the others are 0.

    key: the key from which the masks are drawn. Under `replicate` each seed has different masks.
    Starting weights of 0 are removed first. Raises ValueError for a density outside (0, 1], and at
    init if it leaves a layer without synapses.
    """
    if not 0 < density <= 1:
        raise ValueError(f"sparse: density is {density}, expected a fraction above 0, up to 1")

    def mask(w: Array) -> Array:
        return drawn_mask("sparse", density, key, w)

    return optax.masked(
        _projection(mask, lambda mask, w, update: jnp.where(mask, update, -w)), are_weights
    )


def drawn_mask(where: str, density: float, key: Key, w: Array) -> Array:
    """Booleans of the shape of w: round(density * w.size) places at random, none where w is 0 as
    long as there are others.

    Raises ValueError, in the name of `where`, if no place is left.
    """
    count = round(density * w.size)
    if not count:
        raise ValueError(
            f"{where}: a density of {density} leaves none of the {w.size} weights {w.shape};"
            " give a larger one"
        )
    # signs of the starting weights make the masks of seeds and layers differ
    bits = (w.ravel()[:31] > 0) << jnp.arange(min(w.size, 31))
    score = (w != 0) + jax.random.uniform(jax.random.fold_in(key, bits.sum()), w.shape)
    return are_largest(score.ravel(), count).reshape(w.shape)


def low_bit(bits: int, limit: float | None = None) -> optax.GradientTransformation:
    """Weights on 2^bits - 1 levels: 0, and K on either side. Updates are accumulated in full
    precision, so that small ones count.

    The levels are up to K q on either side, with q the largest power of two for which they are
    within `limit`. limit: the same for every layer, or None for 4 times the root mean square of
    each layer's starting weights. Gradients are computed at the rounded weights. Raises ValueError
    for bits outside 2 to 16, or a limit of 0 or less.
    """
    if not 2 <= operator.index(bits) <= 16:
        raise ValueError(f"low_bit: bits is {bits}, expected 2 to 16")
    if limit is not None and not limit > 0:
        raise ValueError(
            f"low_bit: limit is {limit}, expected above 0, or None for a limit by layer"
        )
    top = 2 ** (bits - 1) - 1

    def spacing(w: Array) -> Array:
        reach = jnp.asarray(4 * jnp.sqrt(jnp.mean(w**2)) if limit is None else limit, w.dtype)
        # a layer whose weights start at 0 has no scale: take 1
        mantissa, exponent = jnp.frexp(jnp.where(reach > 0, reach, 1) / top)
        del mantissa
        return jnp.ldexp(jnp.ones((), w.dtype), exponent - 1)

    def settle(w: Array, a: Array, q: Array) -> Array:
        """The update to a's level. Because q is a power of two, it is exact from level to level;
        from a starting weight between levels it may not be.
        """
        move = q * jnp.clip(jnp.round(a / q), -top, top) - w
        level = (w + move) / q
        # then set the weight to 0 for this step; NaN stays
        return jnp.where(jnp.abs(level - jnp.round(level)) > 0, -w, move)

    def init(params: PyTree) -> LowBit:
        return LowBit(params, jax.tree.map(spacing, params))

    def update(updates: PyTree, state: Any, params: PyTree = None):
        full = jax.tree.map(
            lambda a, u, q: jnp.clip(a + u, -top * q, top * q),
            state.accumulator,
            updates,
            state.step,
        )
        return jax.tree.map(settle, given(params), full, state.step), LowBit(full, state.step)

    return optax.masked(optax.GradientTransformation(init, update), are_weights)


def normalised(total: float) -> optax.GradientTransformation:
    """Synaptic scaling: the weights that arrive at a unit add up to `total`, each at its size.

    All are scaled alike, so that their ratios stay: what one synapse gains, the others lose. Units
    whose weights are all 0 stay so. Weights above an upper bound may come back above it. Raises
    ValueError unless total is above 0.
    """
    if not total > 0:
        raise ValueError(f"normalised: total is {total}, expected above 0")

    def settle(_: PyTree, w: Array, update: Array) -> Array:
        new = w + update
        size = jnp.abs(new).sum(range(new.ndim - 1))
        return jnp.where(size > 0, new * (total / jnp.where(size > 0, size, 1)) - w, update)

    return optax.masked(_projection(lambda w: (), settle), are_weights)


def project(tx: optax.GradientTransformation, params: PyTree) -> PyTree:
    """The params moved into the set of a projection.

    tx: one projection, or several that are chained. The first step would otherwise move the params
    in the same way.
    """
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    return optax.apply_updates(params, updates)


def are_weights(params: PyTree) -> PyTree:
    """Which leaves of a net's params are weights: those of two axes or more. A bias has one."""
    return jax.tree.map(lambda w: w.ndim > 1, params)


def _projection(
    draw: Callable[[Array], PyTree], settle: Callable[[PyTree, Array, Array], Array]
) -> optax.GradientTransformation:
    """A projection onto a set that is fixed at the start. draw: (w) -> description of the set.
    settle: (description, w, update) -> update.

    Updates are clipped, not weights: w + max(update, -w) >= 0 holds however it is rounded or fused,
    and an update that stays in the set is not changed.
    """

    def update(updates: PyTree, state: PyTree, params: PyTree = None):
        return (
            jax.tree.map(lambda w, u, kept: settle(kept, w, u), given(params), updates, state),
            state,
        )

    return optax.GradientTransformation(lambda params: jax.tree.map(draw, params), update)


def are_largest(x: Array, count: int) -> Array:
    """[n] of booleans: which of x [n] are the `count` largest."""
    return jnp.zeros(x.size, bool).at[jax.lax.top_k(x, count)[1]].set(True)


def given(params: PyTree) -> PyTree:
    """The params. Raises ValueError if there are none."""
    if params is None:
        raise ValueError(
            "projections: tx.update(grads, state) was called without the params, which it"
            " changes; give them as the third argument"
        )
    return params
