"""A finished run, read back: rows of results.csv, indexed, and what is counted as a seed.

A folder holds results.csv (tidy, `COLUMNS`), summary.json, timing.json, and results.sums.json, by
which damage to them is noticed. A seed that diverged is left out of every mean, whatever it still
wrote, and is named wherever its arm is.
"""

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bioplaus.files import broken
from bioplaus.measure import statistics

COLUMNS = (
    "data",
    "net",
    "rule",
    "neuron",
    "modulator",
    "seed",
    "condition",
    "measure",
    "value",
    "unit",
)
ARM_COLUMNS = ("rule", "net", "neuron", "modulator", "data")  # the order of a label's parts
BASELINE = "frozen"

Seeds = dict[str, float]
"""seed -> value; '' for what has no seed (energy, MACs)."""


class Interval(NamedTuple):
    """A mean over n seeds with its 95 % interval; low and high are NaN for n < 2, all three for n =
    0.
    """

    mean: float
    low: float
    high: float
    n: int


class Arm(NamedTuple):
    """What was compared: one combination of rule, net, neuron, modulator and data. about: its entry
    in summary.json, or {}.
    """

    label: str
    columns: dict[str, str]
    diverged: tuple[str, ...]  # seeds
    about: dict[str, Any]

    @property
    def baseline(self) -> bool:
        # further settings may follow the name
        return self.columns["rule"].split(" ")[0] == BASELINE


class Run(NamedTuple):
    """values[label, measure][condition] -> seed -> value, finite and of seeds that did not diverge;
    everything in file order.
    """

    arms: tuple[Arm, ...]
    seeds: tuple[str, ...]
    values: dict[tuple[str, str], dict[str, Seeds]]
    summary: dict[str, Any]
    timing: dict[str, Any]


def read_run(folder: str | Path) -> Run:
    """The run in a folder. Raises ValueError where a file of it is missing, lacks a column or is
    not as the run wrote it.
    """
    folder = Path(folder)
    file = folder / "results.csv"
    if not file.is_file():
        raise ValueError(
            f"report: no results.csv in {folder}; give the folder of a finished run (make one:"
            " `bioplaus run study.toml`)"
        )
    with file.open(newline="", encoding="utf-8") as f:
        reader = csv.DictReader(f)
        missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(
                f"report: {file} lacks the columns {missing}; it must have {list(COLUMNS)}"
            )
        rows = list(reader)
    if wrong := broken(
        folder / "results.sums.json", ("results.csv", "summary.json", "timing.json")
    ):
        raise ValueError(
            f"report: {folder}: {wrong}; without these files as the run wrote them, its numbers"
            f" would be wrong or incomplete. Run the study again with --out {folder} --resume: that"
            " writes them anew, from its arms"
        )
    return collect(rows, _json(folder / "summary.json"), _json(folder / "timing.json"))


def collect(
    rows: Iterable[Mapping[str, Any]],
    summary: dict[str, Any] | None = None,
    timing: dict[str, Any] | None = None,
) -> Run:
    """A run from rows with the keys `COLUMNS`. Labels are those of the summary, or are made of the
    columns that vary.
    """
    rows, summary = list(rows), summary or {}
    keys = list(dict.fromkeys(tuple(str(r[c]) for c in ARM_COLUMNS) for r in rows))
    varying = [i for i in range(len(ARM_COLUMNS)) if len({k[i] for k in keys}) > 1]
    about = {tuple(str(a.get(c, "")) for c in ARM_COLUMNS): a for a in summary.get("arms", ())}
    labels = {
        k: str(about.get(k, {}).get("label") or " · ".join(k[i] for i in varying if k[i]) or k[0])
        for k in keys
    }

    diverged: dict[str, dict[str, None]] = {}
    values: dict[tuple[str, str], dict[str, Seeds]] = {}
    for k in keys:
        diverged[labels[k]] = {str(s): None for s in about.get(k, {}).get("diverged", ())}
    for r in rows:
        label, seed, value = (
            labels[tuple(str(r[c]) for c in ARM_COLUMNS)],
            _text(r["seed"]),
            number(r["value"]),
        )
        if r["measure"] == "diverged at":
            diverged[label][seed] = None
        elif math.isfinite(value):
            values.setdefault((label, str(r["measure"])), {}).setdefault(str(r["condition"]), {})[
                seed
            ] = value
    for (label, _), conditions in values.items():
        for seeds in conditions.values():
            for seed in diverged[label]:
                seeds.pop(seed, None)
    arms = tuple(
        Arm(
            labels[k],
            dict(zip(ARM_COLUMNS, k, strict=True)),
            tuple(diverged[labels[k]]),
            about.get(k, {}),
        )
        for k in keys
    )
    seeds = tuple(dict.fromkeys(_text(r["seed"]) for r in rows if _text(r["seed"])))
    return Run(arms, seeds, values, summary, timing or {})


def seeds_of(run: Run, arm: Arm, measure: str, condition: str) -> Seeds:
    """seed -> value; {} where nothing was measured."""
    return run.values.get((arm.label, measure), {}).get(condition, {})


def curve(run: Run, arm: Arm, measure: str, axis: str, **fixed: str) -> dict[float, Seeds]:
    """x -> seed -> value over the conditions `axis=x`, sorted by x, with the other parts as fixed:
    `step=100 layer=1`.
    """
    points = {}
    for condition, seeds in run.values.get((arm.label, measure), {}).items():
        parts = parse(condition)
        x = number(parts.pop(axis, None))
        if seeds and math.isfinite(x) and parts == fixed:
            points[x] = seeds
    return dict(sorted(points.items()))


def levels(run: Run, measure: str, axis: str) -> list[str]:
    """The values of `axis` in the conditions of a measure, over all arms, in order of
    appearance.
    """
    found = [
        parse(c).get(axis)
        for (_, m), conditions in run.values.items()
        if m == measure
        for c in conditions
    ]
    return [x for x in dict.fromkeys(found) if x is not None]


def parse(condition: str) -> dict[str, str]:
    """'step=100 layer=1' -> {'step': '100', 'layer': '1'};
    'input noise=0.1' -> {'input noise': '0.1'};  'clean' -> {}.
    """
    return {k.strip(): v for k, v in re.findall(r"([^=]+)=(\S+)", condition)}


def interval(values: Iterable[float], bounds: tuple[float, float] = statistics.FREE) -> Interval:
    """Mean and 95 % interval of `bioplaus.measure.statistics.interval`, over the values that are
    numbers.
    """
    x = [v for v in values if math.isfinite(v)]
    if not x:
        return Interval(math.nan, math.nan, math.nan, 0)
    found = statistics.interval(x, bounds=bounds)
    return Interval(float(found.mean), float(found.low), float(found.high), len(x))


def number(value: Any) -> float:
    """A float, NaN for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _text(seed: Any) -> str:
    return "" if seed is None else str(seed)


def _json(file: Path) -> dict[str, Any]:
    found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(
            f"report: {file} holds a {type(found).__name__}, expected a JSON object; write the"
            " folder anew with --resume"
        )
    return found
