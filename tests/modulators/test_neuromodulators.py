"""Dopamine, acetylcholine, noradrenaline and threshold against numbers from their equations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bioplaus.layers import dense, mlp
from bioplaus.losses import cross_entropy, mse
from bioplaus.modulators import (
    acetylcholine,
    dopamine,
    modulate,
    noradrenaline,
    signed,
    threshold,
    unmodulated,
)
from bioplaus.net import init
from bioplaus.rules import backprop
from bioplaus.types import Batch, Signals

KEY = jax.random.key(0)
CURRENTS = (jax.ShapeDtypeStruct((1, 2), "float32"),)


def signals(value, correct=None):
    value = jnp.atleast_1d(value)
    return Signals(value, jnp.zeros_like(value) if correct is None else correct, value, value)


def outcome(modulator, state, value, correct=None) -> tuple[Any, Any]:
    return modulator.gate(state, signals(value, correct))


def scale(modulator, state) -> float:
    return float(modulator.gain(state, ())[0].scale)


def track(modulator, observations, lr):
    """A weight and a bias, both with input 1, track a signal [T, B] by gated gradient descent.

    Each step moves the estimate by 2 lr g mean_b (observation - estimate), where g is the gate.
    """
    net = (dense(1, weights=jax.nn.initializers.zeros),)
    rule = modulate(backprop, modulator)(net, mse)
    x = jnp.ones((observations.shape[1], 1))
    params = init(net, KEY, x)
    state = rule.init(KEY, params, Batch(x, x))

    def step(carry, y):
        params, state = carry
        estimate = rule.predict(params, state, x, KEY)[0, 0]
        grads, state, info = rule.grad(params, state, Batch(x, y[:, None]), KEY)
        return (jax.tree.map(lambda p, g: p - lr * g, params, grads), state), (
            estimate,
            info.get("gate"),
        )

    return jax.jit(lambda ys: jax.lax.scan(step, (params, state), ys)[1])(observations)


# dopamine


def test_the_baseline_removes_the_bias_of_a_three_factor_rule(x64):
    """E[g e] = Cov(r, e) with the baseline, Cov(r, e) + E[r] E[e] without it."""
    del x64
    e = 0.7 + jax.random.normal(KEY, (500,))
    r = 2.0 + 0.5 * e + jax.random.normal(jax.random.key(1), (500,))
    covariance = float(jnp.mean((r - r.mean()) * (e - e.mean())))

    def third_factor(kappa):
        modulator = dopamine(kappa=kappa, reward=lambda s: s.loss, shape=signed)
        state = modulator.init(KEY, (jax.ShapeDtypeStruct((1, 2), "float64"),))
        state, _ = outcome(modulator, state, r)
        return float(jnp.mean(outcome(modulator, state, r)[1] * e))

    assert abs(float(r.mean() * e.mean())) > 0.5
    # rbar = mean r after one step at rate 1
    assert third_factor(1.0) == pytest.approx(covariance, rel=1e-12)
    assert third_factor(0.0) == pytest.approx(covariance + float(r.mean() * e.mean()), rel=1e-12)


def test_expected_reward_is_a_running_mean():
    modulator = dopamine(kappa=0.1)
    state = modulator.init(KEY, CURRENTS)
    for _ in range(3):
        state, _ = outcome(modulator, state, jnp.zeros(4), jnp.array([1.0, 1.0, 1.0, 0.0]))
    expected = 0.75 * (1 - 0.9**3)
    assert float(state.expected) == pytest.approx(expected)
    gate = outcome(modulator, state, jnp.zeros(2), jnp.array([1.0, 0.0]))[1]
    np.testing.assert_allclose(gate, [expected, 1 + expected], rtol=1e-6)  # corrective: 1 - delta


@pytest.mark.parametrize(("shape", "learns"), [(None, True), (signed, False)])
def test_a_supervised_gradient_needs_an_unsigned_gate(shape, learns):
    net = mlp((4, 8, 3))
    x = jax.random.normal(KEY, (32, 4))
    batch = Batch(
        x, jax.nn.one_hot((x @ jax.random.normal(jax.random.key(5), (4, 3))).argmax(-1), 3)
    )
    modulator = dopamine(shape=shape) if shape else dopamine()
    rule = modulate(backprop, modulator)(net, cross_entropy)
    params = init(net, KEY, x)
    state, tx = rule.init(KEY, params, batch), optax.sgd(0.5)

    def step(carry, _):
        params, state = carry
        grads, state, info = rule.grad(params, state, batch, KEY)
        return (optax.apply_updates(params, tx.update(grads, tx.init(params))[0]), state), info[
            "loss"
        ]

    losses = jax.jit(lambda c: jax.lax.scan(step, c, length=100)[1])((params, state))
    assert bool(losses[-1] < 0.5 * losses[0]) is learns


# acetylcholine


@pytest.mark.parametrize("q", [0.2, 1.0])
def test_acetylcholine_settles_at_the_kalman_gain(q):
    noise, steps = 0.5, 20_000
    walk = jnp.cumsum(jnp.sqrt(q * noise) * jax.random.normal(KEY, (steps,)))
    seen = walk + jnp.sqrt(noise) * jax.random.normal(jax.random.key(1), (steps,))
    kalman = (-q + np.sqrt(q * q + 4 * q)) / 2

    def settled(u0):
        modulator = acetylcholine(
            kappa=0.005, u0=u0, k=0.0, uncertainty=lambda s: 2 * s.loss - noise
        )
        estimate, gate = track(modulator, seen[:, None], lr=0.5)
        return float(gate[steps // 2 :].mean()), float(
            jnp.mean((estimate - walk)[steps // 2 :] ** 2)
        )

    gain, error = settled(noise)
    assert gain == pytest.approx(kalman, rel=0.05)
    # the prior variance P of K = P / (P + R)
    assert error == pytest.approx(noise * kalman / (1 - kalman), rel=0.1)
    assert settled(4 * noise)[0] != pytest.approx(kalman, rel=0.05)


def test_acetylcholine_acts_before_the_outcome():
    modulator = acetylcholine(kappa=0.5, u0=0.25, k=2.0)
    state = modulator.init(KEY, CURRENTS)
    assert scale(modulator, state) == 3.0
    state, gate = outcome(modulator, state, jnp.zeros(2), jnp.ones(2))
    assert float(gate) == pytest.approx(0.8)
    assert float(state.uncertainty) == 0.5
    assert scale(modulator, state) == 2.0


# noradrenaline


def alarms(surprise, **settings):
    """Steps at which noradrenaline boosts plasticity, at ACh = 0.5: where z > z0."""
    modulator = noradrenaline(expected=lambda s: jnp.full_like(s.loss, 0.5), **settings)

    def step(state, s):
        return outcome(modulator, state, s)

    return np.asarray(jax.lax.scan(step, modulator.init(KEY, CURRENTS), surprise)[1])


def test_noradrenaline_detects_a_change_and_stays_quiet_without():
    steps, change = 20_000, 10_000
    noise = 1.5 + 0.3 * jax.random.normal(KEY, (steps,))
    quiet = alarms(noise)[200:]
    # 0.0013 for known moments; estimated over 1 / kappa steps, their tails are heavier
    assert (quiet > 1).mean() < 0.005

    jump = alarms(noise + 0.3 * 8 * (jnp.arange(steps) >= change))
    assert not (jump[change - 20 : change] > 1).any()
    assert jump[change] == pytest.approx(4.0, rel=0.05)  # at once, and nearly in full
    assert (jump[change + 20 : change + 220] > 1).mean() < 0.02  # and it habituates
    lower = alarms(noise, z0=1.0)[200:]
    assert (lower > 1).mean() > 0.1


def test_noradrenaline_speeds_relearning_after_a_change():
    steps, change, seeds, examples = 400, 300, 10, 16
    level = 4.0 * (jnp.arange(steps) >= change)
    seen = level[:, None] + jax.random.normal(KEY, (seeds, steps, examples))
    aware = noradrenaline(
        boost=8.0, k=0.0, surprise=lambda s: s.loss, expected=lambda s: jnp.full_like(s.loss, 0.5)
    )

    def error(modulator):
        estimate = jax.vmap(lambda ys: track(modulator, ys, lr=0.05)[0])(seen)
        return np.asarray(((estimate - level) ** 2).mean(0))

    with_ne, without = error(aware), error(unmodulated())
    assert with_ne[change + 1 : change + 20].mean() < 0.5 * without[change + 1 : change + 20].mean()
    # and costs little while nothing changes
    assert with_ne[200:change].mean() < 1.5 * without[200:change].mean()


def test_noradrenaline_raises_the_gain_of_the_next_step():
    modulator = noradrenaline(k=2.0)
    state = modulator.init(KEY, CURRENTS)
    assert scale(modulator, state) == 1.0
    assert float(state.mean) == pytest.approx(np.log(2))
    state, _ = outcome(modulator, state, jnp.log(2.0) + 3.0)  # z = z0
    assert scale(modulator, state) == pytest.approx(2.0)


# threshold


def test_threshold_opens_for_large_errors_alone():
    state, gate = outcome(threshold(0.5), ((),), jnp.array([0.1, 0.5, 0.6, 3.0]))
    np.testing.assert_array_equal(gate, [0, 0, 1, 1])
    lazy = threshold(0.5, value=lambda s: 1 - s.correct)
    np.testing.assert_array_equal(
        outcome(lazy, state, jnp.ones(2), jnp.array([1.0, 0.0]))[1], [0, 1]
    )
