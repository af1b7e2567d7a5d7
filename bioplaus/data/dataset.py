"""Data sets, and the fixed split of arrays that come without one."""

from typing import Any, NamedTuple, cast

import jax
import numpy as np
from numpy.typing import ArrayLike

from bioplaus.types import Batch

VALIDATION = 5_000
"""Number of training examples, the last ones in the official order, that large data sets use for
validation.
"""

PARTS = ("train", "validation", "test")

SPLIT = "each class split 70/10/20 into train, validation and test, the same way every time"


class Dataset(NamedTuple):
    """Three Batches of numpy arrays: x float32 [N, ...], y one-hot float32 [N, C].

    Make choices on `validation`, and report `test` once. note: what the test set is, how the data
    were split, and what to cite. dt: for sequences, x [N, T, ...], the length of a moment in ms;
    None for data that are not sequences. Sequences may have answers at each moment, y [N, T, C],
    of which `asked` [N, T] of each Batch says which count; None for all.
    """

    name: str
    train: Batch
    validation: Batch
    test: Batch
    note: str
    dt: float | None = None


def own(
    x: ArrayLike, y: ArrayLike, *, dt: float | None = None, asked: ArrayLike | None = None
) -> Dataset:
    """A user's arrays as a Dataset, split 70/10/20 by `stratified`. The only example of a class is
    put into the training set, and the note says that the class is not tested.

    x: [N, ...] real and finite, N >= 10; converted to float32 and not rescaled.
    y: integer labels [N] that use all of 0..C-1, or one-hot [N, C]; C >= 2.
    dt: says that x are sequences [N, T, ...], with moments of this many ms. Only then y may also be
    answers at each moment, real numbers [N, T, C], of which asked [N, T] says which count.
    Raises ValueError for other arrays.
    """
    examples, targets = np.asarray(x), np.asarray(y)
    if examples.ndim < 2 or examples.dtype.kind not in "fiub":
        raise ValueError(
            f"x must be real numbers [N, ...] of rank 2 or more, got {examples.dtype}"
            f" {list(examples.shape)}."
        )
    _check_moments(examples, targets, dt, asked)
    if targets.ndim not in (1, 2) and not (dt is not None and targets.ndim == 3):
        raise ValueError(
            f"y must be integer labels [N] or one-hot [N, C], got rank {targets.ndim},"
            f" {list(targets.shape)}."
        )
    if len(examples) != len(targets):
        raise ValueError(
            f"x and y must have one row per example, got {len(examples)} and {len(targets)} rows."
        )
    if len(examples) < 10:
        raise ValueError(
            "A split into train, validation and test needs 10 examples or more, got"
            f" {len(examples)}."
        )
    with np.errstate(over="ignore"):
        examples = examples.astype(np.float32)
    if not np.isfinite(examples).all():
        raise ValueError("x must be finite as float32: it holds NaN, infinite or too large values.")
    if targets.ndim == 3:
        parts = stratified(np.zeros(len(targets), np.int64))
        note = "Own sequences with answers at each moment, split 70/10/20 the same way every time."
        targets = targets.astype(np.float32)
        return divided("own", examples, targets, parts, note, dt=dt, asked=asked)
    labels, classes = _labels(targets)
    parts = _all_trained(labels, stratified(labels))
    untested = np.setdiff1d(labels, labels[parts[2]]).tolist()
    untested_note = (
        f" Not in the test set, with too few examples: class {', '.join(map(str, untested))}."
        if untested
        else ""
    )
    note = f"Own arrays, {SPLIT}.{untested_note}"
    return divided("own", examples, one_hot(labels, classes), parts, note, dt=dt)


def _check_moments(x: np.ndarray, y: np.ndarray, dt: float | None, asked: Any) -> None:
    """Raise ValueError for sequences, or answers at each moment, that do not fit each other."""
    if dt is not None and not (dt > 0 and x.ndim > 2 and x.shape[1]):
        raise ValueError(
            f"dt is {dt} and x is {list(x.shape)}; dt, above 0 ms, says that x are sequences"
            " [N, T, ...] of 1 moment or more."
        )
    if dt is not None and y.ndim == 3 and y.shape[:2] != x.shape[:2]:
        raise ValueError(
            f"y is {list(y.shape)} and x {list(x.shape)}; answers at each moment are [N, T, C]."
        )
    if asked is not None and (y.ndim != 3 or np.shape(asked) != y.shape[:2]):
        raise ValueError(
            f"asked is {list(np.shape(asked))} and y {list(y.shape)}; asked [N, T] says which"
            " answers of y [N, T, C] count."
        )


def _all_trained(
    labels: np.ndarray, parts: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The parts, where no class lacks training examples.

    All examples of a class without any are moved to the training set, because it could not be
    learned otherwise.

    Raises ValueError if nothing is left for validation or test.
    """
    lacking = np.isin(labels, np.setdiff1d(labels, labels[parts[0]]))
    validation, test = (part[~lacking[part]] for part in parts[1:])
    if not (len(validation) and len(test)):
        raise ValueError(
            f"{lacking.sum()} classes have one example each, which must train, and none is left to"
            " validate or to test; give more examples of each class."
        )
    return np.union1d(parts[0], np.flatnonzero(lacking)), validation, test


def _labels(targets: np.ndarray) -> tuple[np.ndarray, int]:
    """Labels [N] and the number of classes, from labels [N] or one-hot [N, C]."""
    if targets.ndim == 2:
        if targets.shape[1] < 2 or not (
            np.isin(targets, (0, 1)).all() and (targets.sum(1) == 1).all()
        ):
            raise ValueError(
                "y of rank 2 must be one-hot [N, C] with C >= 2: one 1 a row and 0 elsewhere."
                " Labels go in as [N]."
            )
        return targets.argmax(1), targets.shape[1]
    if targets.dtype.kind not in "iu":
        raise ValueError(f"y of rank 1 must be integer labels, got {targets.dtype}.")
    found = np.unique(targets)
    if len(found) < 2 or not np.array_equal(found, np.arange(len(found))):
        raise ValueError(
            f"Labels must use all of 0..C-1 with C >= 2, got {len(found)} different ones from"
            f" {found[0]} to {found[-1]}. Give y one-hot where a class has no example."
        )
    return targets.astype(np.int64), len(found)


def stratified(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of train, validation and test, each ascending.

    They are 70/10/20 % of all examples, and of each class to within one example.

    Systematic sampling: examples are shuffled within each class, the classes are put one after the
    other, and the examples are dealt to ten slots in turn. Slots 2 and 7 are for testing, slot 4 is
    for validation. The shuffle sorts the raw output of PCG64 with seed 0, which NumPy promises
    never to change (NEP 19), unlike that of `Generator`.
    """
    chance = np.random.PCG64(0).random_raw(len(labels))
    slot = np.empty(len(labels), np.int64)
    slot[np.lexsort((chance, labels))] = np.arange(len(labels)) % 10
    test, validation = np.isin(slot, (2, 7)), slot == 4
    return np.flatnonzero(~(test | validation)), np.flatnonzero(validation), np.flatnonzero(test)


def divided(
    name: str,
    x: np.ndarray,
    y: np.ndarray,
    parts: tuple[Any, Any, Any],
    note: str,
    *,
    dt: float | None = None,
    asked: ArrayLike | None = None,
) -> Dataset:
    """The Dataset with parts x[part], y[part]. parts: index arrays or slices for train, validation
    and test. dt, asked: see `Dataset`.
    """
    whole = batch(x, y, None if asked is None else np.asarray(asked, bool))
    train, validation, test = (picked(whole, part) for part in parts)
    return Dataset(name, train, validation, test, note, dt)


def bounds_of(data: Dataset) -> tuple[float, float]:
    """The smallest and the largest input of the validation and test examples.

    To these examples noise is never added.

    All noise on inputs and all radii of attacks are fractions of this range. So inputs in 0..255,
    in [-1, 1] or standardised are disturbed in proportion to the same inputs in [0, 1]. Raises
    ValueError if all inputs are equal.
    """
    inputs = [np.asarray(part.x) for part in (data.validation, data.test) if len(part.x)]
    low, high = min(float(x.min()) for x in inputs), max(float(x.max()) for x in inputs)
    if not low < high:
        raise ValueError(
            f"all inputs of {data.name} are {low:g}, so that they have no range to measure noise"
            " in; give other inputs"
        )
    return low, high


def centred(data: Dataset) -> Dataset:
    """Inputs from [0, 1] to [-1, 1]: 2 x - 1."""
    return data._replace(
        **{
            name: part._replace(x=2 * np.asarray(part.x) - 1)
            for name, part in data._asdict().items()
            if name in PARTS
        }
    )


def batch(
    x: np.ndarray, y: np.ndarray, asked: np.ndarray | None = None, context: Any = ()
) -> Batch:
    """A Batch of numpy arrays. JAX accepts them, and moves them to the device when they are first
    used.
    """
    return Batch(cast(Any, x), cast(Any, y), context, cast(Any, asked))


def picked(of: Batch, which: Any) -> Batch:
    """The examples `which` (indices or a slice) of a Batch, with all that belongs to them."""
    return jax.tree.map(lambda a: np.asarray(a)[which], of)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Labels [N] -> float32 [N, C]."""
    return np.eye(classes, dtype=np.float32)[labels]


def scaled(pixels: np.ndarray, top: int) -> np.ndarray:
    """Pixels 0..top -> float32 in [0, 1], in C order."""
    return np.divide(pixels, top, dtype=np.float32, order="C")


def uniform(n: int, seed: int | tuple[int, ...]) -> np.ndarray:
    """n numbers, uniform in (0, 1).

    They come from the raw output of PCG64, which NumPy promises never to change (NEP 19).
    """
    return ((np.random.PCG64(seed).random_raw(n) >> np.uint64(11)) + 0.5) * 2.0**-53
