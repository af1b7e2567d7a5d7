"""Astrocytes over time, and the steady state of synapses that depress: closed forms, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.net import drive, play

KEY = jax.random.key(4)
PASSED = {"w": jnp.eye(3), "b": jnp.zeros(3)}


def sent(layer, x, dt):
    """What arrives of x [T, 3] through an identity matrix, and the last state of the synapses."""
    played = play(bp.over_time(layer, dt=dt), PASSED, None, jnp.asarray(x)[None], KEY)
    return np.asarray(played.current[0]), played.past.synapses


@pytest.mark.parametrize("dt", [1.0, 4.0])
def test_an_astrocyte_settles_at_the_closed_form(x64, dt):
    """At spikes of 0.01, 0.02 and 0.06 per ms; the first moment passes whole."""
    rates = np.array([0.01, 0.02, 0.06])
    x = np.tile(rates * dt, (round(3000 / dt), 1))
    y, state = sent(bp.slow_release(bp.dense(3), 3.0, uptake=2.0, tau=200.0), x, dt)
    q, e = np.exp(-2.0 * 0.03 * dt), np.exp(-dt / 200.0)
    settled = (1 - q) * e / (1 - q * e)
    np.testing.assert_allclose(state.g[0, 0], settled, rtol=1e-6)
    np.testing.assert_allclose(y[0], x[0])
    np.testing.assert_allclose(y[-1], x[-1] * (1 + 2.0 * settled), rtol=1e-6)
    short = 2.0 * 0.03 * 200 / (1 + 2.0 * 0.03 * 200)  # of short moments
    assert abs(settled / short - 1) < 0.03
    assert abs(settled / (2.0 * 0.03 * 20 / (1 + 2.0 * 0.03 * 20)) - 1) > 0.3  # of another tau


def test_an_astrocyte_forgets_slowly_and_a_factor_of_1_is_none(x64):
    x = np.zeros((100, 3))
    x[0] = 1.0
    _, state = sent(bp.slow_release(bp.dense(3), 2.0, uptake=0.5, tau=50.0), x, 1.0)
    np.testing.assert_allclose(state.g[0, 0], (1 - np.exp(-0.5)) * np.exp(-100 / 50), rtol=1e-6)
    busy = np.ones((6, 3))
    np.testing.assert_array_equal(sent(bp.slow_release(bp.dense(3), 1.0), busy, 1.0)[0], busy)
    assert sent(bp.slow_release(bp.dense(3), 0.0), busy, 1.0)[0][-1].max() < 0.1  # it silences


def test_the_gradient_is_that_of_the_sequence(x64):
    """`bp` is `jax.grad`, through the state of the astrocyte."""
    hidden = bp.over_time(bp.slow_release(bp.dense(4, bp.leaky(tau=5.0)), 3.0, tau=30.0))
    net = (hidden, bp.after(bp.mean_over_time, bp.dense(2)))
    x = jax.random.uniform(KEY, (3, 6, 3), jnp.float64)
    batch = bp.Batch(x, jax.nn.one_hot(jnp.arange(3) % 2, 2))
    params = bp.init(net, KEY, x)
    grads = bp.rules.RULES["bp"](net, bp.mse).grad(params, (), batch, KEY)[0]

    def loss(params):
        return bp.mse(bp.forward(net, params, x, KEY).output, batch.y).mean()

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), grads, jax.grad(loss)(params)
    )
    assert jnp.abs(grads[0]["w"]).min() > 0


NUMBERS = {"use": 0.4, "tau_recover": 80.0, "tau_facilitate": 150.0}
RATES = np.array([0.005, 0.02, 0.1])


def test_depressed_is_what_short_term_tends_to(x64):
    """At constant rates in moments of 0.05 ms; a negative rate is that of an opposed partner."""
    dt, layer = 0.05, bp.depressed(bp.dense(3), **NUMBERS)
    settled = np.asarray(drive(layer, PASSED, jnp.asarray(RATES)[None], KEY)[0])
    x = np.tile(RATES * dt, (round(1200 / dt), 1))
    y, _ = sent(bp.short_term(bp.dense(3), **NUMBERS), x, dt)
    np.testing.assert_allclose(settled, y[-1] / dt, rtol=5e-3)
    plain = bp.depressed(bp.dense(3), **NUMBERS | {"tau_facilitate": 0.0})
    other = np.asarray(drive(plain, PASSED, jnp.asarray(RATES)[None], KEY)[0])
    assert (np.abs(other / settled - 1) > 0.02).all()
    opposed = drive(layer, PASSED, -jnp.asarray(RATES)[None], KEY)[0]
    np.testing.assert_allclose(opposed, -settled)


WRONG = {
    "a negative factor": (lambda: bp.slow_release(bp.dense(2), -1.0), "factor: expected a number"),
    "no time constant": (lambda: bp.slow_release(bp.dense(2), tau=0.0), "tau: expected a number"),
    "astrocytes over time": (
        lambda: bp.slow_release(bp.over_time(bp.dense(2))),
        "slow_release: the layer runs over time already",
    ),
    "depressed over time": (
        lambda: bp.depressed(bp.over_time(bp.dense(2))),
        "depressed: the layer runs over time already",
    ),
    "no use": (lambda: bp.depressed(bp.dense(2), use=0.0), "use: expected a number above 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_settings_are_refused_in_one_line(name):
    make, words = WRONG[name]
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)
