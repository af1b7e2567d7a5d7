"""Oracle: closed forms of made-up nets, and bins filled by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.measure.calibration import calibration as measured
from bioplaus.measure.calibration import expected_calibration_error as ece
from bioplaus.measure.calibration import risk_coverage as area

calibration, expected_calibration_error = jax.jit(measured), jax.jit(ece, static_argnames="bins")
risk_coverage, RNG = jax.jit(area), np.random.default_rng(0)
N = 200_000


def _binary(confidence, right):
    """Probabilities of a net with two answers, and targets that make it right where it says."""
    p = np.stack([confidence, 1 - confidence], 1)
    return jnp.asarray(p, jnp.float32), jnp.asarray(np.eye(2)[np.where(right, 0, 1)], jnp.float32)


def test_ece_of_known_nets():
    c = RNG.uniform(0.5, 1, N)
    calibrated = float(expected_calibration_error(*_binary(c, RNG.uniform(size=N) < c)))
    assert calibrated < 0.005
    # conf uniform in [0, 1], right with probability conf^2: E |c^2 - c| = 1 / 6
    c = RNG.uniform(0, 1, N)
    p = np.tile(((1 - c) / 9999)[:, None], (1, 2))  # a second class stands for many small ones
    p[:, 0] = c
    y = np.eye(2)[np.where(RNG.uniform(size=N) < c**2, 0, 1)]
    np.testing.assert_allclose(
        expected_calibration_error(jnp.asarray(p), jnp.asarray(y)), 1 / 6, atol=0.005
    )
    assert abs(calibrated - 1 / 6) > 0.1


def test_ece_by_hand():
    """Bins of 1/15: 0.6 begins the tenth, 0.62 is in it with 0.65; 0.99 and 1 are apart."""
    p, y = _binary(np.array([0.62, 0.65, 0.99, 1.0]), np.array([True, False, False, True]))
    np.testing.assert_allclose(
        expected_calibration_error(p, y), (abs(0.62 + 0.65 - 1) + 0.99 + 0) / 4, rtol=1e-5
    )
    one_bin = (abs(0.62 + 0.65 + 0.99 + 1 - 2)) / 4
    np.testing.assert_allclose(expected_calibration_error(p, y, bins=1), one_bin, rtol=1e-5)


def test_ece_is_torchmetrics_formula():
    p = RNG.dirichlet(np.ones(5) * 0.5, 3000)
    y = np.eye(5)[RNG.integers(0, 5, 3000)]
    confidence, right = p.max(1), p.argmax(1) == y.argmax(1)
    m = np.digitize(confidence, np.linspace(0, 1, 16)) - 1  # bucketize, right=True
    gaps = [
        abs(right[m == k].mean() - confidence[m == k].mean()) * (m == k).mean()
        for k in range(16)
        if (m == k).any()
    ]
    np.testing.assert_allclose(
        expected_calibration_error(jnp.asarray(p), jnp.asarray(y)), sum(gaps), atol=2e-3 / 3
    )
    assert sum(gaps) > 0.2


def test_nll_and_brier_by_hand():
    outputs = jnp.log(jnp.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]]))
    got = calibration(outputs, jnp.eye(3)[jnp.array([0, 1])])
    np.testing.assert_allclose(got.nll, -(np.log(0.7) + np.log(0.25)) / 2, rtol=1e-5)
    np.testing.assert_allclose(
        got.brier, (0.09 + 0.04 + 0.01 + 0.0625 + 0.5625 + 0.25) / 2, rtol=1e-5
    )
    sure = calibration(jnp.array([[1e4, 0.0], [0.0, 1e4]]), jnp.eye(2))
    np.testing.assert_allclose(sure, 0, atol=1e-6)
    assert all(
        np.isnan(v) for v in calibration(jnp.array([[jnp.nan, 0.0], [0.0, 1.0]]), jnp.eye(2))
    )


def test_aurc_by_hand():
    """AURC by hand; it is lower if the same errors have the lowest confidence.

    In order of confidence the first example is right, then wrong, right, wrong: the risks are 0,
    1/2, 1/3 and 2/4.
    """
    p, y = _binary(np.array([0.7, 0.9, 0.6, 0.8]), np.array([True, True, False, False]))
    np.testing.assert_allclose(risk_coverage(p, y), (0 + 1 / 2 + 1 / 3 + 2 / 4) / 4, rtol=1e-6)
    p, y = _binary(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, False]))
    np.testing.assert_allclose(risk_coverage(p, y), (0 + 0 + 1 / 3 + 2 / 4) / 4, rtol=1e-6)
    c = RNG.uniform(0.5, 1, N)
    # confidence says nothing: the risk is the same at every coverage
    unsure = _binary(c, RNG.uniform(size=N) < 0.8)
    np.testing.assert_allclose(risk_coverage(*unsure), 0.2, atol=0.01)
