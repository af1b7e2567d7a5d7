"""Numbers in the tables of the page: each equals another computation from the rows."""

import re

import pytest
from pages import Page, bounded, row, shown
from report_oracles import by_numpy, changed, of

from bioplaus.record import MEASURES, Measure
from bioplaus.record.measures import PERCENT
from bioplaus.report.page import render
from bioplaus.report.read import collect

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("rule", ["bp", "fa", "frozen"])
def test_accuracy_equals_another_computation(page, rows, rule):
    assert row(page, rule)[1] == shown(
        bounded(by_numpy(list(of(rows, rule, "accuracy", "clean").values())))
    )


def test_a_seed_that_diverged_is_left_out(rows):
    """It is named, whatever it still wrote. fa's accuracy at the other seed stands alone."""
    first = next(r for r in rows if r.rule == "fa")
    lost = first._replace(
        seed="1", condition="training", measure="diverged at", value=7.0, unit="step"
    )
    text = render(collect([*rows, lost], {}), {})
    assert row(text, "fa")[:2] == [
        "fa 1 of 2 seeds diverged",
        f"{100 * of(rows, 'fa', 'accuracy', 'clean')['0']:.1f} one seed",
    ]
    text = render(collect([*rows, lost, lost._replace(seed="0")], {"chance": 0.1}), {})
    assert row(text, "fa")[:3] == ["fa 2 of 2 seeds diverged", "–", "–"]


def test_difference_is_paired(page, rows):
    values = {("fa", "accuracy", "clean", "0"): 0.5, ("fa", "accuracy", "clean", "1"): 0.7}
    values |= {
        ("frozen", "accuracy", "clean", "0"): 0.4,
        ("frozen", "accuracy", "clean", "1"): 0.61,
    }
    text = render(collect(changed(rows, values)), {})
    assert row(text, "fa")[2] == shown(by_numpy([0.1, 0.09]), "+")
    assert shown(by_numpy([0.5 - 0.61, 0.7 - 0.4]), "+") != row(text, "fa")[2]
    assert row(text, "frozen")[2] == "–"
    a, b = of(rows, "bp", "accuracy", "clean"), of(rows, "frozen", "accuracy", "clean")
    found = bounded(by_numpy([a[s] - b[s] for s in a]), -1.0)
    assert row(page, "bp")[2] == shown(found, "+")
    assert ("Not shown to beat the baseline: bp" in page) == (found[1] <= 0)


def test_energy_orders_only_where_robust(rows, summary):
    ranks = [
        ("bp", "fa", 0.999),
        ("bp", "frozen", 0.949),
        ("fa", "bp", 0.0),
        ("fa", "frozen", 0.97),
        ("frozen", "bp", 0.5),
    ]
    text = render(
        collect(rows, summary | {"energy_ranks": [{"a": a, "b": b, "r": r} for a, b, r in ranks]}),
        {},
    )
    assert "bp needs less energy than fa (R = 0.99)" in text  # 0.999 is not rounded up
    assert "fa needs less energy than frozen (R = 0.97)" in text
    assert "frozen (R = 0.94)" not in text  # 0.949 is not 0.95
    assert "1 pair left open" in text


def test_energy_on_every_profile_and_what_learning_changed(rows, summary):
    """The energy table has one column per profile, which names what it has no price for.

    Values are means over seeds; energy to an accuracy is a mean over the seeds that reached it.
    """
    values = {}
    for part, joule in (("op", 2e-9), ("memory", 1e-9), ("total", 3e-9)):
        for q, factor in (("median", 1), ("p05", 0.5), ("p95", 2)):
            values["fa", f"energy {part}", f"loihi1 {q}", ""] = joule * factor
            values["fa", f"energy {part}", q, ""] = 4096 * joule * factor
    for seed, m in (("0", 100.0), ("1", 300.0)):
        values["fa", "M-energy", "training", seed] = m
        values["fa", "inefficiency", "training", seed] = m / 50
        values["fa", "synaptic updates", "training", seed] = 10 * m
        values["bp", "energy short of accuracy", "accuracy=0.9", seed] = 8e-3
    other = changed(
        [r for r in rows if not (r.rule == "bp" and r.where.profile == "loihi1")], values
    )
    reached = {"0": ("energy to accuracy", 4e-3), "1": ("energy short of accuracy", 9e-3)}
    other = [
        r._replace(measure=reached[r.seed][0], value=reached[r.seed][1])
        if r.rule == "fa" and r.where.accuracy
        else r
        for r in other
    ]
    two = {
        "energy_profiles": {"horowitz45": "45 nm", "loihi1": "a chip"},
        "energy_clocked": ["horowitz45"],
        "energy_unpriced": {"loihi1": ["synapse_updates"]},
    }
    found = Page(text := render(collect(other, summary | two), {}))
    assert [r[1:] for r in found.rows if r[0] == "J / sample"] == [
        ["horowitz45"],
        ["loihi1 in part"],
    ]
    assert ["fa", "12.3 µJ [6.1, 25] 8.19 µJ + 4.10 µJ"] in found.rows
    assert ["fa", "3.00 nJ [1.5, 6] 2.00 nJ + 1.00 nJ"] in found.rows
    assert ["bp", "–"] in found.rows
    assert ["fa", "200", "2.00 k", "4.00", "4.00 mJ 90 %, 1 of 2 seeds"] in found.rows
    assert row(text, "fa")[5] == "12.3 µJ [6.1, 25]"
    assert [r[4] for r in found.rows if r[0] == "bp" and "seeds" in r[-1]] == [
        "more than 8.00 mJ 90 %, 0 of 2 seeds"
    ]
    assert "loihi1 leaves out synapse updates" in text
    assert "on the profile where this share is smallest" in text
    many = {
        "energy_profiles": {f"p{i}": "" for i in range(12)},
        "energy_clocked": [f"p{i}" for i in range(7)],
    }
    blocks = [r for r in Page(render(collect(rows, many), {})).rows if r[0] == "J / sample"]
    assert [len(r) - 1 for r in blocks] == [4, 3, 5]  # they fit on paper


def test_a_measure_of_a_table_appears_there(rows, monkeypatch):
    """A new measure needs only a line in `record.measures` to appear in the report."""
    new = Measure("share of surprise", "fraction", PERCENT, "higher", table="calibration")
    monkeypatch.setitem(MEASURES, new.key, new)
    clean = [r for r in rows if (r.measure, r.condition) == ("accuracy", "clean")]
    text = render(collect([*rows, *(r._replace(measure=new.key, value=0.25) for r in clean)]), {})
    assert "Share of surprise<small>fraction</small>" in text
    assert "<b>25.0</b><small>[25.0, 25.0]</small>" in text
    assert re.search("higher is better for [^.;]*share of surprise", text)
    assert "surprise<small>" not in render(collect(rows), {})


def test_likeness_equals_another_computation(rows):
    """Similarities to backprop equal a computation by numpy, for layers at the same depth.

    Backprop's row compares its seeds with each other and has no interval. Frozen has no rows here,
    and is named as left out.
    """
    rows = [r for r in rows if not (r.rule == "frozen" and r.where.twin_layer)]
    page = render(collect(rows), {})
    start = page.index('id="representations"')
    table = page[start : page.index("</section>", start)]
    found = {
        r[0].split()[0]: r[1:]
        for r in Page(table[table.index("<div") : table.index("</div>") + 6]).rows
        if r[0]
    }
    expected = by_numpy(list(of(rows, "fa", "cka to backprop", "layer=2 twin layer=2").values()))
    low, high = max(expected[1], -1), min(expected[2], 1)
    assert found["fa"][1] == f"{expected[0]:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−")
    crossed = by_numpy(list(of(rows, "fa", "cka to backprop", "layer=1 twin layer=2").values()))[0]
    assert f"{crossed:.2f}" not in {found["fa"][0].split()[0], found["fa"][1].split()[0]}
    alone = of(rows, "bp", "rsa between seeds", "layer=1 twin layer=1").values()
    alone = sum(alone) / len(alone)
    assert found["bp"][2] == f"{alone:.2f} ".replace("-", "−")
    assert set(found) == {"bp", "fa"}
    assert "Left out: frozen. These arms" in table


def test_nan_is_not_a_number(rows):
    rows = changed(rows, {("bp", "accuracy", "clean", "1"): float("nan")})
    text = render(collect(rows), {})
    assert row(text, "bp")[1] == f"{100 * of(rows, 'bp', 'accuracy', 'clean')['0']:.1f} one seed"
    assert "clean accuracy is missing for seed 1" in text
    assert "nan" not in re.sub(r"<style>.*?</style>", "", text, flags=re.S).lower()


def test_intervals_of_accuracy_end_at_its_bounds(rows):
    """98 and 100 %: 99 -+ 12.7 points would end at 111.7 %."""
    pairs = {"bp": (0.98, 1.0), "fa": (0.0, 0.02), "frozen": (0.05, 0.95)}
    given = {
        (rule, "accuracy", "clean", str(seed)): value
        for rule, both in pairs.items()
        for seed, value in enumerate(both)
    }
    text = render(collect([r for r in changed(rows, given) if r.condition == "clean"]), {})
    assert row(text, "bp")[1:3] == ["99.0 [86.3, 100.0]", "+49.0 [−100.0, +100.0]"]
    assert row(text, "fa")[1] == "1.0 [0.0, 13.7]"
    assert "moved to the end of the range" in text
