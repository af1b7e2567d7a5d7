"""Izhikevich's neurons against the paper's loop, in fine steps, and their convergence in the step.

All classes are units of one layer, which is compiled once.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.net import fire
from bioplaus.neurons import IZHIKEVICH_CLASSES, izhikevich

KEY = jax.random.key(0)
INPUT, SCALE, T = 10.0, 20.0, 300
ABCD: dict[str, Any] = {n: np.array([c[n] for c in IZHIKEVICH_CLASSES.values()]) for n in "abcd"}


def published(a, b, c, d, current, h):
    """Times of spikes in ms, by the loop of the paper's figures: v first, then u with the new v."""
    v = (b - 5 - np.sqrt((5 - b) ** 2 - 22.4)) / 0.08
    u, times = b * v, []
    for k in range(round(T / h)):
        v = v + h * (0.04 * v**2 + 5 * v + 140 - u + current)
        u = u + h * a * (b * v - u)
        if v > 30:
            times.append((k + 1) * h)
            v, u = c, u + d
    return np.array(times)


def spikes(neuron, dt, n=7, current=INPUT):
    charge = jnp.full((1, round(T / dt), n), current * dt / SCALE)
    return np.asarray(fire(bp.over_time(bp.dense(n, neuron), dt=dt), charge, KEY)[0])


@pytest.fixture(scope="module")
def fine():
    """Spikes [300, 7] of all classes in 64 substeps a ms."""
    with jax.enable_x64(True):
        return spikes(izhikevich(**ABCD, substeps=64), 1.0)


@pytest.fixture(scope="module")
def times():
    """Of spikes, by the paper's loop in steps of 1/128 ms."""
    return {k: published(**v, current=INPUT, h=1 / 128) for k, v in IZHIKEVICH_CLASSES.items()}


def test_all_classes_fire_as_in_the_published_loop(fine, times):
    counts = {"RS": 8, "IB": 12, "CH": 28, "FS": 41, "LTS": 25, "TC": 86, "RZ": 59}
    for j, (name, want) in enumerate(times.items()):
        moments = np.flatnonzero(fine[:, j])
        assert abs(len(want) - counts[name]) <= 1, name
        assert abs(len(moments) - len(want)) <= 1, name
        # early spikes come within a moment of those of the loop
        early = want[want < 80]
        np.testing.assert_allclose(moments[: len(early)] + 0.5, early, atol=1.0, err_msg=name)


def test_the_classes_are_told_apart_by_their_patterns(fine):
    """Adaptation of RS, bursts of CH, the first burst of IB, and the speed of FS."""
    gaps = {name: np.diff(np.flatnonzero(fine[:, j])) for j, name in enumerate(IZHIKEVICH_CLASSES)}
    assert gaps["RS"].min() < gaps["RS"][1:].mean() / 2  # the first interval is the shortest
    np.testing.assert_allclose(gaps["RS"][1:], 45, atol=1)
    assert (gaps["IB"][:2] < 5).all()
    assert (gaps["IB"][2:] > 25).all()
    assert (gaps["CH"] < 10).sum() > 3 * (gaps["CH"] > 20).sum() > 3  # bursts, and pauses
    assert np.ptp(gaps["FS"][3:]) <= 1  # no adaptation after the first spikes
    assert (gaps["LTS"][0] < 5) & (gaps["LTS"][-1] > 9)


def test_the_moment_may_have_any_length(fine):
    """In equal substeps, moments of 0.5 ms and of 1 ms have the same spikes."""
    with jax.enable_x64(True):
        halves = spikes(izhikevich(**ABCD, substeps=32), 0.5)
    np.testing.assert_array_equal(halves.reshape(T, 2, 7).max(1), fine)
    assert set(np.unique(fine)) == {0.0, 1.0}


def test_coarse_steps_have_errors_of_first_order(x64):
    """Of the potential after 30 ms below the threshold: halving the step halves the error."""

    def potential(substeps):
        layer = bp.over_time(bp.dense(1, izhikevich(substeps=substeps, scale=1.0)))
        params = {"w": jnp.ones((1, 1)), "b": jnp.zeros(1)}
        assert layer.time
        return layer.time.run(params, None, jnp.full((1, 30, 1), 2.0), KEY).past.neurons.v.item()

    errors = [potential(n) - potential(512) for n in (2, 4, 8)]
    assert errors[0] != 0
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 2, rtol=0.1)


def test_the_derivative_of_a_spike_is_the_surrogate(x64):
    """One substep of 1 ms from rest, -70 mV and -14: v = -70 + 20 I, as dv/dt = 0 there."""
    neuron = izhikevich(substeps=1, width=100.0)
    current = jnp.array([[0.0, 2.0, 4.9, 5.1, 9.0, 11.0]])
    state, slopes = jax.jvp(
        lambda i: neuron.step(neuron.init(current), i, KEY), (current,), (jnp.ones((1, 6)),)
    )
    x = (-70 + 20 * current - 30) / 100
    np.testing.assert_allclose(neuron.init(current).v, -70, rtol=1e-12)
    np.testing.assert_allclose(
        slopes[1], 0.3 * jnp.maximum(0, 1 - jnp.abs(x)) * 20 / 100, atol=1e-12
    )
    np.testing.assert_array_equal(state[1], x > 0)
    np.testing.assert_allclose(state[0].v, np.where(x > 0, -65, -70 + 20 * current))
    np.testing.assert_allclose(state[0].w, np.where(x > 0, -14 + 8, -14))
    # no derivative passes the reset
    np.testing.assert_allclose(slopes[0].v, np.where(x > 0, 0, 20))
