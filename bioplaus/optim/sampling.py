"""Langevin dynamics: gradient descent with noise, which samples weights where it would settle.

    w <- w - eta g + sqrt(2 eta T) xi
g: gradient;  eta: learning rate;  T: temperature, in units of the loss;  xi: standard normal, drawn
for every parameter at every step. As eta -> 0 the weights are spread as exp(-L / T), for a loss L
whose gradient is g. In a quadratic loss lambda w^2 / 2 their variance is
T / (lambda (1 - eta lambda / 2)) at any eta below 2 / lambda. With T = 0 it is gradient descent.

Welling and Teh, "Bayesian learning via stochastic gradient Langevin dynamics", 2011, where T = 1
for the sum of losses of all examples; for synapses, Kappel et al., "Network plasticity as Bayesian
inference", 2015, doi:10.1371/journal.pcbi.1004485.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from bioplaus.hyper import NonNegative, declared
from bioplaus.types import Array, Key, PyTree


class Warmth(NamedTuple):
    """The state of `langevin`. step: number of updates so far []. key: of the noise."""

    step: Array
    key: Key


@declared
def langevin(
    learning_rate: ArrayLike | optax.Schedule, temperature: NonNegative, key: Key
) -> optax.GradientTransformation:
    """The update -eta g + sqrt(2 eta T) xi, in place of `optax.sgd`.

    learning_rate: eta, a number, or a function of the step. temperature: T. key: of the noise;
    seeds that train together draw differently, because their starting weights differ. Rounding
    makes the noise too small to matter where w is more than 1e7 times larger. Raises ValueError for
    a temperature below 0.

        tx = bp.langevin(0.1, temperature=1e-4, key=jax.random.key(0))
    """

    def init(params: PyTree) -> Warmth:
        return Warmth(jnp.zeros((), jnp.int32), jax.random.fold_in(key, by_signs(params)))

    def update(updates: PyTree, state: Any, params: PyTree = None):
        del params
        rate = jnp.asarray(learning_rate(state.step) if callable(learning_rate) else learning_rate)
        leaves, tree = jax.tree.flatten(updates)
        at = jax.random.fold_in(state.key, state.step)
        size = jnp.sqrt(2 * rate * temperature)
        moved = [
            (-rate * g + size * jax.random.normal(jax.random.fold_in(at, i), g.shape)).astype(
                g.dtype
            )
            for i, g in enumerate(leaves)
        ]
        return tree.unflatten(moved), Warmth(state.step + 1, state.key)

    return optax.GradientTransformation(init, update)


def by_signs(params: PyTree) -> Array:
    """A number, uint32 [], by which seeds are told apart: that of the signs of their weights."""
    leaves = jax.tree.leaves(params)
    return sum((jnp.packbits(w.ravel() > 0).sum(dtype=jnp.uint32) for w in leaves), jnp.uint32(0))
