import math

import numpy as np
import pytest
from report_oracles import by_numpy, changed, of

from bioplaus.record import Condition
from bioplaus.record.measures import ANGLE
from bioplaus.report.canvas import _apart
from bioplaus.report.headline import baselines, cautions, headlines
from bioplaus.report.look import GREY, looks
from bioplaus.report.read import collect, curve, interval, read_run
from bioplaus.report.text import joules, si

pytestmark = pytest.mark.thorough


def test_baseline_differs_in_the_rule_alone(rows):
    rows = [r for r in rows if r.rule in ("bp", "frozen")]
    other = [r._replace(neuron="relu") for r in rows if r.rule == "bp"]
    further = [
        r._replace(rule=f"{r.rule} batch_size=8", value=r.value / 2)
        for r in rows
        if r.condition == "clean"
    ]
    run = collect([*rows, *other, *further])
    found = {a.label: base and base.label for a, base in zip(run.arms, baselines(run), strict=True)}
    assert found["bp · tanh"] == "frozen · tanh"
    assert found["bp · relu"] is None
    assert found["bp batch_size=8 · tanh"] == "frozen batch_size=8 · tanh"


@pytest.mark.parametrize("chance", [0.0, 0.05])
def test_retention_equals_another_computation(rows, summary, chance):
    """Retention equals a computation by loops; under attack the lowest accuracy counts.

    Here that is the accuracy under the transferred attack, at one radius.
    """
    rows = changed(rows, {("fa", "accuracy", "transfer=0.05", seed): 0.0 for seed in "01"})
    expected = []
    for seed in "01":
        each = []
        for kind in ("input noise", "weight noise", "lesion", "pgd"):
            at = {
                float(r.condition.split("=")[1]): 0.0
                for r in rows
                if r.condition.startswith(kind + "=")
            }
            for s in at:
                names = ("pgd", "transfer", "random sign") if kind == "pgd" else (kind,)
                at[s] = min(of(rows, "fa", "accuracy", f"{n}={s:g}")[seed] for n in names)
            x, y = list(at), list(at.values())
            area = sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(len(x) - 1)) / x[-1]
            each.append((area - chance) / (y[0] - chance))
        expected.append(sum(each) / 4)
    run = collect(rows, summary | {"chance": chance})
    found = next(h for h in headlines(run) if h.arm.label == "fa").retention
    assert found is not None
    np.testing.assert_allclose(found[:3], by_numpy(expected), rtol=1e-12)
    pgd_alone = collect(
        [r for r in rows if "transfer" not in r.condition], summary | {"chance": chance}
    )
    other = next(h for h in headlines(pgd_alone) if h.arm.label == "fa").retention
    assert other is not None
    assert other.mean > found.mean + 0.005


def under(rows, rule, kind, value):
    """Accuracy of a rule at every size of a disturbance above 0."""
    return {
        (rule, r.measure, r.condition, r.seed): value
        for r in rows
        if r.rule == rule
        and r.condition.partition("=")[0] == kind
        and r.condition.partition("=")[2] != "0"
    }


def test_cautions(rows, summary):
    few = "Only 2 seeds"
    assert [c[: len(few)] for c in cautions(collect(rows, summary))] == [few]
    said = cautions(collect(changed(rows, under(rows, "fa", "transfer", 0.0)), summary))
    assert len(said) == 2
    assert said[1].startswith("fa: the attack made for the bp twin lowers accuracy more than PGD")
    blind = collect(changed(rows, under(rows, "frozen", "pgd", 0.97)))
    said = [w for w in cautions(blind) if w.startswith("frozen: ")]
    assert len(said) == 2
    assert "random signs lower accuracy at least half" in said[1]
    assert any(
        "no 'frozen' baseline" in w for w in cautions(collect([r for r in rows if r.rule == "bp"]))
    )


def test_labels_are_what_varies(rows):
    rows = [r for r in rows if r.rule != "frozen"]
    run = collect([*rows, *(r._replace(neuron="tanh gaussian 0.1") for r in rows)])
    assert [a.label for a in run.arms] == [
        "bp · tanh",
        "fa · tanh",
        "bp · tanh gaussian 0.1",
        "fa · tanh gaussian 0.1",
    ]
    style = looks(run)
    assert (
        style["bp · tanh"].colour
        == style["bp · tanh gaussian 0.1"].colour
        != style["fa · tanh"].colour
    )
    assert style["bp · tanh"].dash != style["bp · tanh gaussian 0.1"].dash


def test_reads_what_was_written(full, rows):
    run = read_run(full)
    assert [a.label for a in run.arms] == ["bp", "fa", "frozen"]
    assert looks(run)["frozen"].colour == GREY
    points = curve(run, run.arms[1], ANGLE, "step", Condition(layer=2))
    assert {str(int(x)): seeds for x, seeds in points.items()} == {
        step: of(rows, "fa", "angle to backprop", f"step={step} layer=2")
        for step in ("0", "10", "20")
    }
    assert points != curve(run, run.arms[1], ANGLE, "step", Condition(layer=1))


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
