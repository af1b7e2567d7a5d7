"""Corrupted test images, computed or read once for all arms, and measures of errors on them."""

import functools
from collections.abc import Callable, Container, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.data import Dataset
from bioplaus.data.corrupted import Corrupted, cifar10_c, mnist_c
from bioplaus.data.dataset import bounds_of
from bioplaus.measure.aggregate import bootstrap, iqm, optimality_gap
from bioplaus.measure.robustness import corrupted, mce, relative_mce, suite_for
from bioplaus.measure.statistics import retention
from bioplaus.record import ALL_CORRUPTIONS, BACKPROP, CLEAN, Label, Row, by_label, partners
from bioplaus.record.measures import ACCURACY, MCE, RELATIVE_MCE, UNDER_CORRUPTION
from bioplaus.study.settings import Arm, StudyError
from bioplaus.training.seeds import seed_key
from bioplaus.types import Array

# number of test images that are corrupted here; published sets are used whole
CORRUPTED_EXAMPLES = 512


class Images(NamedTuple):
    """Corrupted test images.

    names: of the corruptions. images: uint8 [corruptions, severities, B, height, width, channels].
    y: one-hot labels [B, classes].
    """

    names: tuple[str, ...]
    images: Array
    y: Array


def source_of(arm: Arm, data: Dataset) -> str:
    """The name of the corrupted images that an arm is tested on; '' if it is tested on none.

    Raises StudyError or DataError if they are not available.
    """
    if arm.corruptions == "none":
        return ""
    if arm.inputs == "centred":
        raise StudyError("corruptions: corrupted images have pixels in [0, 1]; set inputs to unit")
    low, high = bounds_of(data)
    if low < 0 or high > 1:
        raise StudyError(
            f"corruptions: corrupted images have pixels in [0, 1], and the inputs are in [{low:g},"
            f" {high:g}]; rescale them"
        )
    if arm.corruptions != "generated":
        return _published(arm, data).name
    try:
        return suite_for(data.test.x[:1]).name
    except ValueError as error:
        raise StudyError(
            f"corruptions: {error}; other data cannot be corrupted: leave corruptions out"
        ) from error


def images_of(arm: Arm, data: Dataset) -> Images | None:
    """The corrupted images that an arm is tested on; None if corruptions is 'none'."""
    if arm.corruptions == "none":
        return None
    if arm.corruptions == "generated":
        suite, x = suite_for(data.test.x[:1]), jnp.asarray(data.test.x[:CORRUPTED_EXAMPLES])
        found = jax.jit(functools.partial(corrupted, suite))(x, seed_key(0))
        return _stacked(found, jnp.asarray(data.test.y[:CORRUPTED_EXAMPLES]))
    read = _published(arm, data)
    return _stacked(read.images, jnp.asarray(read.y))


def _stacked(images, y: Array) -> Images:
    return Images(tuple(images), jnp.stack([jnp.asarray(a) for a in images.values()]), y)


def _published(arm: Arm, data: Dataset) -> Corrupted:
    shape = data.test.x.shape[1:]
    readers: dict[tuple[int, ...], Callable[[str], Corrupted]] = {
        (28, 28, 1): mnist_c,
        (32, 32, 3): cifar10_c,
    }
    if shape not in readers:
        raise StudyError(
            f"corruptions: there is no published set for images of {list(shape)}; give generated or"
            " none"
        )
    return readers[shape](arm.corruptions)


def error_rows(labels: Sequence[Label], rows: Sequence[Row]) -> list[Row]:
    """mCE_BP and its relative form, for each seed of every arm that has a backprop twin."""
    accuracies = {label: under_corruption(of_arm) for label, of_arm in by_label(rows).items()}
    found: list[Row] = []
    for label, twin in zip(labels, partners(BACKPROP, labels), strict=True):
        if twin is None:
            continue
        of_arm, of_twin = accuracies[label], accuracies[labels[twin]]
        for seed in (s for s in of_arm if s in of_twin):
            (clean, under), (twin_clean, twin_under) = of_arm[seed], of_twin[seed]
            if under.shape != twin_under.shape:
                continue
            relative = relative_mce(under, clean, twin_under, twin_clean)
            found.append(Row.of(label, seed, ALL_CORRUPTIONS, MCE, mce(under, twin_under)))
            found.append(Row.of(label, seed, ALL_CORRUPTIONS, RELATIVE_MCE, relative))
    return found


def retained(rows: Sequence[Row], chance: float, lost: Container[int]) -> dict[str, float]:
    """The accuracy that an arm retains under corruption, summed up over seeds and corruptions.

    iqm, low, high: the interquartile mean over seeds x corruptions of the accuracy retained at
    severities 1 to 5, and its bootstrap interval. gap: the optimality gap. The result is {} if
    fewer than two seeds did not diverge. rows: of the arm. lost: seeds that diverged.
    """
    found = [v for seed, v in under_corruption(rows).items() if int(seed) not in lost]
    if len(found) < 2:
        return {}
    scores = np.stack([retention(under.mean(-1), clean, chance) for clean, under in found])
    if not np.isfinite(scores).all():  # no better than chance to begin with
        return {}
    value = bootstrap(iqm, scores)
    return {
        "iqm": value.value,
        "low": value.low,
        "high": value.high,
        "gap": float(optimality_gap(scores)),
    }


def under_corruption(rows: Sequence[Row]) -> dict[str, tuple[float, np.ndarray]]:
    """Seed -> accuracy on clean images, and on corrupted ones [corruptions, severities].

    rows: of one arm.
    """
    clean = {r.seed: r.value for r in rows if (r.measure, r.where) == (ACCURACY.key, CLEAN)}
    under: dict[str, dict[str, list[float]]] = {}
    for r in rows:
        if r.measure == UNDER_CORRUPTION.key:
            under.setdefault(r.seed, {}).setdefault(r.where.name, []).append(r.value)
    return {seed: (clean[seed], np.array(list(v.values()))) for seed, v in under.items()}
