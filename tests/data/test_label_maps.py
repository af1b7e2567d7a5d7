"""Digits in contexts that decide their labels."""

import numpy as np
import pytest

import bioplaus as bp
from bioplaus.data import load
from bioplaus.data.label_maps import in_contexts
from bioplaus.data.noisy import with_noise

DIGITS, DATA = load("digits"), load("digits-in-contexts")


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_context_moves_every_label_by_its_number(part):
    plain, found = getattr(DIGITS, part), getattr(DATA, part)
    n, labels = len(plain.x), np.asarray(plain.y).argmax(1)
    assert len(found.x) == 3 * n
    for j in range(3):
        rows = slice(j, None, 3)
        np.testing.assert_array_equal(found.x[rows], plain.x)
        np.testing.assert_array_equal(np.asarray(found.y)[rows].argmax(1), (labels + j) % 10)
        np.testing.assert_array_equal(found.context["task"][rows], j)
        np.testing.assert_array_equal(found.context["cue"][rows], np.eye(3)[[j] * n])


def test_without_the_context_no_answer_is_right_more_than_once_in_three():
    """The best answer to an image, over all answers, is right in one of its contexts."""
    y = np.asarray(DATA.test.y).reshape(-1, 3, 10)
    assert y.mean(1).max() == pytest.approx(1 / 3)
    assert DATA.name == "digits-in-contexts"


def test_wrong_labels_keep_their_contexts():
    noisy, flipped = with_noise(DATA, symmetric=0.5)
    wrong = (np.asarray(noisy.train.y) != np.asarray(DATA.train.y)).any(1)
    np.testing.assert_array_equal(flipped.context["task"], DATA.train.context["task"][wrong])
    assert 0.4 < wrong.mean() < 0.6
    few, _ = with_noise(DATA, fraction=0.1)
    rows = few.train.context["task"]
    assert len(rows) == len(few.train.x) < 400
    assert set(rows.tolist()) == {0, 1, 2}


def test_wrong_numbers_of_contexts_are_refused():
    for contexts in (1, 11):
        with pytest.raises(ValueError, match="of 10 classes; give 2 to 10"):
            in_contexts(DIGITS, contexts)
    assert in_contexts(DIGITS, 10).train.context["cue"].shape[1] == 10
    moments = bp.data.own(np.zeros((10, 4, 2)), np.zeros((10, 4, 3)), dt=1.0)
    with pytest.raises(ValueError, match="has answers at each moment"):
        in_contexts(moments)
