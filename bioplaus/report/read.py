"""A finished run, read back: rows of results.csv, indexed, and what is counted as a seed.

A folder holds results.csv (see `bioplaus.record`), summary.json, timing.json, and
results.sums.json, by which damage to them is noticed. A seed that diverged is left out of every
mean, whatever it still wrote, and is named wherever its arm is.
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
"""What is left of a condition with one field, without it."""

Seeds = dict[str, float]
"""seed -> value; '' for what has no seed (energy, MACs)."""


class SeedInterval(NamedTuple):
    """A mean over n seeds with its 95 % interval; low and high are NaN for n < 2, all three for n =
    0.
    """

    mean: float
    low: float
    high: float
    n: int


class ReportedArm(NamedTuple):
    """What was compared. label: its name on the page. diverged: seeds. about: its entry in
    summary.json, or {}.
    """

    label: str
    columns: Label
    diverged: tuple[str, ...]
    about: dict[str, Any]

    @property
    def baseline(self) -> bool:
        return self.columns.key == FROZEN


class Run(NamedTuple):
    """values[label, key of a measure][condition] -> seed -> value, finite and of seeds that did not
    diverge; all in file order.
    """

    arms: tuple[ReportedArm, ...]
    seeds: tuple[str, ...]
    values: dict[tuple[str, str], dict[Condition, Seeds]]
    summary: dict[str, Any]
    timing: dict[str, Any]


def read_run(folder: str | Path) -> Run:
    """The run in a folder. Raises ValueError where a file of it is missing, lacks a column or is
    not as the run wrote it.
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
            f"report: {folder}: {wrong}; without these files as the run wrote them, its numbers"
            f" would be wrong or incomplete. Run the study again with --out {folder} --resume: that"
            " writes them anew, from its arms"
        )
    return collect(read_rows(file), _json(folder / RESULTS[1]), _json(folder / RESULTS[2]))


def collect(
    rows: Iterable[Row],
    summary: dict[str, Any] | None = None,
    timing: dict[str, Any] | None = None,
) -> Run:
    """A run from its rows. Arms are called what the summary calls them, or after the columns that
    vary.
    """
    summary, rows_of = summary or {}, by_label(rows)
    about = {Label(*(str(a.get(c, "")) for c in Label._fields)): a for a in summary.get("arms", ())}
    arms, values = [], {}
    for columns, name in zip(rows_of, short_names(list(rows_of)), strict=True):
        said, own = about.get(columns, {}), rows_of[columns]
        lost = [
            *map(str, said.get("diverged", ())),
            *(r.seed for r in own if r.measure == DIVERGED.key),
        ]
        arms.append(
            ReportedArm(str(said.get("label") or name), columns, tuple(dict.fromkeys(lost)), said)
        )
        for r in own:
            if r.measure != DIVERGED.key and math.isfinite(r.value):
                seeds = values.setdefault((arms[-1].label, r.measure), {}).setdefault(r.where, {})
                seeds |= {} if r.seed in lost else {r.seed: r.value}
    seeds = tuple(dict.fromkeys(r.seed for own in rows_of.values() for r in own if r.seed))
    return Run(tuple(arms), seeds, values, summary, timing or {})


def seeds_of(run: Run, arm: ReportedArm, measure: Measure, condition: Condition) -> Seeds:
    """seed -> value; {} where nothing was measured."""
    return run.values.get((arm.label, measure.key), {}).get(condition, {})


def curve(
    run: Run, arm: ReportedArm, measure: Measure, axis: str, of: Condition = BARE
) -> dict[float, Seeds]:
    """x -> seed -> value over the conditions that are `of` but for their field `axis`, which is x;
    sorted by x.
    """
    points = {}
    for condition, seeds in run.values.get((arm.label, measure.key), {}).items():
        x = getattr(condition, axis)
        if seeds and x is not None and condition._replace(**{axis: None}) == of:
            points[float(x)] = seeds
    return dict(sorted(points.items()))


def conditions(run: Run, measure: Measure) -> list[Condition]:
    """The conditions of a measure, over all arms, in order of appearance."""
    return list(
        dict.fromkeys(
            c for (_, key), found in run.values.items() if key == measure.key for c in found
        )
    )


def levels(run: Run, measure: Measure, field: str) -> list[Any]:
    """The values of a field of the conditions of a measure, over all arms, in order of
    appearance.
    """
    found = dict.fromkeys(getattr(c, field) for c in conditions(run, measure))
    return [x for x in found if x is not None]


def interval(
    values: Iterable[float], bounds: tuple[float, float] = statistics.FREE
) -> SeedInterval:
    """Mean and 95 % interval of `bioplaus.measure.statistics.interval`, over the values that are
    numbers.
    """
    x = [v for v in values if math.isfinite(v)]
    if not x:
        return SeedInterval(math.nan, math.nan, math.nan, 0)
    found = statistics.interval(x, bounds=bounds)
    return SeedInterval(float(found.mean), float(found.low), float(found.high), len(x))


def number(value: Any) -> float:
    """A float, NaN for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _json(file: Path) -> dict[str, Any]:
    found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(
            f"report: {file} holds a {type(found).__name__}, expected a JSON object; write the"
            " folder anew with --resume"
        )
    return found
