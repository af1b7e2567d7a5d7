"""A folder that was damaged, cut or lost a file since the run wrote it: no report is made of it."""

import re
import shutil

import pytest

from bioplaus.files import seal
from bioplaus.report import report
from bioplaus.report.headline import headlines
from bioplaus.report.read import collect

pytestmark = pytest.mark.thorough


def test_a_folder_that_is_not_as_the_run_wrote_it_is_refused(full, tmp_path):
    """A results folder that was changed or damaged after the run is refused.

    Half a table would hold a shortened arm name, and without the summary chance would count as 0.
    """
    csv_text = (full / "results.csv").read_text(encoding="utf-8")
    lines = csv_text.splitlines(keepends=True)
    half, digit = "".join(lines[: len(lines) // 2]), csv_text.replace(",fraction,", ",Fraction,", 1)
    wanted = f"it has {len(lines) // 2:,} lines, and had {len(lines):,}"
    for name, text, match in (
        ("results.csv", half, f"results.csv has changed since it was written: {wanted}"),
        ("results.csv", csv_text[: len(csv_text) // 2], "results.csv has changed"),
        ("results.csv", digit, "results.csv has changed"),
        ("summary.json", None, "summary.json cannot be read"),
        ("summary.json", "[]", "summary.json has changed"),
        ("timing.json", "{", "timing.json has changed"),
        ("results.sums.json", None, "results.sums.json cannot be read"),
        (
            "results.sums.json",
            "{}",
            "there are checksums of no file, expected those of results.csv, summary.json",
        ),
        ("results.sums.json", "[", "results.sums.json is damaged"),
        (
            "results.sums.json",
            '{"results.csv": 1, "summary.json": 2, "timing.json": 3}',
            "results.sums.json is damaged",
        ),
    ):
        folder = shutil.copytree(full, tmp_path / "run", dirs_exist_ok=True)
        (folder / name).unlink() if text is None else (folder / name).write_text(
            text, encoding="utf-8"
        )
        with pytest.raises(ValueError, match=f"{re.escape(match)}.*--resume"):
            report(folder)
    folder = shutil.copytree(full, tmp_path / "other")
    (folder / "summary.json").write_text("[1]", encoding="utf-8")
    # as if a program had written it so
    seal(folder / "results.sums.json", ("results.csv", "summary.json", "timing.json"))
    with pytest.raises(ValueError, match=r"summary\.json holds a list, expected a JSON object"):
        report(folder)


def test_without_chance_no_retention_is_reported(rows):
    known, zero, unknown = (
        headlines(collect(rows, summary))[0].retention
        for summary in ({"chance": 0.1}, {"chance": 0.0}, {})
    )
    assert known is not None
    assert zero is not None
    assert known.mean != zero.mean
    assert unknown is None
