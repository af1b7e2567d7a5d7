"""Synaptic scaling: the sum of the weights that arrive at a unit, and their ratios."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus import projections

X = jax.random.normal(jax.random.key(0), (4, 6))
NET = (bp.dense(8), bp.dense(3, bias=jax.nn.initializers.ones))
CONV = (bp.conv(4, 3), bp.flattened(bp.dense(9)))


def test_the_sum_is_held_and_ratios_stay():
    """Silent units, whose weights are all 0, and biases stay."""
    drawn = bp.init(NET, jax.random.key(0), X)
    params = tuple({**p, "w": p["w"].at[..., 0].set(0.0)} for p in drawn)
    for p, q in zip(params, projections.project(projections.normalised(2.0), params), strict=True):
        size = np.abs(p["w"]).sum(0)
        np.testing.assert_allclose(q["w"][:, 1:], 2 * p["w"][:, 1:] / size[1:], rtol=1e-5)
        assert not np.any(q["w"][:, 0])
        assert not np.allclose(size[1:], 2.0, rtol=1e-2)  # control
        np.testing.assert_array_equal(p["b"], q["b"])


def test_after_any_update():
    params = bp.init(CONV, jax.random.key(0), jnp.ones((2, 6, 6, 1)))
    tx = projections.normalised(2.0)
    updates, _ = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)
    new = [np.abs(a) for a in jax.tree.leaves(optax.apply_updates(params, updates)) if a.ndim > 1]
    for w in new:
        np.testing.assert_allclose(w.sum(tuple(range(w.ndim - 1))), 2.0, rtol=1e-5)


def test_a_bad_total_is_refused():
    with pytest.raises(ValueError, match="normalised: total is 0, expected above 0"):
        projections.normalised(0)
