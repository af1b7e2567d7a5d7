"""Divisive normalisation against its equation, its limits, and credit through the pool."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.typing import ArrayLike

import bioplaus as bp
from bioplaus.net import fire
from bioplaus.neurons import divisive

KEY = jax.random.key(0)
A = np.array([[-1.0, 0.5, 2.0, 3.0], [0.1, 0.2, -0.3, 0.4]])


def output(neuron, current: ArrayLike = A):
    return np.asarray(fire(bp.dense(4, neuron), jnp.array(current, jnp.float32), KEY))


@pytest.mark.parametrize(("sigma", "n"), [(0.3, 1.0), (1.5, 2.0), (0.7, 0.5)])
def test_equation(sigma, n):
    e = np.maximum(A, 0) ** n
    want = e / (sigma**n + e.mean(1, keepdims=True))
    np.testing.assert_allclose(output(divisive(bp.relu(), sigma, exponent=n)), want, rtol=1e-5)
    alone = divisive(bp.relu(), sigma, exponent=n, pool=lambda e: e)
    np.testing.assert_allclose(output(alone), e / (sigma**n + e), rtol=1e-5)
    assert np.abs(want - e / (sigma**n + e)).max() > 0.05


def test_negative_outputs_are_rectified():
    e = np.maximum(np.tanh(A), 0)
    np.testing.assert_allclose(
        output(divisive(bp.tanh(), 0.5)), e / (0.5 + e.mean(1, keepdims=True)), rtol=1e-5
    )


@pytest.mark.parametrize(("gain", "n"), [(1.0, 2.0), (4.0, 2.0), (4.0, 1.0)])
def test_a_gain_divides_the_contrast_of_half_the_maximum(gain, n):
    """A pool over the unit alone: h = (A c)^n / (sigma^n + (A c)^n), half at c = sigma / A."""
    neuron = divisive(bp.relu(), 0.6, exponent=n, pool=lambda e: e)
    (layer,) = bp.with_gain((bp.dense(1, neuron),), (bp.Gain(gain),))
    half, sigma = fire(layer, jnp.array([[0.6 / gain], [0.6]]), KEY)[:, 0]
    assert half == pytest.approx(0.5)
    assert sigma == pytest.approx(gain**n / (1 + gain**n))


def test_the_pool_of_images_is_over_positions_and_channels_of_each_example():
    current = jax.random.uniform(KEY, (3, 4, 5, 2))
    layer = bp.conv(2, 1, divisive(bp.relu(), 0.5))
    want = current / (0.5 + current.mean((1, 2, 3), keepdims=True))
    np.testing.assert_allclose(fire(layer, current, KEY), want, rtol=1e-5)


def test_credit_passes_through_the_pool():
    net = (bp.dense(5, divisive(bp.relu(), 0.3, exponent=2.0)), bp.dense(2))
    x, y = jax.random.normal(KEY, (6, 3)), jax.nn.one_hot(jnp.arange(6) % 2, 2)
    params = bp.init(net, KEY, x)
    grads = bp.rules.backprop(net, bp.cross_entropy).grad(params, (), bp.Batch(x, y), KEY)[0]

    def loss(params, stop):
        e = jax.nn.relu(x @ params[0]["w"] + params[0]["b"]) ** 2
        pool = e.mean(1, keepdims=True)
        h = e / (0.09 + (jax.lax.stop_gradient(pool) if stop else pool))
        return bp.cross_entropy(h @ params[1]["w"] + params[1]["b"], y).mean()

    truth, without = (jax.grad(loss)(params, stop)[0]["w"] for stop in (False, True))
    np.testing.assert_allclose(grads[0]["w"], truth, rtol=1e-4, atol=1e-6)
    assert np.abs(without - truth).max() > 0.1 * np.abs(truth).max()


def test_noise_and_time_are_carried():
    noisy = divisive(bp.gaussian(bp.relu(), 0.5), 0.3)
    assert np.abs(output(noisy) - output(divisive(bp.relu(), 0.3))).max() > 0.05
    for form in ("off", "mean"):
        quiet = getattr(noisy, form)
        np.testing.assert_array_equal(output(quiet), output(divisive(bp.relu(), 0.3)))
    x = jax.random.uniform(KEY, (2, 6, 3))
    outputs = {}
    for name, neuron in (("plain", bp.leaky(tau=5.0)), ("divisive", None)):
        layer = bp.over_time(bp.dense(4, neuron or divisive(bp.leaky(tau=5.0), 0.3)))
        outputs[name] = bp.forward((layer,), bp.init((layer,), KEY, x), x, KEY).output
    e = np.maximum(outputs["plain"], 0)
    want = e / (0.3 + e.mean(-1, keepdims=True))
    np.testing.assert_allclose(outputs["divisive"], want, rtol=1e-4, atol=1e-6)
    at = divisive(bp.lif(tau=20.0), 0.3).at
    assert at is not None
    assert not at(2.0).spikes
