"""Representations: closed forms, invariances and what breaks them; errors against scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from bioplaus.measure import error, representation
from bioplaus.measure.representation import cka as eager
from bioplaus.measure.representation import (
    cka_table,
    dead_units,
    effective_dimension,
    rsa,
    rsa_table,
    sparseness,
    sparsity,
)

cka, RNG = jax.jit(eager), np.random.default_rng(0)
X = RNG.normal(size=(40, 6))
TURN = np.linalg.qr(RNG.normal(size=(6, 6)))[0]


def _song(x, y):
    """Song et al. 2012: the unbiased HSIC, term by term."""
    n = len(x)
    k, l = (a @ a.T * (1 - np.eye(n)) for a in (x, y))
    one = np.ones(n)
    return (
        np.trace(k @ l)
        + one @ k @ one * (one @ l @ one) / (n - 1) / (n - 2)
        - 2 / (n - 2) * (one @ k @ l @ one)
    ) / (n * (n - 3))


def _biased(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return np.linalg.norm(y.T @ x) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)


def test_cka():
    """CKA is 1 under rotation, scale and shift, less under a stretch, and near 0 for noise.

    It equals its published terms; the biased form is not near 0 for wide noise.
    """
    found = {
        "same": float(cka(X, X @ TURN * 3 - 1)),
        "stretched": float(cka(X, X * np.array([9, 1, 1, 1, 1, 1]))),
    }
    assert found["same"] == pytest.approx(1, abs=1e-5)
    assert 0.2 < found["stretched"] < 0.8
    shifted = X**2 + 5
    expected = _song(X, shifted) / np.sqrt(_song(X, X) * _song(shifted, shifted))
    assert float(cka(X, shifted)) == pytest.approx(expected, rel=1e-3)
    assert abs(_biased(X, shifted) - expected) > 0.02
    wide = RNG.normal(size=(2, 40, 400))
    assert abs(float(cka(*wide))) < 0.1
    assert _biased(*wide) > 0.8
    table = jax.jit(cka_table)([X, X**2], [X, X**2, X[:, :2]])
    assert table.shape == (2, 3)
    assert float(table[0, 0]) == pytest.approx(1, abs=1e-5) != float(table[0, 1])
    assert float(table[0, 1]) == pytest.approx(float(table[1, 0]), rel=1e-4)
    assert np.isnan(cka(X, np.ones((40, 3))))
    for bad in (X[:-1], X[:3]):
        with pytest.raises(ValueError, match="same ones to all, four or more"):
            cka(X[: 40 if len(bad) > 3 else 3], bad)


def test_rsa():
    """RSA is 1 if the order of distances is kept, near 0 for noise, below 0 if it is reversed."""
    assert rsa(X, X * RNG.uniform(1, 2, (40, 1))) == pytest.approx(1)
    assert abs(rsa(X, RNG.normal(size=(40, 6)))) < 0.15
    corners = np.array([[1.0, 0, 0], [0, 1, 0], [0, 1, 0.1]])
    far = np.array([[1.0, 0, 0], [1, 0.1, 0], [0, 0, 1]])
    assert rsa(corners, far) < 0
    assert rsa(X.reshape(40, 3, 2), X) == pytest.approx(1)
    # many distances are the same, no row is flat
    binary = np.concatenate([X > 0.5, np.ones((40, 1)), np.zeros((40, 1))], 1)
    one, other = (1 - np.corrcoef(a)[np.triu_indices(40, 1)] for a in (X, binary))
    assert rsa(X, binary) == pytest.approx(np.asarray(stats.spearmanr(one, other))[0], rel=1e-9)
    assert (
        abs(rsa(X, binary) - np.corrcoef(one.argsort().argsort(), other.argsort().argsort())[0, 1])
        > 1e-4
    )
    table = rsa_table([X, X**2], [X, binary])
    np.testing.assert_allclose(table, [[1, rsa(X, binary)], [rsa(X**2, X), rsa(X**2, binary)]])
    assert np.isnan(rsa(X, np.ones((40, 3))))
    with pytest.raises(ValueError, match="three or more"):
        rsa(X[:2], X[:2])


def test_effective_dimension():
    """n independent units of equal variance have n dimensions, and one direction has 1.

    There are at most B - 1 dimensions for B examples, however many units there are.
    """
    frame = np.linalg.qr(RNG.normal(size=(40, 7)) - 0)[0]
    flat = np.linalg.qr(np.concatenate([np.ones((40, 1)), frame], 1))[0][:, 1:]
    assert float(effective_dimension(flat)) == pytest.approx(7, rel=1e-4)
    assert float(effective_dimension(X[:, :1] * np.ones((1, 5)))) == pytest.approx(1, rel=1e-4)
    variances = np.array([4.0, 1, 1, 0, 0, 0, 0])
    expected = variances.sum() ** 2 / (variances**2).sum()
    assert float(effective_dimension(flat * np.sqrt(variances))) == pytest.approx(
        expected, rel=1e-4
    )
    assert float(effective_dimension(RNG.normal(size=(5, 100)))) <= 4


def test_sparsity_and_dead_units():
    x = jnp.array([[0.0, 1, 2, 0], [0, 0, 2, 0], [0, 3, 2, 1]])
    assert float(sparsity(x)) == pytest.approx(6 / 12)
    assert float(dead_units(x)) == 2 / 4
    expected = 1 - np.mean([(4 / 3) ** 2 / (10 / 3), 1, (1 / 3) ** 2 / (1 / 3)])
    assert float(sparseness(x)) == pytest.approx(expected)


def test_errors_by_hand():
    o, t = jnp.array([[1.0, 0.0], [2.0, 5.0]]), jnp.array([[0.0, 0.0], [2.0, 4.0]])
    assert float(error.mse(o, t)) == 0.5
    assert float(error.nrmse(o, t)) == pytest.approx(np.sqrt(0.5) / np.std([0, 0, 2, 4]))
    assert float(error.r2(o, t)) == pytest.approx(np.mean([1 - 1 / 2, 1 - 1 / 8]))
    assert float(error.smape(o, t)) == pytest.approx(100 * (2 + 0 + 0 + 2 / 9) / 4)
    assert float(error.psnr(o, t, 4.0)) == pytest.approx(10 * np.log10(16 / 0.5))
    for f in (error.mse, error.nrmse, error.r2, error.smape):
        assert np.isnan(f(o.at[0, 0].set(jnp.nan), t))
        with pytest.raises(ValueError, match="same shape"):
            f(o[:, :1], t)


def test_scores_of_predicting_the_mean():
    """Predicting the mean scores NRMSE 1 and R^2 0; the exact answer scores 0 and 1."""
    t = jnp.asarray(X[:, :1])
    mean = jnp.full_like(t, t.mean())
    assert float(error.nrmse(mean, t)) == pytest.approx(1, rel=1e-6)
    assert float(error.r2(mean, t)) == pytest.approx(0, abs=1e-6)
    assert (float(error.nrmse(t, t)), float(error.r2(t, t)), float(error.psnr(t, t))) == (
        0,
        1,
        np.inf,
    )


def test_all_measures_can_be_compiled():
    """Those that are measured during training run inside of a compiled function."""
    functions = [
        representation.effective_dimension,
        sparsity,
        sparseness,
        dead_units,
        lambda x: cka(x, x),
        lambda x: error.r2(x, x),
    ]
    found = jax.jit(lambda x: [f(x) for f in functions])(jnp.asarray(X))
    assert np.isfinite(found).all()
