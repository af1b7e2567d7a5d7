"""Noise of neurons: its moments.

Moments of a fixed sample are within 3 standard errors of the closed form. Those of noise of
synapses are in test_synaptic_noise.py, and nets with noise in test_noise_in_nets.py.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import bioplaus as bp
from bioplaus.net import fire

pytestmark = pytest.mark.thorough

KEY = jax.random.key(3)
DRAWS = 100_000
CURRENT = np.array([-0.7, 0.3, 1.5])
SIGMA, WINDOW, SHORT, P = 0.6, 4.0, 0.8, 0.3


def rectified_moments(a, sigma):
    """Mean and variance of max(a + sigma xi, 0)."""
    below, density = stats.norm.cdf(a / sigma), stats.norm.pdf(a / sigma)
    mean = a * below + sigma * density
    return mean, (a**2 + sigma**2) * below + a * sigma * density - mean**2


RATE = np.tanh(CURRENT)
NEURONS = {
    "gaussian": (bp.gaussian(bp.tanh(), SIGMA), RATE, np.full(3, SIGMA**2)),
    "multiplicative": (bp.multiplicative(bp.tanh(), SIGMA), RATE, SIGMA**2 * RATE**2),
    "poisson": (bp.poisson(bp.tanh(), WINDOW), RATE, np.abs(RATE) / WINDOW),
    "bernoulli": (
        bp.neurons.bernoulli(bp.tanh(), SHORT),
        RATE,
        np.abs(RATE) * (1 - np.abs(RATE) * SHORT) / SHORT,
    ),
    "correlated": (bp.correlated(bp.tanh(), SIGMA, 0.3), RATE, np.full(3, SIGMA**2)),
    "gaussian_current": (bp.gaussian_current(bp.relu(), SIGMA), *rectified_moments(CURRENT, SIGMA)),
}


def test_the_moments_of_every_noise_are_known():
    """Of those over time they are in test_noise_over_time.py."""
    noises = bp.neurons.NOISES
    assert NEURONS.keys() == {n for n, f in noises.items() if f(bp.tanh(), 0.5).at is None}


def errors(samples, mean, variance):
    """Distances of the sample mean and variance from the truth, in standard errors."""
    samples = np.asarray(samples, np.float64)
    centred = samples - samples.mean(0)
    v, m4 = (centred**2).mean(0), (centred**4).mean(0)
    return np.abs(samples.mean(0) - mean) / np.sqrt(v / len(samples)), np.abs(
        v - variance
    ) / np.sqrt((m4 - v**2) / len(samples))


@pytest.mark.parametrize("name", NEURONS)
def test_moments(name):
    neuron, mean, variance = NEURONS[name]
    samples = neuron.step((), jnp.broadcast_to(jnp.asarray(CURRENT, jnp.float32), (DRAWS, 3)), KEY)[
        1
    ]
    z_mean, z_variance = errors(samples, mean, variance)
    assert z_mean.max() < 3
    assert z_variance.max() < 3
    # negative control: the sample resolves this much
    z_mean, z_variance = errors(samples, mean + 0.02, 1.2 * variance)
    assert z_mean.min() > 4
    assert z_variance.min() > 4


def test_poisson_has_fano_factor_one_and_keeps_the_sign():
    counts = (
        WINDOW * NEURONS["poisson"][0].step((), jnp.full((DRAWS, 1), jnp.arctanh(-0.5)), KEY)[1]
    )
    assert (counts <= 0).all()
    np.testing.assert_array_equal(counts, jnp.round(counts))
    np.testing.assert_allclose(counts.var() / -counts.mean(), 1.0, atol=0.02)


def test_bernoulli_fires_once_or_not_and_is_clipped(x64):
    """Its Fano factor is 1 - |f| T; beyond |f| T = 1 it is certain, and has no derivative."""
    neuron = bp.neurons.bernoulli(bp.identity(), 2.0)
    rates = jnp.array([0.1, -0.4, 0.7])
    output = np.asarray(neuron.step((), jnp.broadcast_to(rates, (DRAWS, 3)), KEY)[1])
    spikes = output * 2.0
    assert set(np.unique(spikes)) == {-1.0, 0.0, 1.0}
    chance = np.array([0.2, 0.8, 1.0])
    fano = spikes.var(0) / np.abs(spikes.mean(0))
    np.testing.assert_allclose(fano, 1 - chance, atol=0.01)  # of poisson it would be 1
    mean = bp.noise_mode((bp.dense(3, neuron),), "mean")[0]
    np.testing.assert_array_equal(fire(mean, rates[None], KEY)[0], [0.1, -0.4, 0.5])
    slope = jax.grad(lambda a: neuron.step((), a, KEY)[1].sum())(rates[None])
    np.testing.assert_array_equal(slope[0], [1.0, 1.0, 0.0])


def test_correlated_noise_does_not_average_out():
    """Correlation c of each pair of units, and none of examples; the mean of n units keeps c."""
    c, n = 0.3, 200
    neuron = bp.correlated(bp.identity(), SIGMA, c)
    sample = np.asarray(neuron.step((), jnp.zeros((20_000, n)), KEY)[1], np.float64)
    pair = np.corrcoef(sample[:, 0], sample[:, 1])[0, 1]
    error = (1 - c**2) / np.sqrt(len(sample))
    assert abs(pair - c) < 3 * error
    assert abs(pair) > 4 * error
    mean = sample.mean(1)
    variances = {k: SIGMA**2 * (k + (1 - k) / n) for k in (c, 0.0)}
    z = {k: (mean.var() / v - 1) / np.sqrt(2 / len(mean)) for k, v in variances.items()}
    assert abs(z[c]) < 3
    assert abs(z[0.0]) > 4
    examples = np.corrcoef(mean[::2], mean[1::2])[0, 1]
    assert abs(examples) < 3 / np.sqrt(len(mean) / 2)
    images = neuron.step((), jnp.zeros((3, 5, 5, 2)), KEY)[1]
    assert images.shape == (3, 5, 5, 2)
    alone = bp.correlated(bp.identity(), SIGMA, 1.0).step((), jnp.zeros((4, 6)), KEY)[1]
    np.testing.assert_array_equal(alone, jnp.broadcast_to(alone[:, :1], alone.shape))


def test_synaptic_release_is_independent_across_targets_and_unit_dropout_is_not():
    x = jnp.array([[0.5, -1.0, 2.0]])
    w = jnp.array([[1.0, -0.5], [0.3, 0.8], [0.7, 0.6]])
    layer = bp.synaptic_release(bp.dense(2), P)
    keys = jax.random.split(KEY, DRAWS)
    params = {"w": w, "b": jnp.array([0.1, -0.2])}
    currents = jax.vmap(lambda key: layer.synapse(params, (), x, key)[1][0])(keys)
    dropped = jax.vmap(lambda key: (x * jax.random.bernoulli(key, P, x.shape) / P)[0] @ w)(keys)
    drive = np.asarray(x[0, :, None] * w, np.float64)
    shared = (1 - P) / P * (drive[:, 0] * drive[:, 1]).sum()

    def covariance(a):
        """Off-diagonal covariance, and its standard error."""
        a = np.asarray(a, np.float64)
        a = a - a.mean(0)
        product = a[:, 0] * a[:, 1]
        return product.mean(), product.std() / np.sqrt(len(product))

    z_mean, z_variance = errors(
        currents, drive.sum(0) + np.array([0.1, -0.2]), (1 - P) / P * (drive**2).sum(0)
    )
    assert max(z_mean.max(), z_variance.max()) < 4
    value, error = covariance(currents)
    assert abs(value) < 4 * error
    value, error = covariance(dropped)  # negative control: the same weights, with the units dropped
    assert abs(value - shared) < 4 * error
    assert abs(value) > 20 * error


def test_mean_of_a_noisy_current_is_its_expectation():
    a = jnp.linspace(-2, 2, 41)[:, None]
    relu = bp.noise_mode((bp.dense(1, bp.gaussian_current(bp.relu(), SIGMA)),), "mean")[0]
    closed = rectified_moments(np.asarray(a), SIGMA)[0]
    # what 21 nodes leave at the kink
    np.testing.assert_allclose(fire(relu, a, KEY), closed, atol=0.016 * SIGMA)
    # the noise-free neuron is not the mean
    assert np.abs(np.asarray(jax.nn.relu(a)) - closed).max() > 0.2
    xi, step = np.linspace(-8, 8, 4001, retstep=True)

    def expected(f, sigma):
        return (f(np.asarray(a) + sigma * xi) * stats.norm.pdf(xi) * step).sum(-1, keepdims=True)

    for f, neuron in ((np.tanh, bp.tanh()), (lambda x: np.log1p(np.exp(x)), bp.softplus())):
        once = bp.gaussian_current(neuron, SIGMA)
        # sigma adds in squares; noise behind it has no mean
        twice = bp.gaussian_current(bp.gaussian(once, 0.5), 0.4)
        for noisy, sigma in ((once, SIGMA), (twice, np.hypot(SIGMA, 0.4))):
            mean = bp.noise_mode((bp.dense(1, noisy),), "mean")[0]
            np.testing.assert_allclose(fire(mean, a, KEY), expected(f, sigma), atol=2e-5)
            assert np.abs(fire(mean, a, KEY) - f(np.asarray(a))).max() > 1e-2
