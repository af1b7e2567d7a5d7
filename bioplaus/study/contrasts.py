"""Comparisons that were planned: named in the study file before it ran. They alone carry p-values,
corrected for how many they are.

    [[contrast]]
    a = "dfa"                 # an arm, as the report names it
    b = "fa"
    metric = "accuracy"       # or ece, nll, brier, aurc, mCE_BP, relative mCE_BP; or a curve, such
        as lesion: the area under it

Arms are paired by seed, which fixes the initial weights and the order of the data. The p-value is
of the paired t test, Holm's correction is over all contrasts of the study; P(a > b) is the
probability of improvement, with a paired bootstrap interval.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from bioplaus.measure.aggregate import bootstrap, probability_of_improvement
from bioplaus.measure.statistics import FREE, SHARE, holm, nauc, paired_interval, paired_p
from bioplaus.study.arm import Label
from bioplaus.study.results import Row
from bioplaus.study.settings import Arm, StudyError
from bioplaus.study.spec import nearest
from bioplaus.study.tables import ContrastSpec

CLEAN = ("accuracy", "ece", "nll", "brier", "aurc")
ERRORS = ("mCE_BP", "relative mCE_BP")
# of other metrics: SHARE
BOUNDS = {"nll": FREE, "brier": (0.0, 2.0), **dict.fromkeys(ERRORS, FREE)}


def check_contrasts(contrasts: Sequence[ContrastSpec], arms: dict[str, Arm]) -> None:
    """Raise StudyError for a contrast of arms or metrics that the study does not have. arms: by the
    names that reports use.
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
                f"contrast[{i}]: is contrast[{same[0]}] over again, {c.a!r} and {c.b!r} by"
                f" {c.metric}: it would be counted twice in the correction of p-values; leave"
                " one out"
            )


def contrasted(
    contrasts: Sequence[ContrastSpec],
    names: dict[str, Label],
    rows: Sequence[Row],
    lost: dict[str, Any],
) -> list[dict[str, Any]]:
    """One entry a contrast, for summary.json. lost: arm -> its seeds that diverged, which are left
    out.
    """
    found = []
    for c in contrasts:
        a, b = (_values(names[x], c.metric, rows, lost[x]) for x in (c.a, c.b))
        seeds = [s for s in a if s in b]
        x, y = np.array([a[s] for s in seeds]), np.array([b[s] for s in seeds])
        interval = paired_interval(x, y, bounds=BOUNDS.get(c.metric, SHARE))
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
    calibrated = CLEAN if arm.loss == "cross_entropy" and arm.robustness else CLEAN[:1]
    curves = [name.replace("_", " ") for name in arm.curves] if arm.robustness else []
    return [*calibrated, *(ERRORS if arm.corruptions != "none" else ()), *curves]


def _values(
    label: Label, metric: str, rows: Sequence[Row], lost: Sequence[int]
) -> dict[str, float]:
    """seed -> the metric; of a curve its area, a mean accuracy."""
    own = [r for r in rows if r[:5] == label]
    condition = "all corruptions" if metric in ERRORS else "clean"
    found = {r.seed: r.value for r in own if (r.measure, r.condition) == (metric, condition)}
    if metric not in (*CLEAN, *ERRORS):
        points: dict[str, dict[float, float]] = {}
        for r in own:
            kind, _, severity = r.condition.partition("=")
            if (r.measure, kind) == ("accuracy", metric):
                points.setdefault(r.seed, {})[float(severity)] = r.value
        found = {seed: float(nauc(list(p), list(p.values()))) for seed, p in points.items()}
    return {seed: math.nan if int(seed) in lost else v for seed, v in found.items()}


def _number(value: Any) -> float | None:
    return None if math.isnan(value) else float(value)
