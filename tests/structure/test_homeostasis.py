"""Homeostasis: mean outputs reach the target, and the ratios of a unit's weights stay."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus.structure import scaled

KEY = jax.random.key(0)
NET = bp.mlp([6, 8, 5, 3], bp.relu())
X = jax.random.normal(KEY, (32, 6))
BATCH = bp.Batch(X, jax.nn.one_hot(jnp.arange(32) % 3, 3))
PARAMS: Any = bp.init(NET, KEY, X)
ZEROS = jax.tree.map(jnp.zeros_like, PARAMS)


def after(rate: float, steps: int = 1000) -> Any:
    tx = scaled(optax.sgd(0.1), NET, target=0.5, rate=rate, decay=0.9)

    def one(carry, _):
        params, opt = carry
        updates, opt = tx.update(ZEROS, opt, params, batch=BATCH, key=KEY)
        return (optax.apply_updates(params, updates), opt), None

    return jax.lax.scan(one, (PARAMS, tx.init(PARAMS)), length=steps)[0][0]


def test_mean_outputs_reach_the_target():
    """At a rate of 0 they stay where they were: the control."""
    for rate, far in ((0.05, 0.02), (0.0, np.inf)):
        params = after(rate)
        first, second, _ = bp.forward(NET, params, X, KEY).outputs
        means = np.concatenate([first.mean(0), second.mean(0)])
        live = means > 0  # a unit below its threshold for all inputs stays there
        assert live.sum() > 9
        distance = np.abs(means[live] - 0.5).max()
        assert distance < far
        assert (distance > 0.1) == (rate == 0)
    for old, new in zip(PARAMS[:2], after(0.05)[:2], strict=True):
        ratio = np.asarray(new["w"] / old["w"])
        np.testing.assert_allclose(ratio, ratio[:1] * np.ones_like(ratio), rtol=1e-3)
        np.testing.assert_array_equal(new["b"], old["b"])
    np.testing.assert_array_equal(after(0.05)[2]["w"], PARAMS[2]["w"])


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="scaled: rate: expected a number at least 0"):
        scaled(optax.sgd(0.1), NET, target=0.5, rate=-1.0)
    tx = scaled(optax.sgd(0.1), NET, target=0.5)
    with pytest.raises(ValueError, match="was called without the params, the batch or"):
        tx.update(ZEROS, tx.init(PARAMS), PARAMS)
