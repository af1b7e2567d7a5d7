"""Results: tidy rows, one number each, and the files that hold them."""

import csv
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One number. seed is '' for what does not depend on it; condition says under what the measure was taken."""

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
    """Write rows as CSV, whole or not at all. Values keep all their digits, so that equal runs give equal files."""
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


PART = ".part"  # how the names of files end that are not whole yet


class replacing:
    """A path to write to, which becomes `path` if all went well: a reader never sees half a file, nor does another writer."""

    def __init__(self, path: Path):
        self.path, self.part = path, path.with_name(f"{path.name}.{platform.node()}-{os.getpid()}{PART}")

    def __enter__(self) -> Path:
        return self.part

    def __exit__(self, kind, *rest) -> None:
        del rest
        if kind is None:
            os.replace(self.part, self.path)
        else:
            self.part.unlink(missing_ok=True)
