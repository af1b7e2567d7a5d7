"""Planned contrasts: comparisons of two arms that the study file names before the run.

    [[contrast]]
    a = "dfa"                 # an arm, as the report names it
    b = "fa"
    metric = "accuracy"       # or ece, nll, brier, aurc, mCE_BP, relative mCE_BP, or a curve

Only planned contrasts get p-values. The metric of a curve, such as `lesion`, is the area under it.
Arms are paired by seed, which fixes the initial weights and the order of the data. The p-value is
that of the paired t test, with Holm's correction over all contrasts of the study. P(a > b) is the
probability of improvement, with a paired bootstrap interval.
"""

import math
from collections.abc import Container, Sequence
from typing import Any

import numpy as np

from bioplaus.measure.aggregate import bootstrap, probability_of_improvement
from bioplaus.measure.statistics import holm, nauc, paired_interval, paired_p
from bioplaus.record import (
    ALL_CORRUPTIONS,
    CLEAN,
    MEASURES,
    Label,
    Row,
    by_label,
    measures_of,
    paired,
)
from bioplaus.record.conditions import in_words
from bioplaus.record.measures import ACCURACY
from bioplaus.study.settings import Arm, StudyError
from bioplaus.study.spec import nearest
from bioplaus.study.tables import ContrastSpec


def check_contrasts(contrasts: Sequence[ContrastSpec], arms: dict[str, Arm]) -> None:
    """Raise StudyError for contrasts of unknown arms or metrics, and for repeated ones.

    arms: by the names that reports use.
    """
    for i, c in enumerate(contrasts):
        for side, name in (("a", c.a), ("b", c.b)):
            if name not in arms:
                raise StudyError(
                    f"contrast[{i}].{side}: there is no arm {name!r}{nearest(name, arms)}"
                )
            known = _metrics(arms[name])
            if c.metric not in known:
                raise StudyError(
                    f"contrast[{i}].metric: {name} has no {c.metric!r}{nearest(c.metric, known)}"
                )
        if c.a == c.b:
            raise StudyError(f"contrast[{i}]: compares {c.a!r} with itself; give two arms")
        same = [
            j
            for j in range(i)
            if {contrasts[j].a, contrasts[j].b} == {c.a, c.b} and contrasts[j].metric == c.metric
        ]
        if same:
            raise StudyError(
                f"contrast[{i}]: repeats contrast[{same[0]}], {c.a!r} and {c.b!r} by {c.metric}:"
                " the correction of p-values would count it twice; leave one out"
            )


def contrasted(
    contrasts: Sequence[ContrastSpec],
    names: dict[str, Label],
    rows: Sequence[Row],
    lost: dict[str, Any],
) -> list[dict[str, Any]]:
    """One entry per contrast, for summary.json.

    names: name of an arm -> its label. lost: name of an arm -> its seeds that diverged, which are
    left out.
    """
    found, of = [], by_label(rows)
    for c in contrasts:
        x, y = paired(*(_values(of[names[arm]], c.metric, lost[arm]) for arm in (c.a, c.b)))
        # a metric that is the area under a curve has the bounds of an accuracy
        interval = paired_interval(x, y, bounds=MEASURES.get(c.metric, ACCURACY).bounds)
        entry: dict[str, Any] = {"a": c.a, "b": c.b, "metric": c.metric, "n": int(interval.n)}
        entry |= {k: _number(getattr(interval, k)) for k in ("mean", "low", "high")} | {
            "p": _number(paired_p(x, y))
        }
        both = np.isfinite(x) & np.isfinite(y)
        if both.sum() > 1:
            better = bootstrap(
                probability_of_improvement, x[both, None], y[both, None], repetitions=10_000
            )
            entry |= {
                "improvement": better.value,
                "improvement_low": better.low,
                "improvement_high": better.high,
            }
        found.append(entry)
    corrected = holm([math.nan if e["p"] is None else e["p"] for e in found])
    return [e | {"p_holm": _number(p)} for e, p in zip(found, corrected, strict=True)]


def _metrics(arm: Arm) -> list[str]:
    measures = [ACCURACY]
    measures += measures_of("calibration") if arm.loss == "cross_entropy" and arm.robustness else []
    measures += measures_of("corruption") if arm.corruptions != "none" else []
    return [
        *(m.key for m in measures),
        *(in_words(name) for name in (arm.curves if arm.robustness else ())),
    ]


def _values(rows: Sequence[Row], metric: str, lost: Container[int]) -> dict[str, float]:
    """seed -> value of the metric, for the rows of one arm.

    The value of a curve is the normalised area under it, which is a mean accuracy.
    """
    if metric in MEASURES:
        where = ALL_CORRUPTIONS if MEASURES[metric].table == "corruption" else CLEAN
        found = {r.seed: r.value for r in rows if (r.measure, r.where) == (metric, where)}
    else:
        points: dict[str, dict[float, float]] = {}
        for r in rows:
            if (
                r.measure == ACCURACY.key
                and r.where.name == metric
                and r.where.severity is not None
            ):
                points.setdefault(r.seed, {})[r.where.severity] = r.value
        found = {seed: float(nauc(list(p), list(p.values()))) for seed, p in points.items()}
    return {seed: math.nan if int(seed) in lost else v for seed, v in found.items()}


def _number(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)
