"""The measures of an arm after training, and the files in its folder that hold them."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from bioplaus.files import broken, replacing, seal
from bioplaus.record import Row, read_rows, write_rows

FINAL = ("final.csv", "final.json")  # rows, and warnings, of an arm that is finished
FINAL_SUMS = "final.sums.json"


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


class Final(NamedTuple):
    """The measures of an arm after training, as rows, and its warnings."""

    rows: list[Row]
    warnings: list[str]


def write_final(folder: Path, final: Final) -> None:
    """Write the measures of an arm into its folder. The file of checksums marks it as finished."""
    write_rows(folder / FINAL[0], final.rows)
    write_json(folder / FINAL[1], final.warnings)
    seal(folder / FINAL_SUMS, FINAL)


def finished(folder: Path) -> bool:
    """Whether an arm is trained and measured, and its files are unchanged since."""
    return not broken(folder / FINAL_SUMS, FINAL)


def read_final(folder: Path) -> tuple[Final | None, str]:
    """(what `write_final` wrote, '').

    (None, '') if the arm is not finished, and (None, reason) if its files are damaged.
    """
    if not (folder / FINAL_SUMS).exists():
        return None, ""
    if why := broken(folder / FINAL_SUMS, FINAL):
        return None, why
    return Final(
        read_rows(folder / FINAL[0]), json.loads((folder / FINAL[1]).read_text(encoding="utf-8"))
    ), ""
