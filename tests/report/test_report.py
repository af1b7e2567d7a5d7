import csv
import json
import re
from html.parser import HTMLParser
from io import StringIO

import pytest
from report_oracles import by_numpy, of
from rich.console import Console

from bioplaus.report import report, table
from bioplaus.report.page import render
from bioplaus.report.run import collect, read_run

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Checks that tags close in order; keeps text, ids and tables' rows."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tags, self.rows, self.cell, self.attributes = (
            [],
            [],
            set(),
            [],
            None,
            [],
        )
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.ids += [v for k, v in attrs if k == "id"]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.cell = ""
        if tag == "small" and self.cell is not None:
            self.cell += " "

    def handle_startendtag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.ids += [v for k, v in attrs if k == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self.rows[-1].append(self.cell)
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data


@pytest.fixture(scope="module")
def page(full):
    return report(full).read_text(encoding="utf-8")


def row(text, label):
    """Cells of the first row with that label: the headline table's."""
    return next(r for r in Page(text).rows if r[0].split()[:1] == [label])


def shown(x, sign=""):
    m, low, high = (f"{100 * v:{sign}.1f}".replace("-", "−") for v in x)
    return f"{m} [{low}, {high}]"


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
    assert page.count("<figure") == 8
    assert len(ids) == len(set(ids))  # figures do not clash


def test_same_bytes_again(full, page):
    assert report(full).read_text(encoding="utf-8") == page
    run = read_run(full)
    text, without = render(run, {}), render(run._replace(timing={}), {})
    assert "312 s in all" in text
    # wall-clock is in that one place
    assert re.sub(r"<dt>Duration</dt><dd>.*?</dd>", "", text) == without


def test_nothing_from_elsewhere(page):
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


@pytest.mark.parametrize("rule", ["bp", "np", "frozen"])
def test_accuracy_equals_another_computation(page, rows, rule):
    clean = of(rows, rule, "accuracy", "clean")
    if rule == "np":
        assert clean.pop(3) < 0.1  # diverged: written, and left out
        assert shown(by_numpy([*clean.values(), 0.098])) not in page
    assert row(page, rule)[1] == shown(by_numpy(list(clean.values())))


def test_difference_is_paired(page, rows):
    a, b = of(rows, "kp", "accuracy", "clean"), of(rows, "frozen", "accuracy", "clean")
    expected = shown(by_numpy([a[s] - b[s] for s in a]), "+")
    assert row(page, "kp")[2] == expected
    shuffled = by_numpy([a[s] - b[(s + 1) % 5] for s in a])
    assert shown(shuffled, "+") != expected
    assert row(page, "frozen")[2] == "–"
    assert "Not shown to beat the baseline: np<" in page


def test_energy_orders_only_where_robust(page):
    assert "dfa needs less energy than bp (R = 0.97)" in page
    # 0.999 is not rounded up
    assert "bp needs less energy than pc (R = 1.00) and ep (R = 0.99)" in page
    assert "fa needs less energy" not in page.replace("dfa", "")  # 0.949 is not 0.95
    assert "2 pairs left open" in page
    assert row(page, "bp")[5] == "12.3 µJ [6.8, 22]"
    assert row(page, "bp")[4] == "1.60 M"


def test_energy_on_every_profile_and_what_learning_changed(tmp_path, make):
    """A column a profile, which says what it has no price for; means over seeds, energy to an
    accuracy over those that got there.
    """
    rows = make.rows(("bp", "fa"), (0, 1), 1)

    def add(rule, seed, condition, measure, value):
        rows.append(
            rows[0]
            | {
                "rule": rule,
                "seed": seed,
                "condition": condition,
                "measure": measure,
                "value": value,
                "unit": "",
            }
        )

    rows = [r for r in rows if not (r["rule"] == "bp" and r["condition"].startswith("loihi1"))]
    for part, joule in (("op", 2e-9), ("memory", 1e-9), ("total", 3e-9)):
        for q, factor in (("median", 1), ("p05", 0.5), ("p95", 2)):
            add("fa", "", f"loihi1 {q}", f"energy {part}", joule * factor)
    for seed, m in ((0, 100.0), (1, 300.0)):
        add("fa", seed, "training", "M-energy", m)
        add("fa", seed, "training", "inefficiency", m / 50)
    add("fa", 0, "accuracy=0.9", "energy to accuracy", 4e-3)
    add("fa", 1, "accuracy=0.9", "energy short of accuracy", 9e-3)
    add("bp", 0, "accuracy=0.9", "energy short of accuracy", 8e-3)
    summary = make.summary(rows) | {
        "energy_profiles": {"horowitz45": "45 nm", "loihi1": "a chip"},
        "energy_clocked": ["horowitz45"],
        "energy_unpriced": {"loihi1": ["synapse_updates"]},
    }
    found = Page(
        text := report(make.write(tmp_path / "run", rows, summary)).read_text(encoding="utf-8")
    )
    assert [r[1:] for r in found.rows if r[0] == "J / sample"] == [
        ["horowitz45"],
        ["loihi1 in part"],
    ]
    assert ["fa", "12.3 µJ [6.8, 22] 7.36 µJ + 4.96 µJ"] in found.rows
    assert ["fa", "3.00 nJ [1.5, 6] 2.00 nJ + 1.00 nJ"] in found.rows
    assert ["bp", "–"] in found.rows
    assert ["fa", "200", "4.00", "4.00 mJ 90 %, 1 of 2 seeds"] in found.rows
    assert ["bp", "–", "–", "more than 8.00 mJ 90 %, 0 of 1 seed"] in found.rows
    assert "loihi1 is without synapse updates" in text
    assert "in the profile where it is smallest" in text
    many = {
        "energy_profiles": {f"p{i}": "" for i in range(12)},
        "energy_clocked": [f"p{i}" for i in range(7)],
    }
    blocks = [r for r in Page(render(collect(rows, many), {})).rows if r[0] == "J / sample"]
    assert [len(r) - 1 for r in blocks] == [4, 3, 5]  # they fit on paper


def test_likeness_equals_another_computation(page, rows):
    """Layers at the same depth; backprop's row is between its seeds, and has no interval; ep has
    none, and is named.
    """
    table = page[page.index('id="representations"') : page.index('id="robustness"')]
    found = {
        r[0].split()[0]: r[1:]
        for r in Page(table[table.index("<div") : table.index("</div>") + 6]).rows
        if r[0]
    }
    expected = by_numpy(list(of(rows, "fa", "cka to backprop", "layer=2 twin layer=2").values()))
    assert found["fa"][1] == "{:.2f} [{:.2f}, {:.2f}]".format(*expected)
    other = by_numpy(list(of(rows, "fa", "rsa to backprop", "layer=1 twin layer=2").values()))
    assert "{:.2f} [{:.2f}, {:.2f}]".format(*other) not in found["fa"]
    between = of(rows, "bp", "rsa between seeds", "layer=1 twin layer=1")
    assert found["bp"][2] == f"{by_numpy(list(between.values()))[0]:.2f} "
    assert set(found) == {"bp", "fa", "kp", "usf", "dfa", "np", "pc", "frozen"}
    assert "Left out: ep (" in table


def test_everything_is_escaped(tmp_path, make):
    bad = "<script>alert(1)</script>"
    rows = [
        r | {"data": "a & b", "net": '"><img src=x>'}
        for r in make.rows(("bp", bad, "$x$ _y"), range(2), 1)
    ]
    summary = make.summary(rows) | {
        "name": bad,
        "data_note": bad,
        "warnings": [bad],
        "attack": bad,
        "version": bad,
        "study": {bad: bad},
    }
    summary["arms"] = [
        a | {"net": '"><img src=x>', "data": "a & b", "card": [[bad, bad]]} for a in summary["arms"]
    ]
    summary["energy_ranks"] = [{"a": bad, "b": "bp", "r": 1}]
    text = report(make.write(tmp_path / "run", rows, summary, {"arms": {bad: 1.0}})).read_text(
        encoding="utf-8"
    )
    assert "<script" not in text
    assert "<img" not in text
    assert text.count("&lt;script&gt;") > 10  # shown, not dropped
    assert not Page(text).tags & {"script", "img"}
    assert "$x$ _y" in text


def test_absent_parts(tmp_path, make):
    rows = [
        r
        for r in make.rows(("bp",), (0,), 1)
        if r["measure"] == "accuracy" and r["condition"] == "clean"
    ]
    text = report(make.write(tmp_path / "one", rows)).read_text(encoding="utf-8")
    ids = Page(text).ids
    assert "result" in ids
    assert not {"learning", "alignment", "robustness", "energy", "together", "plausibility"} & set(
        ids
    )
    assert "<figure" not in text
    assert row(text, "bp")[1] == f"{100 * float(rows[0]['value']):.1f} one seed"
    assert "Only 1 seed" in text
    assert "nan" not in text.lower().replace("dominant", "")


@pytest.mark.parametrize(
    "keep",
    [
        lambda r: r["measure"] != "accuracy" or "=" not in r["condition"],  # no robustness
        # no PGD beside its controls
        lambda r: r["condition"].partition("=")[0] in ("transfer", "random sign", "clean"),
        lambda r: r["measure"].startswith("energy") or r["measure"] == "macs",  # no accuracy
        lambda r: r["condition"] == "training",  # every seed diverged
        lambda r: False,
    ],
)
def test_any_part_may_be_missing(tmp_path, make, keep):
    rows = [r for r in make.rows(("bp", "np", "frozen"), (2, 3), 1) if keep(r)]
    Page(
        report(make.write(tmp_path / "part", rows, make.summary(rows))).read_text(encoding="utf-8")
    )
    table(rows)


def test_nan_is_not_a_number(make):
    rows = make.rows(("bp", "frozen"), range(4), 1)
    for r in rows:
        if r["rule"] == "bp" and r["seed"] == 1:
            r["value"] = "nan"
    text = render(collect(rows), {})
    rest = [v for s, v in of(rows, "bp", "accuracy", "clean").items() if s != 1]
    assert row(text, "bp")[1] == shown(by_numpy(rest))
    assert "no clean accuracy for seed 1" in text
    assert "nan" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S).lower()


def test_all_seeds_diverged(make):
    rows = make.rows(("bp", "frozen"), range(2), 1)
    rows += [
        r | {"measure": "diverged at", "condition": "training", "value": 7}
        for r in rows
        if r["condition"] == "clean" and r["rule"] == "bp"
    ]
    text = render(collect(rows, {"chance": 0.1}), {})
    assert row(text, "bp")[:3] == ["bp 2 of 2 seeds diverged", "–", "–"]


def test_no_results(tmp_path):
    with pytest.raises(ValueError, match=r"no results\.csv .*bioplaus run"):
        report(tmp_path)
    (tmp_path / "results.csv").write_text("data,net\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks the columns"):
        report(tmp_path)


def test_terminal_says_the_same(full, page):
    with (full / "results.csv").open(encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    console = Console(width=200, record=True, file=StringIO())
    console.print(table(rows, json.loads((full / "summary.json").read_text(encoding="utf-8"))))
    text = console.export_text()
    for label in ("bp", "np", "ep"):
        line = next(line for line in text.splitlines() if line.split()[:1] == [label])
        for cell in row(page, label)[1:]:
            assert cell in line
    assert "1 of 5 seeds diverged" in text
    assert max(map(len, text.splitlines())) <= 120
    # a name is not markup
    console.print(table([r | {"rule": "[red]x[/red"} for r in rows if r["rule"] == "bp"]))
    assert "[red]x[/red" in console.export_text()


def test_no_accuracy_is_said_to_lie_beyond_its_bounds(rows):
    """98 and 100 %: 99 -+ 12.7 points would end at 111.7 %."""
    given = {
        ("bp", "0"): 0.98,
        ("bp", "1"): 1.0,
        ("fa", "0"): 0.0,
        ("fa", "1"): 0.02,
        ("frozen", "0"): 0.05,
        ("frozen", "1"): 0.95,
    }
    few = [
        r | {"value": given[key]}
        for r in rows
        if r["condition"] == "clean" and (key := (r["rule"], str(r["seed"]))) in given
    ]
    text = render(collect(few), {})
    assert row(text, "bp")[1:3] == ["99.0 [86.3, 100.0]", "+49.0 [−100.0, +100.0]"]
    assert row(text, "fa")[1] == "1.0 [0.0, 13.7]"
    assert "moved to the measure's bound" in text
