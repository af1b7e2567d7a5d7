"""Rows of results, one number each, and the file that holds them, results.csv."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bioplaus.files import replacing
from bioplaus.record.conditions import Condition, parse
from bioplaus.record.labels import Label
from bioplaus.record.measures import Measure

RESULTS = ("results.csv", "summary.json", "timing.json")
"""The files of a finished run that its report is made from."""

RESULTS_SUMS = "results.sums.json"
"""The file with their checksums, see `bioplaus.files.seal`."""


class Row(NamedTuple):
    """One number.

    seed: '' for a number that does not depend on the seed. condition: as text, see
    `bioplaus.record.conditions`.
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

    @classmethod
    def of(
        cls, label: Label, seed: int | str, condition: Condition, measure: Measure, value: Any
    ) -> "Row":
        """A row of an arm, in the unit of the measure. value: anything that float() accepts."""
        return cls(*label, str(seed), str(condition), measure.key, float(value), measure.unit)

    @classmethod
    def read(cls, cells: Mapping[str, Any]) -> "Row":
        """A row from a line of results.csv. Raises ValueError if the value is not a number.

        cells: column -> text.
        """
        found = ["" if cells[column] is None else str(cells[column]) for column in cls._fields]
        return cls(*found)._replace(value=float(cells["value"]))  # type: ignore[arg-type]

    @property
    def label(self) -> Label:
        return Label(self.data, self.net, self.rule, self.neuron, self.modulator)

    @property
    def where(self) -> Condition:
        """The condition, parsed."""
        return parse(self.condition)


def by_label(rows: Iterable[Row]) -> dict[Label, list[Row]]:
    """The rows of each arm, in order."""
    found: dict[Label, list[Row]] = {}
    for row in rows:
        found.setdefault(row.label, []).append(row)
    return found


PARTS = ("step", "layer", "severity")
"""Fields of the condition that also have a column each, after the others.

A column is empty if the condition does not have that field.
"""

COLUMNS = (*Row._fields, *PARTS)
"""The columns of results.csv."""


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as CSV, atomically. Values keep all digits: equal runs give equal files."""
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(COLUMNS)
        for row in rows:
            parts = (getattr(row.where, name) for name in PARTS)
            out.writerow(
                [
                    *row._replace(value=repr(row.value)),
                    *("" if p is None else f"{p:.15g}" for p in parts),
                ]
            )  # type: ignore


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a file that `write_rows` wrote.

    The columns `PARTS`, which files of older versions lack, are not read: the condition holds the
    same. Raises ValueError if another column is missing, or if a value is not a number.
    """
    with path.open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        if missing := [column for column in Row._fields if column not in (table.fieldnames or ())]:
            raise ValueError(f"{path}: lacks the columns {missing}; expected {list(Row._fields)}")
        return [Row.read(cells) for cells in table]
