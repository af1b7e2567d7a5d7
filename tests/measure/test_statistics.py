"""Oracle: scipy's own tests, closed forms, and numbers worked by hand."""

import numpy as np
import pytest
from scipy import stats

from bioplaus.measure.statistics import SHARE, interval, nauc, paired_interval, retention, s50


def test_interval_equals_student_t():
    values = [0.91, 0.93, 0.90, 0.95, 0.92]
    got = interval(values)
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    np.testing.assert_allclose(got[:3], (np.mean(values), low, high), rtol=1e-12)
    # not the normal's
    assert not np.allclose(
        got[1:3], stats.norm.interval(0.95, np.mean(values), stats.sem(values)), rtol=1e-3
    )
    assert (got.n, got.diverged) == (5, 0)


def test_interval_by_hand():
    got = interval([1.0, 3.0])  # s = sqrt 2, s / sqrt n = 1, t_1 = 12.7062
    np.testing.assert_allclose(got[:3], (2.0, 2 - 12.7062047, 2 + 12.7062047), rtol=1e-8)


def test_interval_ends_at_the_bounds_of_the_measure():
    """Accuracies 0.98 and 1.00: 0.99 -+ 12.7062 x 0.01, that is 0.8629 to 1.1171."""
    got = interval([0.98, 1.0], bounds=SHARE)
    np.testing.assert_allclose(got[:3], (0.99, 0.862938, 1.0), rtol=1e-6)
    np.testing.assert_allclose(
        interval([0.0, 0.02], bounds=SHARE)[:3], (0.01, 0.0, 0.137062), rtol=1e-5
    )
    # a measure without bounds
    np.testing.assert_allclose(interval([0.98, 1.0])[:3], (0.99, 0.862938, 1.117062), rtol=1e-6)
    assert np.isnan(interval([0.9], bounds=SHARE)[1:3]).all()
    gap = paired_interval([0.9, 0.5], [0.1, 0.5], bounds=SHARE)  # 0.4 -+ 12.7 x 0.4
    np.testing.assert_allclose(gap[:3], (0.4, -1.0, 1.0))
    inside = paired_interval([0.9, 0.92, 0.91], [0.8, 0.83, 0.8], bounds=SHARE)
    np.testing.assert_array_equal(inside, paired_interval([0.9, 0.92, 0.91], [0.8, 0.83, 0.8]))


def test_interval_covers_95_percent():
    draws = np.random.default_rng(0).normal(size=(5, 20000))
    got = interval(draws)
    covered = ((got.low < 0) & (got.high > 0)).mean()
    assert abs(covered - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 20000)


def test_diverged_seeds_are_left_out_and_counted():
    got = interval([0.9, np.nan, 0.8, np.inf, 0.7])
    np.testing.assert_allclose(got[:3], interval([0.9, 0.8, 0.7])[:3], rtol=1e-12)
    assert (got.n, got.diverged) == (3, 2)
    one, none = interval([0.9, np.nan]), interval([np.nan, np.nan])
    assert one.mean == 0.9
    assert np.isnan([one.low, one.high, none.mean, none.low]).all()
    assert none.diverged == 2


def test_interval_of_curves():
    curves = np.random.default_rng(1).uniform(size=(4, 3))
    curves[2, 1] = np.nan
    got = interval(curves)
    for k in range(3):
        np.testing.assert_allclose([f[k] for f in got], interval(curves[:, k]), rtol=1e-12)
    np.testing.assert_array_equal(got.diverged, [0, 1, 0])


def test_paired_interval_is_the_paired_t_test():
    rng = np.random.default_rng(2)
    seed = rng.normal(size=6)
    a, b = seed + 0.02 + 0.01 * rng.normal(size=6), seed + 0.01 * rng.normal(size=6)
    got, reference = paired_interval(a, b), stats.ttest_rel(a, b).confidence_interval()
    np.testing.assert_allclose(got[1:3], reference, rtol=1e-10)
    unpaired = stats.ttest_ind(a, b).confidence_interval()
    # the seeds' own spread has gone
    assert unpaired.high - unpaired.low > 10 * (got.high - got.low)


def test_paired_interval_drops_the_pair():
    got = paired_interval([1.0, 2.0, np.nan, np.inf], [0.5, 1.0, 0.0, np.inf])
    assert (got.mean, got.n, got.diverged) == (0.75, 2, 2)
    with pytest.raises(ValueError, match="same seeds"):
        paired_interval([1.0, 2.0], [1.0])


def test_nauc_by_hand():
    # (1.0 + 0.8) / 2 * 1 + (0.8 + 0.2) / 2 * 3 = 2.4 over a range of 4
    np.testing.assert_allclose(nauc([0, 1, 4], [1.0, 0.8, 0.2]), 0.6)
    np.testing.assert_allclose(nauc([0, 1, 4], [[1.0, 0.8, 0.2], [0.5, 0.5, 0.5]]), [0.6, 0.5])
    # the grid is not even
    assert abs(nauc([0, 1, 4], [1.0, 0.8, 0.2]) - np.mean([1.0, 0.8, 0.2])) > 0.05


def test_nauc_refuses_a_grid_that_does_not_rise():
    with pytest.raises(ValueError, match="rising"):
        nauc([0, 2, 1], [1.0, 0.8, 0.2])
    with pytest.raises(ValueError, match="rising"):
        nauc([0, 1], [1.0, 0.8, 0.2])


def test_retention_by_hand():
    np.testing.assert_allclose(retention(0.5, 0.9, 0.1), 0.5)
    np.testing.assert_allclose(retention([0.9, 0.1], [0.9, 0.9], 0.1), [1.0, 0.0], atol=1e-15)
    assert np.isnan(retention(0.05, 0.1, 0.1))


def test_s50_by_hand():
    grid = [0, 1, 2, 4]
    np.testing.assert_allclose(s50(grid, [0.9, 0.8, 0.6, 0.2], 0.1), 2.5)  # half-way is 0.5
    np.testing.assert_allclose(s50(grid, [0.9, 0.5, 0.6, 0.2], 0.1), 1.0)  # the first time
    curves = [[0.9, 0.8, 0.6, 0.2], [0.9, 0.9, 0.8, 0.7], [0.1, 0.1, 0.1, 0.1]]
    np.testing.assert_allclose(s50(grid, curves, 0.1), [2.5, np.inf, np.nan])
