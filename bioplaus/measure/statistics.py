"""Statistics over seeds, and summaries of robustness curves. On the host, in float64.

A seed that diverged is NaN or infinite. It is left out of the mean and counted: a table must show
both.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bioplaus.hyper import Level, declared

FREE = (-np.inf, np.inf)
SHARE = (0.0, 1.0)
"""Bounds of an accuracy, and of any other fraction of examples."""


class Interval(NamedTuple):
    """Mean and 95 % interval over n seeds, without the `diverged` ones. low and high are NaN for
    fewer than two seeds.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray
    diverged: np.ndarray


@declared
def interval(
    values: ArrayLike, level: Level = 0.95, bounds: tuple[float, float] = FREE
) -> Interval:
    """Student's interval over the first axis, mean +- t_{n-1} s / sqrt(n).

    values: [seeds, ...]; n: number of seeds; s: sample standard deviation; t_{n-1}: quantile of
    Student's distribution. bounds: the smallest and the largest value that the measure can have. An
    end beyond them, which the normal distribution allows, is moved to the bound: the interval then
    contains the true mean no less often.
    """
    from scipy import stats  # scipy.stats takes half a second to import

    values = np.asarray(values, np.float64)
    if values.ndim < 1:
        raise ValueError("interval: got a single number; give values [seeds, ...]")
    finite = np.isfinite(values)
    n = finite.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(finite, values, 0.0).sum(0) / n
        variance = (np.where(finite, values - mean, 0.0) ** 2).sum(0) / (n - 1)
        half = stats.t.ppf(0.5 + level / 2, n - 1) * np.sqrt(variance / n)
    return Interval(
        mean,
        np.maximum(mean - half, bounds[0]),
        np.minimum(mean + half, bounds[1]),
        n,
        len(values) - n,
    )


@declared
def paired_interval(
    a: ArrayLike, b: ArrayLike, level: Level = 0.95, bounds: tuple[float, float] = FREE
) -> Interval:
    """The interval of the mean of a - b, paired by seed: a is larger than b if `low` > 0. A pair
    with a diverged seed is left out.

    bounds: those of a and of b, see `interval`; a - b lies within the distance between them. Raises
    ValueError unless a and b have the same seeds.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape:
        raise ValueError(
            f"paired_interval: got {a.shape} and {b.shape}; both need the same seeds in the same"
            " order"
        )
    with np.errstate(invalid="ignore"):
        return interval(a - b, level, (bounds[0] - bounds[1], bounds[1] - bounds[0]))


def paired_p(a: ArrayLike, b: ArrayLike) -> float:
    """Two-sided p-value of the paired t test of a - b = 0, without pairs in which a seed diverged.

    Use it for planned comparisons, corrected by `holm` for their number; other comparisons should
    have no p-value. NaN for fewer than two pairs. 0 or 1 if all differences are equal: the seeds do
    not vary, and the test does not apply.
    """
    from scipy import stats

    found = paired_interval(a, b)
    d = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    d = d[np.isfinite(d)]
    if found.n < 2:
        return float("nan")
    spread = d.std(ddof=1) / np.sqrt(len(d))
    return (
        float(d.mean() == 0)
        if spread == 0
        else float(2 * stats.t.sf(abs(d.mean()) / spread, len(d) - 1))
    )


def holm(p: ArrayLike) -> np.ndarray:
    """Holm's step-down correction of the p-values p [n] of n planned comparisons. A comparison is
    significant at 5 % if its corrected value p' is below 0.05.

        p'_(i) = max_{j <= i} min(1, (n - j + 1) p_(j)),    p_(1) <= ... <= p_(n)

    NaN stays NaN and counts as one of the n. Holm, "A Simple Sequentially Rejective Multiple Test
    Procedure", 1979.
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p)  # NaN last
    stepped = np.minimum(1, (len(p) - np.arange(len(p))) * p[order])
    corrected = np.empty_like(p)
    corrected[order] = np.where(np.isnan(stepped), np.nan, np.fmax.accumulate(stepped))
    return corrected


def nauc(severities: ArrayLike, accuracy: ArrayLike) -> np.ndarray:
    """Normalised area under the accuracy curve (nAUC).

    It is a mean accuracy over the range of severities [K], by the trapezoid rule. accuracy: [...,
    K].
    """
    s, a = _curve("nauc", severities, accuracy)
    return np.asarray(np.trapezoid(a, s, axis=-1) / (s[-1] - s[0]))


def retention(area: ArrayLike, clean: ArrayLike, chance: float) -> np.ndarray:
    """(nAUC - chance) / (clean - chance): 1 if all of the accuracy is kept, 0 if none is. NaN
    unless the clean accuracy is above chance.
    """
    area, clean = np.asarray(area, np.float64), np.asarray(clean, np.float64)
    room = np.where(clean > chance, clean - chance, np.nan)
    return (area - chance) / room


def s50(severities: ArrayLike, accuracy: ArrayLike, chance: float) -> np.ndarray:
    """Severity at which the accuracy has first fallen half-way to chance.

    It falls from the clean accuracy, that at severities[0], and is interpolated linearly.

    accuracy: [..., K]. inf if it never falls so far: print this as >= severities[-1]. NaN unless
    the clean accuracy is above chance.
    """
    s, a = _curve("s50", severities, accuracy)
    clean = a[..., :1]
    half = (clean + chance) / 2
    below = a <= half
    k = np.maximum(below.argmax(-1), 1)[..., None]
    before, after = np.take_along_axis(a, k - 1, -1), np.take_along_axis(a, k, -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        at = s[k - 1] + (s[k] - s[k - 1]) * (before - half) / (before - after)
    return np.where(clean > chance, np.where(below.any(-1, keepdims=True), at, np.inf), np.nan)[
        ..., 0
    ]


def _curve(name: str, severities: ArrayLike, accuracy: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    s, a = np.asarray(severities, np.float64), np.asarray(accuracy, np.float64)
    if s.ndim != 1 or len(s) < 2 or not (np.diff(s) > 0).all() or a.shape[-1:] != s.shape:
        raise ValueError(
            f"{name}: got severities {s.tolist()} and accuracy {a.shape}; give K >= 2 rising ones"
            " and [..., K]"
        )
    return s, a
