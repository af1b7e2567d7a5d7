"""Noise: its moments, the net without it, and the sample that the backward pass uses.

Moments of a fixed sample are within 4 standard errors of the closed form.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import bioplaus as bp
from bioplaus.net import fire
from bioplaus.rules import RULES
from bioplaus.rules.feedback_alignment import State

pytestmark = pytest.mark.thorough

KEY = jax.random.key(3)
DRAWS = 100_000
CURRENT = np.array([-0.7, 0.3, 1.5])
SIGMA, WINDOW, P = 0.6, 4.0, 0.3


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
    assert z_mean.max() < 4
    assert z_variance.max() < 4
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


def net_of(neuron, release=None):
    def layer(n, neuron=None):
        return (
            bp.dense(n, neuron)
            if release is None
            else bp.synaptic_release(bp.dense(n, neuron), release)
        )

    return (layer(5, neuron), layer(3))


def problem():
    """Parameters and a batch for `net_of`."""
    rng = np.random.default_rng(0)
    x, *params = (
        jnp.asarray(rng.normal(0, 0.7, shape)) for shape in ((6, 4), (4, 5), (5,), (5, 3), (3,))
    )
    batch = bp.Batch(x, jax.nn.one_hot(jnp.arange(6) % 3, 3, dtype=x.dtype))
    return tuple({"w": w, "b": b} for w, b in (params[:2], params[2:])), batch


SILENT = {
    "gaussian": net_of(bp.gaussian(bp.tanh(), 0.0)),
    "multiplicative": net_of(bp.multiplicative(bp.tanh(), 0.0)),
    "gaussian_current": net_of(bp.gaussian_current(bp.tanh(), 0.0)),
    "synaptic_release": net_of(bp.tanh(), 1.0),
}
NOISY = {
    "gaussian": net_of(bp.gaussian(bp.tanh(), 0.5)),
    "multiplicative": net_of(bp.multiplicative(bp.tanh(), 0.5)),
    "gaussian_current": net_of(bp.gaussian_current(bp.tanh(), 0.5)),
    "synaptic_release": net_of(bp.tanh(), 0.7),
    "stacked": net_of(
        bp.multiplicative(bp.gaussian(bp.gaussian_current(bp.tanh(), 0.3), 0.2), 0.4), 0.7
    ),
}


@pytest.mark.parametrize("rule", ["bp", "fa"])
@pytest.mark.parametrize("name", SILENT)
def test_zero_noise_is_bit_identical_to_none(name, rule):
    plain = net_of(bp.tanh())
    params, batch = problem()

    def run(net):
        r = RULES[rule](net, bp.cross_entropy)
        state = (
            r.init(KEY, params, batch)
            if rule == "bp"
            else State(((), jax.tree.map(jnp.cos, params[1])))
        )
        return bp.forward(net, params, batch.x, KEY), r.grad(params, state, batch, KEY)[0]

    def same(a, b):
        return all(jax.tree.leaves(jax.tree.map(jnp.array_equal, a, b)))

    assert same(run(SILENT[name]), run(plain))
    assert not same(run(NOISY[name]), run(plain))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NOISY)
def test_credit_sees_the_sample_of_the_forward_pass(name):
    net = NOISY[name]
    params, batch = problem()
    rule = RULES["bp"](net, bp.cross_entropy)

    def gradient(key):
        return jax.grad(
            lambda p: bp.cross_entropy(bp.forward(net, p, batch.x, key).output, batch.y).mean()
        )(params)

    grads = rule.grad(params, (), batch, KEY)[0]
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14), grads, gradient(KEY)
    )
    other = gradient(jax.random.key(4))  # negative control: another key, another sample
    assert all(
        jnp.abs(a - b).max() > 1e-3
        for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(other), strict=True)
    )


@pytest.mark.usefixtures("x64")
def test_poisson_passes_the_credit_of_its_mean():
    """By hand: the sampled activities enter dW, and the derivative is that of f."""
    net = (bp.dense(5, bp.poisson(bp.tanh(), WINDOW)), bp.dense(3))
    params, batch = problem()
    trace = bp.forward(net, params, batch.x, KEY)
    h = trace.inputs[1]
    assert jnp.abs(h - jnp.tanh(trace.currents[0])).max() > 0.1
    error = (jax.nn.softmax(trace.output) - batch.y) / len(batch.x)
    signal = error @ params[1]["w"].T * (1 - jnp.tanh(trace.currents[0]) ** 2)
    grads = RULES["bp"](net, bp.cross_entropy).grad(params, (), batch, KEY)[0]
    np.testing.assert_allclose(grads[1]["w"], h.T @ error, atol=1e-12)
    np.testing.assert_allclose(grads[0]["w"], batch.x.T @ signal, atol=1e-12)
    assert jnp.abs(grads[0]["w"] - batch.x.T @ (error @ params[1]["w"].T * (1 - h**2))).max() > 1e-3


@pytest.mark.usefixtures("x64")
def test_feedback_weights_release_with_the_sample_of_the_weights():
    layer, eye = bp.synaptic_release(bp.dense(4), 0.5), jnp.eye(3)
    w, b, none = (
        jax.random.normal(KEY, (3, 4)),
        jax.random.normal(jax.random.key(1), (3, 4)),
        jnp.zeros(4),
    )
    released = layer.synapse({"w": w, "b": none}, (), eye, KEY)[1] / w
    assert set(np.unique(released.round(12))) == {0.0, 2.0}
    grads, below = layer.credit(
        {"w": w, "b": none}, {"w": b, "b": none}, (), jnp.ones((4, 3)), KEY, jnp.eye(4)
    )
    np.testing.assert_allclose(below, (released * b).T, atol=1e-12)
    # a synapse that did not release does not learn
    np.testing.assert_allclose(grads["w"], released, atol=1e-12)
    assert jnp.abs(below - b.T).max() > 0.1


def test_noise_modes_of_stacked_noises():
    params, batch = problem()

    def output(net, key=KEY):
        return bp.forward(net, params, batch.x, key).output

    noisy, plain = NOISY["stacked"], net_of(bp.tanh())
    assert jnp.array_equal(output(bp.noise_mode(noisy, "off")), output(plain))
    expected = output(
        bp.noise_mode(net_of(bp.gaussian_current(bp.tanh(), 0.3)), "mean")
    )  # the other noises have mean one or zero
    mean = bp.noise_mode(noisy, "mean")
    assert jnp.array_equal(output(mean), expected)
    assert jnp.array_equal(output(mean), output(mean, jax.random.key(9)))
    assert jnp.array_equal(output(bp.noise_mode(noisy, "on")), output(noisy))
    for quiet in (plain, mean):
        assert jnp.abs(output(noisy) - output(quiet)).max() > 1e-2
    assert jnp.abs(output(mean) - output(plain)).max() > 1e-4
    assert not jnp.array_equal(output(noisy), output(noisy, jax.random.key(9)))


def test_noise_mode_refuses_other_names():
    with pytest.raises(ValueError, match="expected 'on', 'off' or 'mean'"):
        bp.noise_mode(NOISY["gaussian"], "quiet")  # pyright: ignore[reportArgumentType]


def test_amplitudes_may_be_traced():
    def spread(sigma, p):
        net = net_of(bp.gaussian(bp.tanh(), sigma), p)
        params, batch = problem()
        return bp.forward(net, params, batch.x, KEY).output

    outputs = jax.vmap(spread)(jnp.array([0.0, 0.5]), jnp.array([1.0, 0.5]))
    params, batch = problem()
    np.testing.assert_allclose(
        outputs[0], bp.forward(net_of(bp.tanh()), params, batch.x, KEY).output, atol=1e-6
    )
    assert jnp.abs(outputs[1] - outputs[0]).max() > 0.1
