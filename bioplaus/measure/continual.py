"""Continual learning: summaries of the matrix of accuracies. On the host, in float64.

R[i, j]: accuracy on task j after training on tasks 1..i; b[j]: at the random start; T: tasks.

    ACC            mean_j R[T, j]
    BWT            1/(T-1) sum_{j<T} (R[T, j] - R[j, j])            negative: forgetting
    FWT            1/(T-1) sum_{j>1} (R[j-1, j] - b[j])
    forgetting     1/(T-1) sum_{j<T} max_{i<T} (R[i, j] - R[T, j])
    plasticity     mean_j R[j, j]
    intransigence  mean_j (joint[j] - R[j, j])    joint[j]: after training on all tasks at once

ACC, BWT, FWT: Lopez-Paz, Ranzato, "Gradient Episodic Memory for Continual Learning", 2017,
arXiv:1706.08840. Their released code divides by T where the paper has T - 1; we follow the paper.
Forgetting: Chaudhry, Dokania, Ajanthan, Torr, "Riemannian Walk for Incremental Learning", 2018,
arXiv:1801.10112, in the form of public implementations; some report R[j, j] - R[T, j] instead,
which is -BWT. Departure: intransigence compares with training on all tasks at once, theirs with
tasks 1..j.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Continual(NamedTuple):
    """Fractions. intransigence is NaN without a joint training to compare with."""

    acc: float
    bwt: float
    fwt: float
    forgetting: float
    plasticity: float
    intransigence: float


def continual(r: ArrayLike, start: ArrayLike, joint: ArrayLike | None = None) -> Continual:
    """All summaries, from R [T, T], the accuracies b [T] at the start, and joint [T].

    Raises ValueError if the shapes do not fit, or for fewer than two tasks.
    """
    r, start = np.asarray(r, np.float64), np.asarray(start, np.float64)
    t = len(start)
    if r.shape != (t, t) or t < 2 or (joint is not None and np.shape(joint) != (t,)):
        raise ValueError(
            f"continual: got R {r.shape} and {start.shape} at the start; give [T, T] and [T] of two"
            " tasks or more"
        )
    learned, last = np.diag(r), r[-1]
    return Continual(
        acc=float(last.mean()),
        bwt=float((last - learned)[:-1].mean()),
        fwt=float((np.diag(r, 1) - start[1:]).mean()),
        forgetting=float((r[:-1, :-1].max(0) - last[:-1]).mean()),
        plasticity=float(learned.mean()),
        intransigence=(
            float("nan")
            if joint is None
            else float((np.asarray(joint, np.float64) - learned).mean())
        ),
    )
