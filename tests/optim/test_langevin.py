"""Langevin dynamics: the spread of weights in a quadratic loss, and gradient descent at T = 0."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp

KEY = jax.random.key(2)
RATE, HEAT, CURVATURE, WALKERS = 0.1, 0.05, 2.0, 4000


def settled(steps: int, temperature=HEAT, rate: float | optax.Schedule = RATE):
    """Weights of WALKERS parameters after so many steps down CURVATURE w^2 / 2, from 0."""
    tx = bp.langevin(rate, temperature, KEY)

    def step(carry, _):
        w, state = carry
        updates, state = tx.update(CURVATURE * w, state, w)
        return (optax.apply_updates(w, updates), state), None

    start = jnp.zeros(WALKERS)
    (w, _), _ = jax.jit(lambda: jax.lax.scan(step, (start, tx.init(start)), None, steps))()
    return np.asarray(w, np.float64)


def test_the_spread_of_weights():
    """T / (lambda (1 - eta lambda / 2)): that of eta -> 0 would be 10 % less."""
    w, after = settled(60), settled(61)
    truth = HEAT / (CURVATURE * (1 - RATE * CURVATURE / 2))
    z = [(w.var() / v - 1) / np.sqrt(2 / WALKERS) for v in (truth, HEAT / CURVATURE)]
    assert abs(z[0]) < 3
    assert abs(z[1]) > 4
    assert abs(w.mean()) < 3 * np.sqrt(truth / WALKERS)
    # noise is fresh at each step: the correlation is that of the decay alone
    decay = 1 - RATE * CURVATURE
    assert abs(np.corrcoef(w, after)[0, 1] - decay) < 3 * (1 - decay**2) / np.sqrt(WALKERS)


def test_a_schedule_scales_the_noise_by_its_root():
    one = settled(1, rate=lambda step: 0.4 * (step == 0))
    assert abs(one.var() / (2 * 0.4 * HEAT) - 1) < 3 * np.sqrt(2 / WALKERS)
    np.testing.assert_array_equal(settled(2, rate=lambda step: 0.4 * (step == 0)), one)


def test_at_no_temperature_it_is_gradient_descent():
    params = {"w": jnp.arange(6.0).reshape(2, 3) - 2, "b": jnp.ones(3)}
    grads = jax.tree.map(jnp.sin, params)
    plain, _ = optax.sgd(0.3).update(grads, optax.sgd(0.3).init(params))
    for heat, same in ((0.0, True), (0.1, False)):
        tx = bp.langevin(0.3, heat, KEY)
        updates, _ = tx.update(grads, tx.init(params))
        assert all(jax.tree.leaves(jax.tree.map(jnp.array_equal, updates, plain))) is same


def test_seeds_that_train_together_draw_differently():
    tx = bp.langevin(0.1, 1.0, KEY)
    weights = jax.random.normal(KEY, (2, 5, 4))

    def drawn(w):
        return jnp.asarray(tx.update(jnp.zeros_like(w), tx.init(w))[0])

    first, second = jax.vmap(drawn)(weights)
    assert not jnp.isclose(first, second).any()


def test_a_negative_temperature_is_refused():
    with pytest.raises(ValueError, match="temperature: expected a number at least 0"):
        bp.langevin(0.1, -1.0, KEY)
