"""What was found of an arm after training, and the files in its folder that hold it."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from bioplaus.files import broken, replacing, seal
from bioplaus.record import Row, read_rows, write_rows

FINAL = ("final.csv", "final.json")  # rows and warnings of an arm that is trained and measured
FINAL_SUMS = "final.sums.json"


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
    return Final(
        read_rows(folder / FINAL[0]), json.loads((folder / FINAL[1]).read_text(encoding="utf-8"))
    ), ""
