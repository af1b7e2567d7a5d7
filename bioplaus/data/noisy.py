"""Degraded training data: wrong labels, noisy inputs, rare classes, few examples. Validation and
test data do not change.

    symmetric    label c becomes each other class with probability rate / (C - 1)
    asymmetric   label c becomes a similar class, if `SIMILAR` has one, with probability rate
    input noise  x + sigma r xi, drawn once, not clipped;  xi: standard normal;  r: the range of the
                 inputs, see `bounds_of`
    imbalance    class c of 0..C-1 keeps the fraction r^(-c / (C - 1)) of its examples, so that the
                 last class keeps 1 / r
    fraction     of the examples of each class, rounded to a whole number, at least one
They are applied in the order fraction, imbalance, labels, inputs, and are the same for every arm
and seed, so that arms stay paired.

Asymmetric, and symmetric to the other classes: Patrini, Rozza, Menon, Nock, Qu, "Making Deep Neural
Networks Robust to Label Noise: a Loss Correction Approach", 2017, arXiv:1609.03683. Imbalance: Cui,
Jia, Lin, Song, Belongie, "Class-Balanced Loss Based on Effective Number of Samples", 2019,
arXiv:1901.05555. Maps and profile follow public implementations
(https://github.com/giorgiop/loss-correction for CIFAR-10, https://github.com/kaidic/LDAM-DRW for
the profile).
"""

from typing import NamedTuple

import numpy as np

from bioplaus.data.dataset import Dataset, bounds_of, one_hot, picked, uniform
from bioplaus.types import PyTree

SIMILAR = {
    "mnist": {7: 1, 2: 7, 5: 6, 6: 5, 3: 8},
    "digits": {7: 1, 2: 7, 5: 6, 6: 5, 3: 8},
    "cifar10": {9: 1, 2: 0, 4: 7, 3: 5, 5: 3},
}
"""Data set -> class -> the class with which it is confused."""


class Flipped(NamedTuple):
    """The training examples with a wrong label. x: [N, ...]. given, truth: one-hot [N, C]. context:
    as of a Batch."""

    x: np.ndarray
    given: np.ndarray
    truth: np.ndarray
    context: PyTree = ()


def with_noise(
    data: Dataset,
    *,
    symmetric: float = 0.0,
    asymmetric: float = 0.0,
    input_noise: float = 0.0,
    imbalance: float = 1.0,
    fraction: float = 1.0,
) -> tuple[Dataset, Flipped]:
    """Degrade the training data of a data set.

    Returns the data set, with a name that says so, and the examples whose label is wrong.

    Raises ValueError for a rate or fraction out of range, for both kinds of label noise at once,
    for asymmetric noise on a data set that is not in `SIMILAR`, and for wrong labels or rare
    classes where data have answers at each moment instead of a class.
    """
    rates_fit = 0 <= symmetric <= 1 and 0 <= asymmetric <= 1 and 0 < fraction <= 1
    if not (rates_fit and input_noise >= 0 and imbalance >= 1):
        raise ValueError(
            "with_noise: rates are from 0 to 1, input_noise 0 or more, imbalance 1 or more,"
            " fraction above 0 to 1"
        )
    if symmetric and asymmetric:
        raise ValueError("with_noise: give symmetric or asymmetric label noise, not both")
    if asymmetric and data.name not in SIMILAR:
        raise ValueError(
            f"with_noise: no similar classes are known for {data.name!r}, only for"
            f" {', '.join(SIMILAR)}"
        )
    classed = np.ndim(data.train.y) == 2
    _check_classed(data, classed or not (symmetric or asymmetric or imbalance > 1))
    y = np.asarray(data.train.y) if classed else np.ones((len(data.train.y), 1))  # all in one class
    truth, classes = y.argmax(1), y.shape[1]
    kept = _kept(truth, classes, imbalance, fraction)
    train, truth = picked(data.train, kept), truth[kept]
    x, given = np.asarray(train.x), truth
    if symmetric:
        given = flipped_evenly(truth, classes, symmetric, seed=1)
    if asymmetric:
        given = flipped_to(truth, SIMILAR[data.name], asymmetric, seed=1)
    if input_noise:
        x = _with_input_noise(x, input_noise, bounds_of(data))
    changes = {
        f"{symmetric:.0%} symmetric label noise": symmetric,
        f"{asymmetric:.0%} asymmetric label noise": asymmetric,
        f"input noise {input_noise:g}": input_noise,
        f"imbalance {imbalance:g}": imbalance > 1,
        f"{fraction:g} of the examples": fraction < 1,
    }
    words = [text for text, changed in changes.items() if changed]
    name = " + ".join([data.name, *words])
    note = data.note + (f" Training data: {', '.join(words)}; {len(x)} examples." if words else "")
    wrong = given != truth
    given, truth = one_hot(given, classes), one_hot(truth, classes)
    train = train._replace(x=x, y=given if classed else train.y)
    flipped = Flipped(x[wrong], given[wrong], truth[wrong], picked(train, wrong).context)
    return data._replace(name=name, train=train, note=note), flipped


def _check_classed(data: Dataset, fits: bool) -> None:
    if not fits:
        raise ValueError(
            f"with_noise: {data.name} has answers at each moment, y"
            f" {list(np.shape(data.train.y))}, and no class for each example; give input_noise or"
            " fraction alone"
        )


def _with_input_noise(x: np.ndarray, sigma: float, bounds: tuple[float, float]) -> np.ndarray:
    from scipy.special import ndtri

    xi = ndtri(uniform(x.size, 2).reshape(x.shape))
    return (x + sigma * (bounds[1] - bounds[0]) * xi).astype(x.dtype)


def flipped_evenly(labels: np.ndarray, classes: int, rate: float, *, seed: int) -> np.ndarray:
    """Labels [N], each replaced with probability `rate`.

    All other labels are equally likely.
    """
    chance, which = uniform(2 * len(labels), seed).reshape(2, -1)
    other = (labels + 1 + np.floor(which * (classes - 1)).astype(labels.dtype)) % classes
    return np.where(chance < rate, other, labels)


def flipped_to(
    labels: np.ndarray, similar: dict[int, int], rate: float, *, seed: int
) -> np.ndarray:
    """Labels [N], each replaced by its entry in `similar`, if any, with probability `rate`."""
    image = np.array([similar.get(c, c) for c in range(labels.max() + 1)], labels.dtype)
    return np.where(uniform(len(labels), seed) < rate, image[labels], labels)


def _kept(labels: np.ndarray, classes: int, imbalance: float, fraction: float) -> np.ndarray:
    """Indices of the rows that are kept, ascending: for each class the first of a shuffle."""
    chance, found = uniform(len(labels), 0), []
    for c in range(classes):
        rows = np.flatnonzero(labels == c)
        count = max(1, round(len(rows) * fraction * imbalance ** (-c / max(classes - 1, 1))))
        found.append(rows[np.argsort(chance[rows], kind="stable")[:count]])
    return np.sort(np.concatenate(found))
