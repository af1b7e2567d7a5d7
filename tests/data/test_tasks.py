"""Oracle: the definitions, on the embedded digits."""

import numpy as np
import pytest

from bioplaus.data import load
from bioplaus.data.tasks import permuted, split

DIGITS = load("digits")
LABELS = np.asarray(DIGITS.train.y).argmax(1)


@pytest.mark.parametrize("scenario", ["task", "domain", "class"])
def test_split(scenario):
    tasks = split(DIGITS, scenario)
    counts = [np.isin(LABELS, (2 * t, 2 * t + 1)).sum() for t in range(5)]
    assert tasks.train.x.shape == (5, min(counts), 8, 8, 1)
    assert tasks.train.y.shape[-1] == tasks.mask.shape[-1] == (2 if scenario == "domain" else 10)
    for t in range(5):
        rows = np.flatnonzero(np.isin(LABELS, (2 * t, 2 * t + 1)))[: min(counts)]
        np.testing.assert_array_equal(tasks.train.x[t], DIGITS.train.x[rows])
        y = np.asarray(tasks.train.y[t]).argmax(1)
        np.testing.assert_array_equal(y, LABELS[rows] % 2 if scenario == "domain" else LABELS[rows])
        np.testing.assert_array_equal(tasks.train.context["task"][t], np.full(min(counts), t))
        open_ = set(np.flatnonzero(tasks.mask[t]))
        assert open_ == (
            {2 * t, 2 * t + 1} if scenario == "task" else set(range(tasks.mask.shape[-1]))
        )


def test_permuted():
    tasks = permuted(DIGITS, 3, examples=20)
    assert tasks.train.x.shape == (3, 20, 8, 8, 1)
    np.testing.assert_array_equal(tasks.train.x[0], DIGITS.train.x[:20])
    flat = np.asarray(tasks.train.x).reshape(3, 20, 64)
    for t in (1, 2):
        np.testing.assert_array_equal(np.sort(flat[t]), np.sort(flat[0]))
        assert (flat[t] != flat[0]).any()
        np.testing.assert_array_equal(tasks.train.y[t], DIGITS.train.y[:20])
    assert (flat[1] != flat[2]).any()
    for part in (tasks.train, tasks.test):
        np.testing.assert_array_equal(
            part.context["task"], np.arange(3)[:, None] * np.ones((3, 20))
        )
    order = np.argsort(np.random.PCG64(1).random_raw(64))
    np.testing.assert_array_equal(
        np.asarray(tasks.test.x[1]).reshape(20, 64),
        np.asarray(DIGITS.test.x[:20]).reshape(20, 64)[:, order],
    )


def test_refuses():
    with pytest.raises(ValueError, match="no scenario 'tasks'"):
        split(DIGITS, "tasks")
    for size in (1, 3, 10):
        with pytest.raises(ValueError, match="divide"):
            split(DIGITS, "class", size=size)
    with pytest.raises(ValueError, match="2 or more"):
        permuted(DIGITS, 1)
