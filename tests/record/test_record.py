"""Results: conditions survive a round trip, files keep their columns, arms find their partners."""

import csv

import pytest

from bioplaus.measure.robustness import CURVES
from bioplaus.record import (
    CLEAN,
    COLUMNS,
    MEASURES,
    Condition,
    Label,
    Row,
    measure_of,
    paired,
    partners,
    read_rows,
    short_names,
    write_rows,
)
from bioplaus.record.conditions import ATTACKS, EPSILON, FLIPPED, in_words, parse
from bioplaus.record.measures import ACCURACY, ANGLE, Measure, _listed

CONDITIONS = {
    "clean": CLEAN,
    "flipped labels": FLIPPED,
    "step=1000000": Condition(step=1000000),
    "step=100 layer=2": Condition(step=100, layer=2),
    "layer=1 twin layer=2": Condition(layer=1, twin_layer=2),
    "input noise=0.1": Condition("input noise", 0.1),
    "rotation=-30": Condition("rotation", -30.0),
    "epsilon=0.05 attack=worst": Condition(EPSILON, 0.05, attack="worst"),
    "epsilon=0.05 bound=low": Condition(EPSILON, 0.05, bound="low"),
    "epsilon=0.05 check=F11": Condition(EPSILON, 0.05, check="F11"),
    "p95": Condition("p95"),
    "h200 median": Condition("median", profile="h200"),
    "my chip p05": Condition("p05", profile="my chip"),
    "accuracy=0.9": Condition(accuracy=0.9),
}


@pytest.mark.parametrize("text", CONDITIONS)
def test_a_condition_is_parsed_as_it_is_built(text):
    assert str(CONDITIONS[text]) == text
    assert parse(text) == CONDITIONS[text]


def test_every_disturbance_is_its_name_and_severity():
    for key, disturbance in CURVES.items():
        for severity in disturbance.severities:
            condition = Condition(in_words(key), severity)
            assert parse(str(condition)) == condition
    assert not {in_words(key) for key in CURVES} & {*ATTACKS, EPSILON}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "step=ten",
        "noise=0.10",
        "a=1 b=2",
        "x=1 clean",
        "layer=1  step=2",
        "flipped  labels",
        "=3",
    ],
)
def test_an_unknown_condition_is_kept_as_a_name(text):
    assert parse(text) == Condition(text)
    assert str(parse(text)) == text


def test_columns_are_added_and_files_without_them_are_read(tmp_path):
    label = Label("digits", "mlp", "fa", "tanh", "")
    angle, noisy = Condition(step=20, layer=1), Condition("input noise", 0.1)
    rows = [
        Row.of(label, 0, angle, ANGLE, 70.25),
        Row.of(label, 1, noisy, ACCURACY, 1 / 3),
        Row.of(label, "", CLEAN, ACCURACY, 1),
    ]
    assert rows[0] == (
        "digits",
        "mlp",
        "fa",
        "tanh",
        "",
        "0",
        "step=20 layer=1",
        "angle to backprop",
        70.25,
        "degree",
    )
    write_rows(tmp_path / "new.csv", rows)
    head, *lines = csv.reader((tmp_path / "new.csv").read_text(encoding="utf-8").splitlines())
    assert tuple(head) == COLUMNS
    assert [line[10:] for line in lines] == [["20", "1", ""], ["", "", "0.1"], ["", "", ""]]
    with (tmp_path / "old.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([head[:10], *(line[:10] for line in lines)])
    assert read_rows(tmp_path / "old.csv") == read_rows(tmp_path / "new.csv") == rows
    assert [(r.where, r.label) for r in rows] == [(angle, label), (noisy, label), (CLEAN, label)]
    (tmp_path / "cut.csv").write_text("data,net\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"lacks the columns \['rule'"):
        read_rows(tmp_path / "cut.csv")


def test_partners_differ_in_the_rule_alone():
    def label(rule: str, neuron: str = "tanh") -> Label:
        return Label("digits", "mlp", rule, neuron, "")

    arms = [
        label("bp"),
        label("fa"),
        label("fa", "relu"),
        label("fa x=1"),
        label("fa x=1", "relu"),
        label("bp", "sigmoid"),
    ]
    # of one alone, its settings do not matter
    assert partners("bp", arms) == [0, 0, None, 0, None, 5]
    arms = [label("bp x=1"), label("bp x=2"), label("fa x=2"), label("fa x=3"), label("fa")]
    assert partners("bp", arms) == [0, 1, 1, None, None]
    assert partners("b", arms) == [None] * 5
    assert short_names(arms) == ["bp x=1", "bp x=2", "fa x=2", "fa x=3", "fa"]
    assert short_names([label("bp"), label("bp", "relu")]) == ["bp · tanh", "bp · relu"]


def test_pairs_are_of_one_seed():
    a, b = paired({"0": 1.0, "1": 2.0, "3": 4.0}, {"3": 0.4, "0": 0.1, "2": 0.3})
    assert (a.tolist(), b.tolist()) == ([1.0, 4.0], [0.1, 0.4])


def test_every_measure_is_declared():
    assert MEASURES["angle to backprop"] is ANGLE
    with pytest.raises(ValueError, match="'accuracy' is listed twice"):
        _listed(Measure("accuracy", "percent"))
    assert measure_of("a number of the rule's own").unit == ""
    assert all(m.bounds[0] < m.bounds[1] for m in MEASURES.values())
    assert ANGLE.axis == "angle to backprop (°)"
