"""Noise of synapses and of the teaching signal: moments, samples over time, what is refused.

Moments of a fixed sample are within 3 standard errors of the closed form, and a wrong closed form
is not within 4. What the backward pass sees is in test_noise.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.net import drive
from bioplaus.rules import RULES

pytestmark = pytest.mark.thorough

KEY, DRAWS = jax.random.key(11), 40_000
X = jnp.array([[0.5, -1.0, 2.0]])
PARAMS = {"w": jnp.array([[1.0, -0.5], [0.3, 0.8], [0.7, 0.6]]), "b": jnp.array([0.1, -0.2])}
DRIVE = np.asarray(X[0, :, None] * PARAMS["w"], np.float64)
P, SITES, CV, SIGMA = 0.3, 4, 0.4, 0.7
# noise -> (layer, variance of a weight of 1)
NOISES = {
    "synaptic_release": (bp.synaptic_release(bp.dense(2), P), (1 - P) / P),
    "quantal": (bp.quantal(bp.dense(2), P, sites=SITES, cv=CV), (1 - P + CV**2) / (SITES * P)),
    "device_noise": (bp.device_noise(bp.dense(2), SIGMA), SIGMA**2),
}


def z_of(samples, truth):
    """Distance of the mean of samples from the truth, in standard errors."""
    samples = np.asarray(samples, np.float64)
    return np.abs(samples.mean(0) - truth) * np.sqrt(len(samples)) / samples.std(0)


def test_all_noise_of_synapses_is_tested():
    assert NOISES.keys() | {"noisy_credit"} == bp.neurons.SYNAPTIC_NOISES.keys()


@pytest.mark.parametrize("name", NOISES)
def test_moments_of_currents(name):
    layer, variance = NOISES[name]
    currents = jax.vmap(lambda key: layer.synapse(PARAMS, (), X, key)[1][0])(
        jax.random.split(KEY, DRAWS)
    )
    mean = DRIVE.sum(0) + np.asarray(PARAMS["b"])
    spread = variance * (DRIVE**2).sum(0)
    centred = np.asarray(currents, np.float64) - mean
    assert z_of(centred, 0.0).max() < 3
    assert z_of(centred**2, spread).max() < 3
    assert z_of(centred[:, 0] * centred[:, 1], 0.0) < 3  # targets are independent
    # negative controls: a mean that is off, a variance of 1.2 times, noise of units that is shared
    assert z_of(centred, 0.1).min() > 4
    assert z_of(centred**2, 1.2 * spread).min() > 4
    shared = variance * (DRIVE[:, 0] * DRIVE[:, 1]).sum()
    assert z_of(centred[:, 0] * centred[:, 1], shared) > 4


def test_one_site_without_spread_is_synaptic_release():
    layer = bp.quantal(bp.dense(2000), P, sites=1, cv=0.0)
    current = layer.synapse(
        {"w": jnp.ones((1, 2000)), "b": jnp.zeros(2000)}, (), jnp.ones((1, 1)), KEY
    )
    np.testing.assert_allclose(np.unique(current[1].round(5)), [0.0, round(1 / P, 5)])


@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_noisy_credit_is_unbiased_and_turns_the_signal_by_a_known_angle(sigma):
    units, examples = 200, 200
    clean, noisy = bp.dense(units), bp.noisy_credit(bp.dense(units), sigma)
    x = jnp.ones((examples, units))
    params = {"w": jnp.zeros((units, units)), "b": jnp.zeros(units)}
    eye = {"w": jnp.eye(units), "b": jnp.zeros(units)}
    signal = jax.random.normal(jax.random.key(1), (examples, units)) * jnp.linspace(
        0.1, 3, examples
    ).reshape(-1, 1)
    # through an identity matrix as feedback, the signal below is the noisy signal itself
    grads, below = noisy.credit(params, eye, (), x, KEY, signal)
    noise = np.asarray(below - signal, np.float64)
    size = np.sqrt(np.mean(np.asarray(signal, np.float64) ** 2, 1, keepdims=True))
    assert z_of((noise / size).ravel(), 0.0) < 3
    assert z_of((noise / size).ravel() ** 2, sigma**2) < 3
    assert z_of((noise / size).ravel() ** 2, 1.2 * sigma**2) > 4
    assert z_of(noise.ravel() ** 2, sigma**2) > 4  # it follows the size of each example's signal
    cosine = (
        (below * signal).sum(1) / jnp.linalg.norm(below, axis=1) / jnp.linalg.norm(signal, axis=1)
    )
    np.testing.assert_allclose(cosine.mean(), 1 / np.sqrt(1 + sigma**2), atol=0.01)
    # what the layer learns by is the sample that it sends on; what it answers has no noise
    np.testing.assert_allclose(grads["b"], below.sum(0), rtol=1e-4, atol=1e-3)
    assert jnp.abs(grads["b"] - signal.sum(0)).max() > 0.1
    other = {"w": jax.random.normal(KEY, (units, units)), "b": jnp.zeros(units)}
    np.testing.assert_array_equal(drive(noisy, other, x, KEY), drive(clean, other, x, KEY))


def test_noisy_credit_reaches_the_rule():
    """Of `bp` on one layer by hand: dW = x^T s' at the noisy s', with the mean of x^T s."""
    net = (bp.noisy_credit(bp.dense(3), 1.0),)
    x = jax.random.normal(KEY, (6, 4))
    batch = bp.Batch(x, jax.nn.one_hot(jnp.arange(6) % 3, 3))
    params = bp.init(net, KEY, x)
    rule, plain = (RULES["bp"](n, bp.mse) for n in (net, (bp.dense(3),)))
    run = jax.jit(jax.vmap(lambda key: rule.grad(params, (), batch, key)[0][0]["w"].ravel()))
    grads = run(jax.random.split(KEY, 4000))
    truth = plain.grad(params, (), batch, KEY)[0][0]["w"].ravel()
    assert z_of(grads, truth).max() < 3.5  # of 12 numbers
    assert z_of(grads, 1.2 * truth).max() > 4
    assert np.asarray(grads.std(0)).min() > 0.01


SEQUENCE = jnp.ones((1, 4, 3))


@pytest.mark.parametrize("name", NOISES)
def test_a_draw_is_one_for_the_sequence_or_for_each_moment(name):
    build = bp.neurons.SYNAPTIC_NOISES[name]
    once, each = (bp.over_time(build(bp.dense(2), 0.5, each_moment=each)) for each in (False, True))
    held, fresh = (drive(layer, PARAMS, SEQUENCE, KEY)[0] for layer in (once, each))
    np.testing.assert_array_equal(held, jnp.broadcast_to(held[:1], held.shape))
    assert len(np.unique(np.asarray(fresh)[:, 0])) > 1
    off = bp.noise_mode((each,), "off")[0]
    clean = drive(bp.over_time(bp.dense(2)), PARAMS, SEQUENCE, KEY)
    np.testing.assert_allclose(drive(off, PARAMS, SEQUENCE, KEY), clean, rtol=1e-6)


def test_noisy_credit_draws_at_each_moment():
    layer = bp.over_time(bp.noisy_credit(bp.dense(2), 1.0))
    signal = jnp.ones((1, 4, 2))
    below = layer.credit(PARAMS, PARAMS, (), SEQUENCE, KEY, signal)[1][0]
    assert len({tuple(row) for row in np.asarray(below).tolist()}) == 4
    off = bp.noise_mode((layer,), "off")[0]
    clean = off.credit(PARAMS, PARAMS, (), SEQUENCE, KEY, signal)[1][0]
    np.testing.assert_allclose(clean, jnp.broadcast_to(PARAMS["w"].sum(1), (4, 3)), rtol=1e-6)


WRONG = {
    "p of 0": (lambda: bp.quantal(bp.dense(2), 0.0), "p: expected a number above 0"),
    "no sites": (lambda: bp.quantal(bp.dense(2), 0.5, sites=0), "sites: expected a whole number"),
    "negative cv": (lambda: bp.quantal(bp.dense(2), 0.5, cv=-1.0), "cv: expected a number"),
    "negative sigma": (lambda: bp.device_noise(bp.dense(2), -0.1), "sigma: expected a number"),
    "a neuron": (
        lambda: bp.device_noise(bp.tanh(), 0.1),  # pyright: ignore[reportArgumentType]
        "expected a layer of one moment",
    ),
    "over time": (
        lambda: bp.noisy_credit(bp.over_time(bp.dense(2)), 0.1),
        "the layer runs over time already",
    ),
    "synapses with a state": (
        lambda: bp.noisy_credit(bp.short_term(bp.dense(2)), 0.1),
        "carry signals back by themselves",
    ),
    "correlation above 1": (lambda: bp.correlated(bp.tanh(), 0.1, 1.5), "correlation: expected"),
    "a window of 0": (lambda: bp.neurons.bernoulli(bp.tanh(), 0.0), "window: expected a number"),
    "no noise of the rate": (lambda: bp.siegert_rate(0.0), "sigma: expected a number above 0"),
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_settings_are_refused_in_one_line(name):
    make, words = WRONG[name]
    with pytest.raises(ValueError, match=words) as error:
        make()
    assert "\n" not in str(error.value)
