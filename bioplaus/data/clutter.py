"""Clutter: images on a larger canvas, alone or beside another one, and where the one asked for is.

A canvas has four quadrants. Each image is enlarged, and lies in a quadrant at a random offset.
"""

import numpy as np

from bioplaus.data.dataset import uniform
from bioplaus.types import Batch

QUADRANTS = 4


def clutter(
    images: Batch, n: int, *, count: int = 2, scale: int = 2, jitter: int = 2, seed: int = 0
) -> Batch:
    """n canvases of `count` images each, 1 or 2, in different quadrants; y is the label of one.

    images: x [N, h, w, C], y one-hot [N, K]. A canvas asks for images 0, 1, ... in turn, so that
    each is asked for equally often; the other is drawn from those of other labels. scale: each
    pixel becomes scale x scale pixels. jitter: offsets in a quadrant are 0 to `jitter` pixels down
    and to the right, each as likely. seed: canvases depend on it and on the arguments alone.

    Returns a Batch: x [n, 2 (scale h + jitter), 2 (scale w + jitter), C] float32, y [n, K], and a
    context of "place": the quadrant of the image asked for, int32 [n], 0 to 3 row by row; with two
    images also "other place" [n], and "other": the label of the other image, one-hot [n, K].
    Raises ValueError for other images, fewer than two labels where there are two, or a count,
    scale, jitter or n out of range.

        digits = bp.data.load("digits")
        alone = bp.data.clutter.clutter(digits.train, 10_000, count=1)
        crowded = bp.data.clutter.clutter(digits.test, 1_000)
    """
    x, y = np.asarray(images.x, np.float32), np.asarray(images.y)
    _check(x, y, n, count, scale, jitter)
    labels = y.argmax(-1)
    asked = np.arange(n) % len(x)
    place = _drawn(n, (seed, 0), QUADRANTS)
    context = {"place": place}
    large = x.repeat(scale, 1).repeat(scale, 2)
    canvas = _placed(large, asked, place, jitter, seed)
    if count == 2:
        other = _of_other_labels(labels, asked, (seed, 1))
        beside = (place + 1 + _drawn(n, (seed, 2), QUADRANTS - 1)) % QUADRANTS
        canvas += _placed(large, other, beside, jitter, seed + 1)
        context |= {"other place": beside.astype(np.int32), "other": y[other]}
    return Batch(canvas, y[asked], context)  # type: ignore[arg-type]


def centres(height: int, width: int) -> np.ndarray:
    """Row and column of the middle of each quadrant of a canvas, in pixels from 0: [4, 2]."""
    rows, columns = (side / 4 - 0.5 + np.array([0, side / 2]) for side in (height, width))
    return np.array([[r, c] for r in rows for c in columns])


def _placed(large, which, place, jitter: int, seed: int) -> np.ndarray:
    """Images large[which] on empty canvases, at their places."""
    h, w = (side + jitter for side in large.shape[1:3])
    down = (place // 2) * h + _drawn(len(which), (seed, 3), jitter + 1)
    right = (place % 2) * w + _drawn(len(which), (seed, 4), jitter + 1)
    canvas = np.zeros((len(which), 2 * h, 2 * w, large.shape[3]), np.float32)
    rows = (down[:, None] + np.arange(h - jitter))[:, :, None]
    columns = (right[:, None] + np.arange(w - jitter))[:, None, :]
    canvas[np.arange(len(which))[:, None, None], rows, columns] = large[which]
    return canvas


def _of_other_labels(labels, asked, seed: tuple[int, ...]) -> np.ndarray:
    """For each image asked for another one, drawn evenly from those of other labels."""
    order = np.argsort(labels, kind="stable")  # all of a label lie together: skip them, then count
    sizes = np.bincount(labels)
    ends, mine = sizes.cumsum(), labels[asked]
    ahead = (uniform(len(asked), seed) * (len(labels) - sizes[mine])).astype(np.int64)
    return order[(ends[mine] + ahead) % len(labels)]


def _drawn(n: int, seed: tuple[int, ...], below: int) -> np.ndarray:
    return (uniform(n, seed) * below).astype(np.int32)


def _check(x, y, n: int, count: int, scale: int, jitter: int) -> None:
    if x.ndim != 4 or y.ndim != 2 or len(x) != len(y) or not len(x):
        raise ValueError(
            f"clutter: got x {list(x.shape)} and y {list(y.shape)}; expected images [N, h, w, C]"
            " and one-hot labels [N, K]"
        )
    wrong = [
        f"{name} = {value}, expected {least} or more"
        for name, value, least in (("n", n, 1), ("scale", scale, 1), ("jitter", jitter, 0))
        if value < least
    ] + ([] if count in (1, 2) else [f"count = {count}, expected 1 or 2"])
    if wrong:
        raise ValueError(f"clutter: got {'; '.join(wrong)}")
    if count == 2 and not (y.argmax(-1) != y[0].argmax()).any():
        raise ValueError(
            "clutter: all images have one label, and the second image of a canvas needs another;"
            " give images of two labels or more"
        )
