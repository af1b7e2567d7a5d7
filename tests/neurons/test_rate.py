"""Rate neurons against their closed forms, values and derivatives."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.neurons import NEURONS, siegert

A = np.array([-1.7, -0.4, 0.3, 0.8, 2.5])
S = 1 / (1 + np.exp(-A))
PHI = np.array([(1 + math.erf(a / math.sqrt(2))) / 2 for a in A])
SHARE = np.exp(A) / np.exp(A).sum()
CLOSED = {
    "tanh": (np.tanh(A), 1 - np.tanh(A) ** 2),
    "sigmoid": (S, S * (1 - S)),
    "hard_sigmoid": (np.clip(A, 0, 1), (A > 0) & (A < 1)),
    "relu": (np.maximum(A, 0), A > 0),
    "leaky_relu": (np.where(A > 0, A, 0.01 * A), np.where(A > 0, 1, 0.01)),
    "gelu": (A * PHI, PHI + A * np.exp(-(A**2) / 2) / np.sqrt(2 * np.pi)),
    "softplus": (np.log1p(np.exp(A)), S),
    "softmax": (5 * SHARE, np.zeros(5)),  # all currents rise alike: nothing changes
    "identity": (A, np.ones(5)),
}


def test_every_neuron_has_a_closed_form():
    elsewhere = {"siegert"}  # an integral
    closed = {name for name, neuron in NEURONS.items() if neuron().at is None} - elsewhere
    assert CLOSED.keys() == closed


def test_a_rate_neuron_answers_as_a_noisy_lif_neuron(x64):
    """T siegert(a), the expected number of spikes in its window; another noise is not the same."""
    a = jnp.asarray([0.2, 0.9, 1.5])
    output = bp.siegert_rate(0.5, window=40.0, tau=10.0).step((), a, jax.random.key(0))[1]
    expected = [40.0 * siegert(a, noise, tau=10.0, refractory=2.0) for noise in (0.5, 0.3)]
    np.testing.assert_allclose(output, expected[0], rtol=1e-12)
    assert np.abs(output / expected[1] - 1).max() > 0.1


def test_a_sigmoid_has_slope_and_threshold(x64):
    output = bp.sigmoid(4.0, 0.5).step((), jnp.asarray(A), jax.random.key(0))[1]
    np.testing.assert_allclose(output, 1 / (1 + np.exp(-4 * (A - 0.5))), atol=1e-12)


def test_units_compete(x64):
    """Softmax of slope 2 on each of two rows, its derivative by the third current, and mean 1."""
    a = np.stack([A, A[::-1] / 2])
    output, slope = jax.jvp(
        lambda a: bp.neurons.softmax(2.0).step((), a, jax.random.key(0))[1],
        (jnp.asarray(a),),
        (jnp.stack([jnp.eye(5)[2]] * 2),),
    )
    p = np.exp(2 * a) / np.exp(2 * a).sum(1, keepdims=True)
    np.testing.assert_allclose(output, 5 * p, atol=1e-12)
    np.testing.assert_allclose(slope, 10 * (p * np.eye(5)[2] - p * p[:, 2:3]), atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CLOSED)
def test_value_and_derivative(name):
    neuron = NEURONS[name]()
    state = neuron.init(jnp.asarray(A))
    output, slope = jax.jvp(
        lambda a: neuron.step(state, a, jax.random.key(0))[1], (jnp.asarray(A),), (jnp.ones(5),)
    )
    assert state == ()
    np.testing.assert_allclose(output, CLOSED[name][0], atol=1e-12)
    np.testing.assert_allclose(slope, CLOSED[name][1], atol=1e-12)
    assert neuron.off is None
    assert neuron.mean is None


def test_relu_has_slope_zero_at_zero_and_any_function_makes_a_neuron():
    def slope(neuron):
        return jax.grad(lambda a: neuron.step((), a, jax.random.key(0))[1])(0.0)

    assert slope(bp.relu()) == 0
    assert slope(bp.rate(jnp.sin)) == 1
