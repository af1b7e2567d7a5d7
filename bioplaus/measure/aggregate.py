"""Aggregates over runs and tasks, with bootstrap intervals. On the host, in float64.

scores: [..., runs, tasks], one number per training run (seed) and task (data set, corruption, ...);
larger is better.

    IQM               mean of the middle half of all runs x tasks: 25 % are trimmed off at each end
    optimality gap    gamma - mean min(score, gamma)
    P(X > Y)          mean over tasks of U / (n_x n_y), with U the Mann-Whitney statistic, in which
                      ties count one half, and n_x, n_y the numbers of runs
The interval is a stratified percentile bootstrap: runs are drawn with replacement within each task,
and the tasks are fixed.

Agarwal, Schwarzer, Castro, Courville, Bellemare, "Deep Reinforcement Learning at the Edge of the
Statistical Precipice", 2021, arXiv:2108.13264; https://github.com/google-research/rliable.
Departure: if runs are paired (same seed, same order of the data), the same runs are drawn for both
sides.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bioplaus.hyper import Count, Level, declared

REPETITIONS = 50_000


class Bootstrapped(NamedTuple):
    """A statistic of the scores, and its percentile interval."""

    value: float
    low: float
    high: float


def iqm(scores: np.ndarray) -> np.ndarray:
    """Interquartile mean [...] of scores [..., runs, tasks]."""
    from scipy import stats

    return np.asarray(stats.trim_mean(scores.reshape(*scores.shape[:-2], -1), 0.25, axis=-1))


def optimality_gap(scores: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """How far the scores are below gamma [...]. Scores above gamma do not make up for scores below
    it.
    """
    return gamma - np.minimum(scores, gamma).mean((-2, -1))


def probability_of_improvement(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """P(X > Y) [...] of scores [..., n_x, tasks] and [..., n_y, tasks]. 0.5 means that they do not
    differ.
    """
    a, b = x[..., :, None, :], y[..., None, :, :]
    return ((a > b) + 0.5 * (a == b)).mean((-3, -2, -1))


@declared
def bootstrap(
    statistic: Callable[..., np.ndarray],
    *scores: ArrayLike,
    paired: bool = True,
    repetitions: Count = REPETITIONS,
    level: Level = 0.95,
    seed: int = 0,
) -> Bootstrapped:
    """The stratified bootstrap of statistic(*scores [repetitions, runs, tasks]) -> [repetitions].

    paired: whether all scores are of the same runs in the same order. Raises ValueError for scores
    of another rank, of fewer than two runs, or not finite (leave a diverged run out, and say so),
    and for paired scores of different shapes.
    """
    found = [np.asarray(s, np.float64) for s in scores]
    for s in found:
        if s.ndim != 2 or len(s) < 2 or not s.size or not np.isfinite(s).all():
            raise ValueError(
                f"bootstrap: got scores {s.shape}; give finite ones [runs, tasks] of two runs or"
                " more, diverged runs left out"
            )
    if paired and len({s.shape for s in found}) > 1:
        raise ValueError(
            f"bootstrap: paired scores have shapes {[s.shape for s in found]}; give the same runs"
            " and tasks, or paired=False"
        )
    rng, values = np.random.default_rng(seed), []
    chunk = max(1, 2_000_000 // sum(s.size for s in found))
    for start in range(0, repetitions, chunk):
        n, rows, drawn = min(chunk, repetitions - start), None, []
        for s in found:
            if rows is None or not paired:
                rows = rng.integers(0, len(s), (n, *s.shape))
            drawn.append(s[rows, np.arange(s.shape[1])])
        values.append(statistic(*drawn))
    low, high = np.quantile(np.concatenate(values), [0.5 - level / 2, 0.5 + level / 2])
    return Bootstrapped(float(statistic(*found)), float(low), float(high))
