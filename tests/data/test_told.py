"""What experiments/continual.py tells the tasks of their number, and that gating follows it."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from bioplaus.data import load
from bioplaus.data.tasks import split

ROOT = Path(__file__).parents[2]
TOLD = runpy.run_path(str(ROOT / "experiments" / "continual.py"))["told"]
TASKS = split(load("digits"), "task")


@pytest.mark.parametrize(
    ("how", "train", "test"),
    [
        ("right", [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]),
        ("one", [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]),
        ("wrong", [0, 1, 2, 3, 4], [1, 2, 3, 4, 0]),
    ],
)
def test_told(how, train, test):
    found = TOLD(TASKS, how)
    for part, before, numbers in (
        (found.train, TASKS.train, train),
        (found.test, TASKS.test, test),
    ):
        task = np.asarray(part.context["task"])
        assert task.shape == before.x.shape[:2]
        np.testing.assert_array_equal(task, np.array(numbers)[:, None] * np.ones_like(task))
        np.testing.assert_array_equal(part.x, before.x)
        np.testing.assert_array_equal(part.y, before.y)
