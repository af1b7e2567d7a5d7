"""Canvases of digits: what is where, against canvases put together by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus.data import load
from bioplaus.data.clutter import centres, clutter
from bioplaus.types import Batch

DIGITS = load("digits").validation
N = 720


@pytest.fixture(scope="module")
def crowded():
    return clutter(DIGITS, N, seed=3)


def piece(canvas, quadrant):
    """A quadrant of a canvas [36, 36]."""
    r, c = divmod(int(quadrant), 2)
    return canvas[18 * r : 18 * (r + 1), 18 * c : 18 * (c + 1)]


def lies_in(quadrant, digit):
    """Whether the digit lies at some offset in the quadrant, and nothing else does."""
    large = digit.repeat(2, 0).repeat(2, 1)
    offsets = ((i, j) for i in range(3) for j in range(3))
    return any(
        np.array_equal(np.pad(large, ((i, 2 - i), (j, 2 - j))), quadrant) for i, j in offsets
    )


def test_each_canvas_holds_the_digit_asked_for_and_another(crowded):
    assert crowded.x.shape == (N, 36, 36, 1)
    context = crowded.context
    assert not (crowded.y * context["other"]).any()
    images, labels = np.asarray(DIGITS.x)[..., 0], np.asarray(DIGITS.y).argmax(1)
    for i in range(0, N, 67):
        canvas, asked = crowded.x[i, ..., 0], i % len(images)
        own, other = context["place"][i], context["other place"][i]
        assert own != other
        assert lies_in(piece(canvas, own), images[asked])
        assert not lies_in(piece(canvas, other), images[asked])
        found = [j for j in range(len(images)) if lies_in(piece(canvas, other), images[j])]
        assert context["other"][i].argmax() in labels[found]
        assert crowded.y[i].argmax() == labels[asked] != context["other"][i].argmax()
        assert all(not piece(canvas, q).any() for q in range(4) if q not in (own, other))


def test_all_offsets_occur_as_often_as_chance_says():
    """A square without empty sides shows where it lies: in quadrants of 5, at 0, 1 or 2."""
    squares = Batch(jnp.ones((4, 3, 3, 1)), jnp.eye(4))
    canvases = np.asarray(clutter(squares, N, count=1, scale=1, jitter=2).x)[..., 0]
    for axis in (1, 2):
        first = (canvases.max(3 - axis) > 0).argmax(1) % 5
        counts = np.bincount(first, minlength=3)
        assert len(counts) == 3
        assert np.abs(counts - N / 3).max() < 4 * np.sqrt(N * 2 / 9)


def test_one_digit_is_alone():
    alone = clutter(DIGITS, 40, count=1, scale=1, jitter=0)
    assert alone.x.shape == (40, 16, 16, 1)
    assert alone.context.keys() == {"place"}
    for i, (canvas, place) in enumerate(zip(alone.x, alone.context["place"], strict=True)):
        r, c = divmod(int(place), 2)
        np.testing.assert_array_equal(canvas[8 * r : 8 * r + 8, 8 * c : 8 * c + 8], DIGITS.x[i])
        assert canvas.sum() == np.asarray(DIGITS.x)[i].sum()


def test_all_places_and_labels_occur_as_often_as_chance_says(crowded):
    own, other = crowded.context["place"], crowded.context["other place"]
    for counts, p in (
        (np.bincount(own, minlength=4), 1 / 4),
        (np.bincount(other, minlength=4), 1 / 4),
        (np.bincount((other - own) % 4, minlength=4)[1:], 1 / 3),
        (crowded.context["other"].sum(0), 1 / 10),
    ):
        assert np.abs(counts - N * p).max() < 4 * np.sqrt(N * p * (1 - p))


def test_canvases_depend_on_the_seed_alone(crowded):
    again, another = clutter(DIGITS, N, seed=3), clutter(DIGITS, N, seed=4)
    jax.tree.map(np.testing.assert_array_equal, crowded, again)
    assert (another.context["place"] != crowded.context["place"]).mean() > 0.5


def test_centres_are_the_middles_of_quadrants():
    np.testing.assert_array_equal(
        centres(36, 20), [[8.5, 4.5], [8.5, 14.5], [26.5, 4.5], [26.5, 14.5]]
    )


def own(shape, y):
    return Batch(jnp.zeros(shape), jnp.asarray(y))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"n": 0}, "n = 0, expected 1 or more"),
        ({"count": 3}, "count = 3, expected 1 or 2"),
        ({"scale": 0, "jitter": -1}, "scale = 0, expected 1 or more; jitter = -1"),
        ({"images": own((4, 8), np.eye(4))}, r"x \[4, 8\] and y \[4, 4\]; expected"),
        ({"images": own((2, 8, 8, 1), np.eye(2)[[1, 1]])}, "one label"),
    ],
)
def test_bad_input_is_told_in_one_line(given, said):
    with pytest.raises(ValueError, match=said) as error:
        clutter(**{"images": DIGITS, "n": 5, **given})
    assert "\n" not in str(error.value)
