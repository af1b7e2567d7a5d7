"""Reads a finished run, and gives access to its numbers by arm, measure and condition.

The folder of a run holds results.csv (see `bioplaus.record`), summary.json, timing.json, and
results.sums.json, whose checksums reveal damage to the others. A seed that diverged is left out of
every mean, and the report says so beside its arm.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from bioplaus.files import broken
from bioplaus.measure import statistics
from bioplaus.record import (
    FROZEN,
    RESULTS,
    RESULTS_SUMS,
    Condition,
    Label,
    Measure,
    Row,
    by_label,
    read_rows,
    short_names,
)
from bioplaus.record.measures import DIVERGED

BARE = Condition()
"""The condition without any field."""

Seeds = dict[str, float]
"""Seed -> value. The key is '' for numbers that do not depend on a seed, such as MACs."""


class SeedInterval(NamedTuple):
    """The mean over n seeds and its 95 % interval.

    low and high are NaN for n < 2, and so is the mean for n = 0.
    """

    mean: float
    low: float
    high: float
    n: int


class ReportedArm(NamedTuple):
    """An arm of the run.

    label: its name in the report. columns: its label in results.csv. diverged: its seeds that
    diverged. about: its entry in summary.json, or {}.
    """

    label: str
    columns: Label
    diverged: tuple[str, ...]
    about: dict[str, Any]

    @property
    def baseline(self) -> bool:
        return self.columns.key == FROZEN


class Run(NamedTuple):
    """A finished run.

    values: (name of an arm, key of a measure) -> condition -> seed -> value, in the order of the
    file; without values that are not finite, and without seeds that diverged.
    """

    arms: tuple[ReportedArm, ...]
    seeds: tuple[str, ...]
    values: dict[tuple[str, str], dict[Condition, Seeds]]
    summary: dict[str, Any]
    timing: dict[str, Any]


def read_run(folder: str | Path) -> Run:
    """Read the run in a folder.

    Raises ValueError if a file is missing, lacks a column, or has changed since the run wrote it.
    """
    folder = Path(folder)
    file = folder / RESULTS[0]
    if not file.is_file():
        raise ValueError(
            f"report: no results.csv in {folder}; give the folder of a finished run (make one:"
            " `bioplaus run study.toml`)"
        )
    if wrong := broken(folder / RESULTS_SUMS, RESULTS):
        raise ValueError(
            f"report: {folder}: {wrong}; a report from these files could be wrong or incomplete."
            f" Run the study again with --out {folder} --resume: that writes them anew, from the"
            " files of its arms"
        )
    return collect(read_rows(file), _json(folder / RESULTS[1]), _json(folder / RESULTS[2]))


def collect(
    rows: Iterable[Row],
    summary: dict[str, Any] | None = None,
    timing: dict[str, Any] | None = None,
) -> Run:
    """A run from its rows. Names of arms are those of the summary, or else `record.short_names`."""
    summary, rows_of = summary or {}, by_label(rows)
    about = {Label(*(str(a.get(c, "")) for c in Label._fields)): a for a in summary.get("arms", ())}
    arms, values = [], {}
    for columns, name in zip(rows_of, short_names(list(rows_of)), strict=True):
        entry, of_arm = about.get(columns, {}), rows_of[columns]
        lost = [
            *map(str, entry.get("diverged", ())),
            *(r.seed for r in of_arm if r.measure == DIVERGED.key),
        ]
        title = str(entry.get("label") or name)
        arms.append(ReportedArm(title, columns, tuple(dict.fromkeys(lost)), entry))
        for r in of_arm:
            if r.measure != DIVERGED.key and math.isfinite(r.value):
                seeds = values.setdefault((arms[-1].label, r.measure), {}).setdefault(r.where, {})
                seeds |= {} if r.seed in lost else {r.seed: r.value}
    seeds = tuple(dict.fromkeys(r.seed for of_arm in rows_of.values() for r in of_arm if r.seed))
    return Run(tuple(arms), seeds, values, summary, timing or {})


def seeds_of(run: Run, arm: ReportedArm, measure: Measure, condition: Condition) -> Seeds:
    """Seed -> value of a measure of an arm; {} if it was not measured."""
    return run.values.get((arm.label, measure.key), {}).get(condition, {})


def curve(
    run: Run, arm: ReportedArm, measure: Measure, axis: str, of: Condition = BARE
) -> dict[float, Seeds]:
    """x -> seed -> value of a measure, sorted by x, where x is a field of the condition.

    axis: the name of that field. of: the other fields of the condition.
    """
    points = {}
    for condition, seeds in run.values.get((arm.label, measure.key), {}).items():
        x = getattr(condition, axis)
        if seeds and x is not None and condition._replace(**{axis: None}) == of:
            points[float(x)] = seeds
    return dict(sorted(points.items()))


def conditions(run: Run, measure: Measure) -> list[Condition]:
    """All conditions under which a measure was taken, in order of appearance."""
    return list(
        dict.fromkeys(
            c for (_, key), found in run.values.items() if key == measure.key for c in found
        )
    )


def levels(run: Run, measure: Measure, field: str) -> list[Any]:
    """All values of one field of the conditions of a measure, in order of appearance."""
    found = dict.fromkeys(getattr(c, field) for c in conditions(run, measure))
    return [x for x in found if x is not None]


def interval(
    values: Iterable[float], bounds: tuple[float, float] = statistics.FREE
) -> SeedInterval:
    """The mean and 95 % interval of the finite values, by `measure.statistics.interval`."""
    x = [v for v in values if math.isfinite(v)]
    if not x:
        return SeedInterval(math.nan, math.nan, math.nan, 0)
    found = statistics.interval(x, bounds=bounds)
    return SeedInterval(float(found.mean), float(found.low), float(found.high), len(x))


def number(value: Any) -> float:
    """The value as a float; NaN if it is not a number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _json(file: Path) -> dict[str, Any]:
    found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(
            f"report: {file} holds a {type(found).__name__}, expected a JSON object; run the study"
            " again with --resume to write it anew"
        )
    return found
