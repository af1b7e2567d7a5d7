"""Results: tidy rows, one number each, and the files that hold them."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from bioplaus.files import broken, replacing, seal

FINAL = ("final.csv", "final.json")  # rows and warnings of an arm that is trained and measured
FINAL_SUMS = "final.sums.json"
RESULTS_SUMS = "results.sums.json"
RESULTS = ("results.csv", "summary.json", "timing.json")  # of a study


class Row(NamedTuple):
    """One number. seed is '' for what does not depend on it; condition says under what the measure
    was taken.
    """

    data: str
    net: str
    rule: str
    neuron: str
    modulator: str
    seed: str
    condition: str
    measure: str
    value: float
    unit: str


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV, whole or not at all. Values keep all their digits, so that equal runs give
    equal files.
    """
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(Row._fields)
        out.writerows(row._replace(value=repr(float(row.value))) for row in rows)  # type: ignore[arg-type]


def read_rows(path: Path) -> list[Row]:
    """Read what `write_rows` wrote. Raises ValueError if the columns are others."""
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.reader(file)
        if (head := next(table, None)) != list(Row._fields):
            raise ValueError(f"{path}: the columns are {head}, expected {list(Row._fields)}")
        return [Row(*r[:8], float(r[8]), r[9]) for r in table]  # type: ignore[arg-type]


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


class Final(NamedTuple):
    """What was found of an arm after training: rows, and warnings."""

    rows: list[Row]
    said: list[str]


def write_final(folder: Path, final: Final) -> None:
    """Write what was found of an arm into its folder. It is finished once the sums are there."""
    write_rows(folder / FINAL[0], final.rows)
    write_json(folder / FINAL[1], final.said)
    seal(folder / FINAL_SUMS, FINAL)


def finished(folder: Path) -> bool:
    """Whether an arm is trained and measured, and what was found of it is as it was written."""
    return not broken(folder / FINAL_SUMS, FINAL)


def read_final(folder: Path) -> tuple[Final | None, str]:
    """What `write_final` wrote, and ''. None if there is nothing, or if it is not to be trusted,
    and then why.
    """
    if not (folder / FINAL_SUMS).exists():
        return None, ""
    if why := broken(folder / FINAL_SUMS, FINAL):
        return None, why
    return (
        Final(
            read_rows(folder / FINAL[0]),
            json.loads((folder / FINAL[1]).read_text(encoding="utf-8")),
        ),
        "",
    )
