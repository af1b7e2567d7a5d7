"""Losses against numpy, gradients of saturated outputs, and errors for shapes that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp

A = np.array([[0.3, -1.2, 2.0], [0.1, 0.4, -0.7]])
Y = np.array([[0.0, 0.0, 1.0], [0.2, 0.5, 0.3]])
P = 1 / (1 + np.exp(-A))
FORMULA = {
    bp.cross_entropy: (A, -(Y * (A - np.log(np.exp(A).sum(-1, keepdims=True)))).sum(-1)),
    bp.binary_cross_entropy: (A, -(Y * np.log(P) + (1 - Y) * np.log(1 - P)).sum(-1)),
    bp.bernoulli: (P, -(Y * np.log(P) + (1 - Y) * np.log(1 - P)).sum(-1)),
    bp.mse: (A, 0.5 * ((A - Y) ** 2).sum(-1)),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("loss", FORMULA, ids=lambda loss: loss.__name__)
def test_is_its_formula(loss):
    output, value = FORMULA[loss]
    np.testing.assert_allclose(loss(jnp.asarray(output), jnp.asarray(Y)), value, atol=1e-12)


@pytest.mark.parametrize("loss", FORMULA, ids=lambda loss: loss.__name__)
def test_takes_integer_labels(loss):
    np.testing.assert_array_equal(
        loss(jnp.asarray(A), jnp.array([2, 1])), loss(jnp.asarray(A), jnp.eye(3)[jnp.array([2, 1])])
    )


@pytest.mark.parametrize("logit", [-15.0, -3.0, 3.0, 15.0])
def test_bernoulli_through_a_sigmoid_is_binary_cross_entropy(logit):
    """A sigmoid under `bernoulli` has the gradient of its logit under `binary_cross_entropy`.

    In float32 a sigmoid is 0 or 1 long before its logit is infinite; a wrong output must still be
    corrected.
    """

    def slope(loss, f):
        return jax.grad(lambda a: loss(f(a), jnp.array([[0.5]])).sum())(jnp.array([[logit]])).item()

    want, got = slope(bp.binary_cross_entropy, lambda a: a), slope(bp.bernoulli, jax.nn.sigmoid)
    assert got == pytest.approx(want, rel=0.7 if abs(logit) > 10 else 1e-4)
    assert got * want > 0


def test_cross_entropy_continues_into_the_complex_plane():
    """numpy's exponentials, of complex outputs; every version of JAX takes them."""
    output, y = (
        np.array([[1 + 0.5j, -2 - 0.25j, 0.3 + 0j]], np.complex64),
        np.array([[0, 1, 0]], np.float32),
    )
    expected = np.log(np.exp(output).sum(-1)) - output[:, 1]
    np.testing.assert_allclose(bp.cross_entropy(jnp.asarray(output), y), expected, rtol=1e-6)
