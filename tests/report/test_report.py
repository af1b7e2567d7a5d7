"""The page as a whole, and what becomes of it where a run lacks something."""

import csv
import json
import re
from io import StringIO

import pytest
from pages import Page, row
from report_oracles import write_run
from rich.console import Console

from bioplaus.files import seal
from bioplaus.record import RESULTS, RESULTS_SUMS
from bioplaus.report import report, table
from bioplaus.report.page import render
from bioplaus.report.read import read_run

pytestmark = pytest.mark.thorough


def test_every_section_and_well_formed(page):
    ids = Page(page).ids
    for section in (
        "result",
        "learning",
        "alignment",
        "representations",
        "robustness",
        "energy",
        "together",
        "plausibility",
        "method",
        "warnings",
    ):
        assert section in ids
        assert f'href="#{section}"' in page
    assert page.count("<figure") == 7
    assert len(ids) == len(set(ids))  # figures do not clash


def test_the_page_is_the_same_to_the_byte(full, page):
    assert report(full).read_text(encoding="utf-8") == page
    run = read_run(full)
    text, without = render(run, {}), render(run._replace(timing={}), {})
    assert " s in total" in text
    # wall-clock is in that one place
    assert re.sub(r"<dt>Duration</dt><dd>.*?</dd>", "", text) == without


def test_the_page_loads_nothing_external(page):
    found = Page(page)
    assert not found.tags & {"script", "link", "iframe", "img", "object", "embed", "image"}
    references = [
        v for k, v in found.attributes if k in ("src", "href", "xlink:href", "srcset", "data")
    ]
    assert references
    assert all(v.startswith("#") for v in references)
    assert not re.search(r"@import|url\((?!#)", page)
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_everything_is_escaped(tmp_path, rows, summary):
    bad = "<script>alert(1)</script>"
    names = {"fa": bad, "frozen": "$x$ _y"}
    other = {"data": "a & b", "net": '"><img src=x>'}
    rows = [r._replace(rule=names.get(r.rule, r.rule), **other) for r in rows]
    arms = [a | other | {"rule": names.get(a["rule"], a["rule"])} for a in summary["arms"]]
    summary = summary | {
        "name": bad,
        "data_note": bad,
        "warnings": [bad],
        "attack": bad,
        "version": bad,
        "study": {bad: bad},
        "arms": [a | {"label": a["rule"], "card": [[bad, bad]]} for a in arms],
        "energy_ranks": [{"a": bad, "b": "bp", "r": 1}],
    }
    text = report(write_run(tmp_path / "run", rows, summary, {"arms": {bad: 1.0}})).read_text(
        encoding="utf-8"
    )
    assert "<script" not in text
    assert "<img" not in text
    assert text.count("&lt;script&gt;") > 10  # shown, not dropped
    assert not Page(text).tags & {"script", "img"}
    assert "$x$ _y" in text


def test_absent_parts(tmp_path, rows):
    rows = [
        r
        for r in rows
        if (r.rule, r.measure, r.condition, r.seed) == ("bp", "accuracy", "clean", "0")
    ]
    text = report(write_run(tmp_path / "one", rows)).read_text(encoding="utf-8")
    ids = Page(text).ids
    assert "result" in ids
    assert not {"learning", "alignment", "robustness", "energy", "together", "plausibility"} & set(
        ids
    )
    assert "<figure" not in text
    assert row(text, "bp")[1] == f"{100 * rows[0].value:.1f} one seed"
    assert "Only 1 seed" in text
    assert "nan" not in text.lower().replace("dominant", "")


@pytest.mark.parametrize(
    "keep",
    [
        lambda r: r.measure != "accuracy" or "=" not in r.condition,  # no robustness
        # no PGD beside its controls
        lambda r: r.condition.partition("=")[0] in ("transfer", "random sign", "clean"),
        lambda r: r.measure.startswith("energy") or r.measure == "macs",  # no accuracy
        lambda r: r.condition == "training",
        lambda r: False,
    ],
)
def test_any_part_may_be_missing(tmp_path, rows, summary, keep):
    rows = [r for r in rows if keep(r)]
    Page(report(write_run(tmp_path / "part", rows, summary)).read_text(encoding="utf-8"))
    table(rows)


def test_no_results(tmp_path):
    with pytest.raises(ValueError, match=r"no results\.csv .*bioplaus run"):
        report(tmp_path)
    for name, text in zip(RESULTS, ("data,net\n", "{}", "{}"), strict=True):
        (tmp_path / name).write_text(text, encoding="utf-8")
    seal(tmp_path / RESULTS_SUMS, RESULTS)
    with pytest.raises(ValueError, match="lacks the columns"):
        report(tmp_path)


def test_a_folder_with_old_columns_gives_the_same_page(full, tmp_path):
    """Columns were added after `unit`."""
    for name in RESULTS[1:]:
        (tmp_path / name).write_bytes((full / name).read_bytes())
    lines = list(csv.reader((full / RESULTS[0]).read_text(encoding="utf-8").splitlines()))
    with (tmp_path / RESULTS[0]).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(line[:10] for line in lines)
    seal(tmp_path / RESULTS_SUMS, RESULTS)
    assert lines[0][9:] == ["unit", "step", "layer", "severity"]
    assert render(read_run(tmp_path), {}) == render(read_run(full), {})


def test_terminal_says_the_same(full, page):
    with (full / "results.csv").open(encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    rows.append(
        rows[0]
        | {
            "rule": "fa",
            "seed": "1",
            "condition": "training",
            "measure": "diverged at",
            "value": "7",
        }
    )
    about = json.loads((full / "summary.json").read_text(encoding="utf-8"))
    console = Console(width=200, record=True, file=StringIO())
    console.print(table(rows, about))
    text = console.export_text()
    for label in ("bp", "frozen"):
        line = next(line for line in text.splitlines() if line.split()[:1] == [label])
        for cell in row(page, label)[1:]:
            assert cell in line
    assert "1 of 2 seeds diverged" in text
    assert max(map(len, text.splitlines())) <= 120
    # a name is not markup
    console.print(table([r | {"rule": "[red]x[/red"} for r in rows if r["rule"] == "bp"]))
    assert "[red]x[/red" in console.export_text()
