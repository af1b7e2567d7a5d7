"""A data set as a sequence of tasks, each one a Batch, for continual learning.

    split      groups of `size` classes, in order: 0-1, 2-3, ...
    permuted   all classes, with the pixels in a different order in each task; unchanged in the
               first task

Three scenarios differ in what the net is told about the task:
    task      its number is given: only the outputs of the task's classes may answer, as
              `Tasks.mask` says
    domain    its number is neither given nor asked for: the tasks share the outputs, and class c of
              a split is output c mod size
    class     its number is not given but must be inferred: all outputs of all tasks compete
Permuted tasks all have the same classes. For them domain is the natural scenario, and it is used in
`task` as well.

van de Ven, Tuytelaars, Tolias, "Three types of incremental learning", 2022,
doi:10.1038/s42256-022-00568-3. Departure: permuted class-incremental learning, with different
outputs for each task, is left out.
"""

from typing import NamedTuple

import numpy as np

from bioplaus.data.dataset import Dataset, batch, one_hot
from bioplaus.types import Batch

SCENARIOS = ("task", "domain", "class")


class Tasks(NamedTuple):
    """train, test: the tasks stacked, x [T, N, ...], y [T, N, C], with the number of the task in
    `context["task"]` [T, N], which no net hears unless something reads it. mask: [T, C], 1 for the
    outputs that may answer in a task.

    N is that of the smallest task; of the others the first N examples in the data set's order are
    used.
    """

    name: str
    train: Batch
    test: Batch
    mask: np.ndarray


def split(data: Dataset, scenario: str, *, size: int = 2) -> Tasks:
    """Tasks of `size` classes each. Raises ValueError for an unknown scenario, if the classes do
    not divide into such tasks, and for answers at each moment.
    """
    _check_classes("split", data)
    classes = data.train.y.shape[1]
    _check(scenario)
    if not 2 <= size < classes or classes % size:
        raise ValueError(
            f"split: {classes} classes do not divide into two or more tasks of {size}; give a"
            " divisor of 2 or more"
        )
    groups = np.arange(classes).reshape(-1, size)
    outputs = size if scenario == "domain" else classes

    def part(b: Batch) -> Batch:
        labels = np.asarray(b.y).argmax(1)
        rows = [np.flatnonzero(np.isin(labels, group)) for group in groups]
        n = min(map(len, rows))
        rows = np.stack([r[:n] for r in rows])
        y = labels[rows] % size if scenario == "domain" else labels[rows]
        return _numbered(np.asarray(b.x)[rows], one_hot(y, outputs))

    allowed = np.zeros((len(groups), outputs), np.float32)
    for t, group in enumerate(groups):
        allowed[t, group % size if scenario == "domain" else group] = 1
    mask = allowed if scenario == "task" else np.ones_like(allowed)
    return Tasks(
        f"split {data.name}, {scenario}-incremental", part(data.train), part(data.test), mask
    )


def permuted(data: Dataset, tasks: int, *, examples: int | None = None) -> Tasks:
    """`tasks` tasks of permuted pixels, domain-incremental. examples: number in each task, None for
    all.

    All tasks are in memory at once: 10 tasks of MNIST's 55,000 examples take 1.7 GB. Raises
    ValueError for fewer than two tasks, and for answers at each moment.
    """
    _check_classes("permuted", data)
    if tasks < 2:
        raise ValueError(f"permuted: got {tasks} tasks, expected 2 or more")
    pixels = data.train.x[0].size
    orders = [np.arange(pixels)] + [
        np.argsort(np.random.PCG64(t).random_raw(pixels)) for t in range(1, tasks)
    ]

    def part(b: Batch) -> Batch:
        x, y = np.asarray(b.x)[:examples], np.asarray(b.y)[:examples]
        flat = x.reshape(len(x), -1)
        shuffled = np.stack([flat[:, o].reshape(x.shape) for o in orders])
        return _numbered(shuffled, np.stack([y] * tasks))

    mask = np.ones((tasks, data.train.y.shape[1]), np.float32)
    return Tasks(
        f"permuted {data.name}, domain-incremental", part(data.train), part(data.test), mask
    )


def _numbered(x: np.ndarray, y: np.ndarray) -> Batch:
    """Tasks x [T, N, ...], y [T, N, C], with their numbers."""
    numbers = np.broadcast_to(np.arange(len(x), dtype=np.int32)[:, None], x.shape[:2])
    return batch(x, y, context={"task": np.ascontiguousarray(numbers)})


def _check_classes(where: str, data: Dataset) -> None:
    if data.train.y.ndim != 2:
        raise ValueError(
            f"{where}: {data.name} has answers at each moment, y {list(data.train.y.shape)};"
            " expected a class for each example, [N, C]"
        )


def _check(scenario: str) -> None:
    if scenario not in SCENARIOS:
        raise ValueError(
            f"split: there is no scenario {scenario!r}; expected one of {', '.join(SCENARIOS)}"
        )
