"""Oracle: scipy, rliable's formulae written out by loops, and numbers worked by hand."""

import numpy as np
import pytest
from scipy import stats

from bioplaus.measure.aggregate import bootstrap, iqm, optimality_gap, probability_of_improvement
from bioplaus.measure.robustness.errors import (
    corruption_error,
    effective_robustness,
    mce,
    relative_mce,
)
from bioplaus.measure.statistics import holm, paired_p

RNG = np.random.default_rng(0)
X, Y = RNG.normal(0.5, 0.1, (6, 4)), RNG.normal(0.45, 0.1, (6, 4))


def test_iqm_equals_scipy():
    np.testing.assert_allclose(iqm(X), stats.trim_mean(X.ravel(), 0.25), rtol=1e-12)
    assert abs(iqm(X) - X.mean()) > 1e-4
    np.testing.assert_allclose(iqm(np.stack([X, Y])), [iqm(X), iqm(Y)], rtol=1e-12)


def test_optimality_gap_by_hand():
    np.testing.assert_allclose(optimality_gap(np.array([[0.5, 2.0]])), 0.25)
    np.testing.assert_allclose(optimality_gap(np.array([[0.5, 2.0]]), 3.0), 1.75)


def test_probability_of_improvement_equals_mann_whitney():
    wide = Y[:5].round(1)
    tied = X.round(1)
    greater = [
        np.asarray(stats.mannwhitneyu(tied[:, t], wide[:, t], alternative="greater"))[0]
        for t in range(4)
    ]
    expected = np.mean(greater) / 30
    np.testing.assert_allclose(probability_of_improvement(tied, wide), expected, rtol=1e-12)
    assert (tied[:, None] == wide[None]).any()  # ties are there
    assert probability_of_improvement(X, X) == 0.5
    np.testing.assert_allclose(
        probability_of_improvement(X, Y) + probability_of_improvement(Y, X), 1
    )


def test_bootstrap_equals_rliable():
    """The stratified bootstrap by a loop: each task draws its own runs. Percentile interval."""
    rng = np.random.default_rng(1)
    drawn = [iqm(np.stack([X[rng.integers(0, 6, 6), t] for t in range(4)], 1)) for _ in range(4000)]
    got = bootstrap(iqm, X, repetitions=20_000)
    width = np.ptp(np.quantile(drawn, [0.025, 0.975]))
    np.testing.assert_allclose(got[1:], np.quantile(drawn, [0.025, 0.975]), atol=0.05 * width)
    # not stratified: tasks draw together, the spread is another
    whole = [iqm(X[rng.integers(0, 6, 6)]) for _ in range(2000)]
    assert abs(np.ptp(np.quantile(whole, [0.025, 0.975])) - (got.high - got.low)) > 0.05 * width
    assert got.value == iqm(X)
    assert got == bootstrap(iqm, X, repetitions=20_000)


def test_bootstrap_of_one_mean_is_the_classical_one():
    got = bootstrap(lambda s: s.mean((-2, -1)), X[:, :1], repetitions=20_000)
    expected = stats.bootstrap(
        (X[:, 0],), np.mean, method="percentile", n_resamples=20_000, rng=2
    ).confidence_interval
    np.testing.assert_allclose(got[1:], expected, atol=0.02 * (got.high - got.low))


def test_pairs_take_the_seeds_spread_out():
    seed = RNG.normal(0, 0.1, (8, 1))
    a, b = seed + 0.02 + 0.005 * RNG.normal(size=(8, 2)), seed + 0.005 * RNG.normal(size=(8, 2))
    gap = lambda a, b: iqm(a) - iqm(b)  # noqa: E731
    paired, alone = (bootstrap(gap, a, b, paired=p, repetitions=4000) for p in (True, False))
    assert paired.low > 0 > alone.low
    assert alone.high - alone.low > 3 * (paired.high - paired.low)


@pytest.mark.parametrize(
    ("scores", "match"),
    [
        ((X[:1],), "two runs"),
        ((X[:, 0],), "runs, tasks"),
        ((X, X[:5]), "paired"),
        ((X * np.nan,), "finite"),
    ],
)
def test_bootstrap_refuses(scores, match):
    with pytest.raises(ValueError, match=match):
        bootstrap(lambda *s: iqm(s[0]), *scores, repetitions=10)


def test_paired_p_is_the_paired_t_test():
    expected = float(np.asarray(stats.ttest_rel(X[:, 0], Y[:, 0]))[1])
    np.testing.assert_allclose(paired_p(X[:, 0], Y[:, 0]), expected, rtol=1e-10)
    assert abs(paired_p(X[:, 0], Y[:, 0]) - np.asarray(stats.ttest_ind(X[:, 0], Y[:, 0]))[1]) > 1e-4
    np.testing.assert_allclose(paired_p([*X[:, 0], np.nan], [*Y[:, 0], 1]), expected, rtol=1e-10)
    assert np.isnan(paired_p([1.0], [0.0]))
    assert (paired_p([1.0, 1.0], [1.0, 1.0]), paired_p([2.0, 2.0], [1.0, 1.0])) == (1, 0)


def test_holm_by_hand():
    """n = 4, sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1 and never falling."""
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.01, np.nan]), [0.02, np.nan])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])
    assert holm([]).shape == (0,)


def test_mce_of_the_reference_is_100():
    accuracy = RNG.uniform(0.2, 0.9, (3, 5, 5))
    np.testing.assert_allclose(corruption_error(accuracy, accuracy), 100, rtol=1e-12)
    np.testing.assert_allclose(mce(accuracy, accuracy), 100, rtol=1e-12)
    np.testing.assert_allclose(
        relative_mce(accuracy, [0.95] * 3, accuracy, [0.95] * 3), 100, rtol=1e-12
    )


def test_corruption_errors_by_hand():
    net, twin = [[0.8, 0.6], [0.9, 0.7]], [[0.9, 0.7], [0.95, 0.75]]
    np.testing.assert_allclose(corruption_error(net, twin), [150, 400 / 3])  # 0.6 / 0.4, 0.4 / 0.3
    np.testing.assert_allclose(mce(net, twin), (150 + 400 / 3) / 2)
    # lost from 0.95: 0.5 and 0.3; the twin's from 0.98: 0.36 and 0.26
    np.testing.assert_allclose(
        relative_mce(net, 0.95, twin, 0.98), 100 * (0.5 / 0.36 + 0.3 / 0.26) / 2
    )
    assert np.isnan(corruption_error([[0.9, 0.9]], [[1.0, 1.0]])).all()


def test_effective_robustness_is_the_residual_of_the_line():
    logit = lambda a: np.log(a / (1 - a))  # noqa: E731
    clean = np.array([0.8, 0.9, 0.95, 0.98])
    under = 1 / (1 + np.exp(-(0.7 * logit(clean) - 0.5)))
    np.testing.assert_allclose(
        effective_robustness(under, clean, under, clean, examples=10**6), 0, atol=1e-12
    )
    better = 1 / (1 + np.exp(-(0.7 * logit(0.9) - 0.5 + 0.3)))
    np.testing.assert_allclose(
        effective_robustness(better, 0.9, under, clean, examples=10**6), 0.3, rtol=1e-9
    )
    assert np.isfinite(effective_robustness(0.5, 1.0, under, clean, examples=1000))
    with pytest.raises(ValueError, match="three nets"):
        effective_robustness(0.5, 0.9, under[:2], clean[:2], examples=1000)
