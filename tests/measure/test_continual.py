"""Oracle: a matrix worked by hand."""

import numpy as np
import pytest

from bioplaus.measure.continual import continual

R = [[0.9, 0.3, 0.2], [0.7, 0.8, 0.4], [0.95, 0.5, 0.6]]
START = [0.1, 0.15, 0.25]


def test_by_hand():
    got = continual(R, START, joint=[0.95, 0.9, 0.85])
    np.testing.assert_allclose(got.acc, (0.95 + 0.5 + 0.6) / 3, rtol=1e-12)
    np.testing.assert_allclose(got.bwt, ((0.95 - 0.9) + (0.5 - 0.8)) / 2, rtol=1e-12)
    np.testing.assert_allclose(got.fwt, ((0.3 - 0.15) + (0.4 - 0.25)) / 2, rtol=1e-12)
    np.testing.assert_allclose(got.forgetting, ((0.9 - 0.95) + (0.8 - 0.5)) / 2, rtol=1e-12)
    np.testing.assert_allclose(got.plasticity, (0.9 + 0.8 + 0.6) / 3, rtol=1e-12)
    np.testing.assert_allclose(got.intransigence, (0.05 + 0.1 + 0.25) / 3, rtol=1e-12)


def test_the_paper_divides_by_t_less_one():
    """GEM's released code averages over all T tasks, the structural zero of the last among them."""
    last, own = np.array(R[-1]), np.diag(R)
    assert abs(continual(R, START).bwt - (last - own).mean()) > 0.01


def test_forgetting_is_from_the_best_and_not_from_its_own_task():
    r = [[0.5, 0.3, 0.2], [0.9, 0.8, 0.4], [0.4, 0.5, 0.6]]
    got = continual(r, START)
    np.testing.assert_allclose(got.forgetting, ((0.9 - 0.4) + (0.8 - 0.5)) / 2)
    assert got.forgetting != -got.bwt
    assert np.isnan(got.intransigence)


@pytest.mark.parametrize(("r", "start"), [(R, START[:2]), ([[0.5]], [0.1]), (R[:2], START)])
def test_refuses_what_does_not_fit(r, start):
    with pytest.raises(ValueError, match=r"\[T, T\]"):
        continual(r, start)
