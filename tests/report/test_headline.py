import math

import numpy as np
import pytest
from report_oracles import by_numpy, of

from bioplaus.report.canvas import _apart
from bioplaus.report.headline import baseline_of, cautions, headlines
from bioplaus.report.look import GREY, looks
from bioplaus.report.run import collect, curve, interval, parse, read_run
from bioplaus.report.text import joules, si


def test_baseline_differs_in_the_rule_alone(make):
    rows = make.rows(("bp", "frozen"), range(3), 1)
    other = [r | {"neuron": "gaussian"} for r in rows if r["rule"] == "bp"]
    further = [
        r | {"rule": r["rule"] + " batch_size=8", "value": float(r["value"]) / 2}
        for r in rows
        if r["condition"] == "clean"
    ]
    run = collect([*rows, *other, *further])
    found = {a.label: base and base.label for a in run.arms for base in [baseline_of(run, a)]}
    assert found["bp · relu"] == "frozen · relu"
    assert found["bp · gaussian"] is None
    assert found["bp batch_size=8 · relu"] == "frozen batch_size=8 · relu"


@pytest.mark.parametrize("chance", [0.0, 0.1])
def test_retention_equals_another_computation(rows, make, chance):
    expected = []
    for seed in range(5):
        each = []
        for kind in ("input noise", "weight noise", "lesion", "pgd"):
            at = {
                float(r["condition"].split("=")[1]): 0.0
                for r in rows
                if r["condition"].startswith(kind + "=")
            }
            for s in at:
                names = ("pgd", "transfer", "random sign") if kind == "pgd" else (kind,)
                at[s] = min(of(rows, "fa", "accuracy", f"{n}={s:g}")[seed] for n in names)
            x, y = list(at), list(at.values())
            area = sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(len(x) - 1)) / x[-1]
            each.append((area - chance) / (y[0] - chance))
        expected.append(sum(each) / 4)
    run = collect(rows, make.summary(rows) | {"chance": chance})
    found = next(h for h in headlines(run) if h.arm.label == "fa").retention
    assert found is not None
    np.testing.assert_allclose(found[:3], by_numpy(expected), rtol=1e-12)
    pgd_alone = collect([r for r in rows if "transfer" not in r["condition"]], {"chance": chance})
    other = next(h for h in headlines(pgd_alone) if h.arm.label == "fa").retention
    assert other is not None
    assert other.mean > found.mean + 0.005  # the transferred attack counts


def test_cautions(rows, make):
    said = cautions(collect(rows, make.summary(rows)))
    assert len(said) == 1  # fa alone: PGD is better than the controls on the others
    assert said[0].startswith("fa: the attack made on the bp twin beats PGD")
    weak = [
        r | {"value": 0.97} if r["condition"].startswith("pgd") and r["rule"] == "kp" else r
        for r in rows
    ]
    said = [w for w in cautions(collect(weak)) if w.startswith("kp: ")]
    assert len(said) == 2
    assert "random signs take at least half" in said[1]
    assert any("No 'frozen' baseline" in w for w in cautions(collect(make.rows(("bp",)))))


def test_labels_are_what_varies(make):
    rows = make.rows(("bp", "fa"), range(2), 1)
    rows += [r | {"neuron": "gaussian(relu, 0.1)"} for r in rows]
    run = collect(rows)
    assert [a.label for a in run.arms] == [
        "bp · relu",
        "fa · relu",
        "bp · gaussian(relu, 0.1)",
        "fa · gaussian(relu, 0.1)",
    ]
    style = looks(run)
    assert (
        style["bp · relu"].colour
        == style["bp · gaussian(relu, 0.1)"].colour
        != style["fa · relu"].colour
    )
    assert style["bp · relu"].dash != style["bp · gaussian(relu, 0.1)"].dash
    assert looks(collect(make.rows(("frozen", "bp"), (0,), 1)))["frozen"].colour == GREY


def test_reads_what_was_written(full, rows):
    run = read_run(full)
    assert list(curve(run, run.arms[1], "angle to backprop", "step", layer="2")) == [
        float(s) for s in range(0, 2001, 200)
    ]
    assert parse("step=100 layer=1") == {"step": "100", "layer": "1"}
    assert parse("input noise=0.1") == {"input noise": "0.1"}
    assert parse("clean") == {}


def test_interval():
    x = [0.9, 0.93, 0.95]
    np.testing.assert_allclose(interval(x)[:3], by_numpy(x), rtol=1e-12)
    assert interval([*x, math.nan]).n == 3
    assert math.isnan(interval([0.9]).low)
    assert interval([]).n == 0


def test_si():
    values = (1.6e6, 999.9, 12.34e-6, 0.0, math.nan, -2e-9)
    assert [si(v, "J") for v in values] == ["1.60 MJ", "1.00 kJ", "12.3 µJ", "0 J", "–", "-2.00 nJ"]


def test_joules_never_in_powers_of_ten():
    assert joules((762e-6, 419e-6, 1.3716e-3)) == ("762 µJ", "[420, 1400]")
    assert joules((1.07e-3, 0.59123e-3, 0.1)) == ("1.07 mJ", "[0.59, 100]")


def test_labels_do_not_overlap():
    heights = {"a": 0.5, "b": 0.51, "c": 0.9, "d": 0.99, "e": 1.0}
    placed = _apart(heights, 0.05)
    ordered = sorted(placed.values())
    assert min(np.diff(ordered)) >= 0.05 - 1e-12
    assert (min(ordered), max(ordered)) >= (0.0, 0.0)
    assert max(ordered) <= 1.0
    assert sorted(placed, key=lambda k: placed[k]) == list("abcde")
    assert min(np.diff(sorted(heights.values()))) < 0.05
