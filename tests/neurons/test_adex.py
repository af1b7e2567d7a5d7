"""Adaptive exponential neurons against a fine integration of their equations by Runge and Kutta."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.net import fire
from bioplaus.neurons import ADEX_PATTERNS, adex

KEY = jax.random.key(0)
T, DT, SCALE = 300, 0.5, 20.0
INPUT = np.array([25.0 if name == "delayed" else 65.0 for name in ADEX_PATTERNS])
UNITS: dict[str, Any] = {
    n: np.array([p[n] for p in ADEX_PATTERNS.values()]) for n in next(iter(ADEX_PATTERNS.values()))
}


def runge_kutta(current, capacitance, leak, rest, threshold, sharpness, a, tau_w, b, reset, peak):
    """Times of spikes, ms [list a unit], in steps of 0.02 ms of fourth order, all units at once."""

    def slopes(v, w):
        into = leak * sharpness * np.exp((np.minimum(v, 0) - threshold) / sharpness)
        return (
            (-leak * (v - rest) + into - w + current) / capacitance,
            (a * (v - rest) - w) / tau_w,
        )

    h, y = 0.02, np.stack([rest, np.zeros_like(rest)])
    times = [[] for _ in rest]
    for k in range(round(T / h)):
        k1 = np.stack(slopes(*y))
        k2 = np.stack(slopes(*(y + h / 2 * k1)))
        k3 = np.stack(slopes(*(y + h / 2 * k2)))
        k4 = np.stack(slopes(*(y + h * k3)))
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        for j in np.flatnonzero(y[0] > peak):
            times[j].append((k + 1) * h)
        y = np.where(y[0] > peak, np.stack([reset, y[1] + b]), y)
    return [np.array(t) for t in times]


@pytest.fixture(scope="module")
def fine():
    """Spikes [600, 5] of all patterns, in 200 substeps a ms. No moment has two spikes."""
    with jax.enable_x64(True):
        layer = bp.over_time(bp.dense(5, adex(**UNITS, scale=SCALE, substeps=100)), dt=DT)
        charge = jnp.broadcast_to(INPUT * DT / UNITS["capacitance"] / SCALE, (1, round(T / DT), 5))
        return np.asarray(fire(layer, charge, KEY)[0])


def test_all_patterns_fire_as_in_a_fine_integration(fine):
    for j, want in enumerate(runge_kutta(INPUT, **UNITS)):
        found, name = DT * (np.flatnonzero(fine[:, j]) + 0.5), list(ADEX_PATTERNS)[j]
        assert len(want) > 0, name
        assert len(found) == len(want), name
        early = want[want < 150]
        np.testing.assert_allclose(found[: len(early)], early, atol=0.5, err_msg=name)


def test_the_patterns_are_those_of_their_names(fine):
    times = {name: DT * np.flatnonzero(fine[:, j]) for j, name in enumerate(ADEX_PATTERNS)}
    gaps = {name: np.diff(t) for name, t in times.items()}
    assert np.ptp(gaps["tonic"][2:]) <= 1
    assert gaps["adapting"][-1] > 1.2 * gaps["adapting"][0]
    assert gaps["initial_burst"][0] < gaps["initial_burst"][-1] / 3
    assert np.ptp(gaps["initial_burst"][-3:]) <= 1  # then regular
    assert (gaps["bursting"] < 4).sum() > 3 * (gaps["bursting"] > 50).sum() > 6
    assert times["delayed"][0] > 5 * times["tonic"][0]


def test_the_moment_may_have_any_length(x64):
    """At equal substeps moments of 0.5 ms and of 1 ms have the same spikes."""

    def run(dt, substeps):
        charge = jnp.full((1, round(60 / dt), 1), 1000 * dt / 281 / SCALE)
        neuron = adex(scale=SCALE, substeps=substeps)
        return np.asarray(fire(bp.over_time(bp.dense(1, neuron), dt=dt), charge, KEY)[0, :, 0])

    whole = run(1.0, 40)
    assert whole.sum() > 1
    np.testing.assert_array_equal(run(0.5, 20).reshape(60, 2).max(1), whole)


def test_coarse_steps_have_errors_of_first_order(x64):
    def potential(substeps):
        layer = bp.over_time(bp.dense(1, adex(substeps=substeps, scale=1.0)))
        params = {"w": jnp.ones((1, 1)), "b": jnp.zeros(1)}
        assert layer.time
        past = layer.time.run(params, None, jnp.full((1, 20, 1), 400 / 281), KEY).past
        return past.neurons.v.item()

    errors = [potential(n) - potential(512) for n in (2, 4, 8)]
    assert errors[0] != 0
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 2, rtol=0.1)


def test_the_derivative_of_a_spike_is_the_surrogate(x64):
    """One substep of 1 ms from rest: dv/dt is that of the exponential alone, 1e-5 mV/ms."""
    neuron = adex(substeps=1, width=20.0)
    current = jnp.array([[0.3, 0.9, 1.4, 1.6, 2.2, 3.0]])
    (state, z), slopes = jax.jvp(
        lambda i: neuron.step(neuron.init(current), i, KEY), (current,), (jnp.ones((1, 6)),)
    )
    v = -70.6 + 20 * current + 30 * 2 * np.exp((-70.6 + 50.4) / 2) / 281
    x = (v + 40.4) / 20
    np.testing.assert_allclose(slopes[1], 0.3 * jnp.maximum(0, 1 - jnp.abs(x)), atol=1e-12)
    np.testing.assert_array_equal(z, x > 0)
    np.testing.assert_allclose(state.v, np.where(x > 0, -70.6, v))
    np.testing.assert_allclose(state.w, np.where(x > 0, 80.5, 0), atol=1e-12)
