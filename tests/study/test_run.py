"""Studies from end to end: files, equal seeds, resuming, divergence, user's nets and data."""

import json
import math
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from studies import LIGHT, values, written

import bioplaus as bp
from bioplaus.cli import main
from bioplaus.record import read_rows
from bioplaus.study import Study, StudyError, compare, run, run_study

pytestmark = pytest.mark.thorough


def test_a_run_writes_its_files(small, light):
    names = {p.name for p in small.folder.iterdir()}
    assert {"results.csv", "timing.json", "summary.json", "study.toml", "report.html"} <= names
    head = (small.folder / "results.csv").read_text(encoding="utf-8").splitlines()[0]
    assert (
        head
        == "data,net,rule,neuron,modulator,seed,condition,measure,value,unit,step,layer,severity"
    )
    assert read_rows(light.folder / "results.csv") == light.rows
    assert set(json.loads((small.folder / "timing.json").read_text(encoding="utf-8"))) == {
        "total_s",
        "arms",
    }


def test_a_trained_arm_is_loaded(small):
    model, data = bp.load(small.folder, "fa", seed=1), bp.data.load("digits").test
    found = bp.measure.accuracy(
        model.rule.predict(model.params, model.state, data.x, jax.random.key(0)), data.y
    )
    assert [float(found)] == values(small.rows, "fa", "accuracy", "clean")[1:]
    assert model.step == 20
    assert not np.array_equal(model.params[0]["w"], bp.load(small.folder, "fa").params[0]["w"])
    for folder, name, seed, match in (
        (small.folder, None, 0, "expected one of 'bp', 'fa', 'frozen'"),
        (small.folder, "kp", 0, "arm is 'kp'"),
        (small.folder, "fa", 2, "expected 0 to 1"),
        (small.folder.parent, "fa", 0, "study.toml"),
    ):
        with pytest.raises(StudyError, match=match):
            bp.load(folder, name, seed=seed)


def test_every_arm_has_its_measures(small):
    for rule in ("bp", "fa", "frozen"):
        clean = values(small.rows, rule, "accuracy", "clean")
        assert len(clean) == 2
        assert all(0 <= a <= 1 for a in clean)
        for kind in ("input noise", "weight noise", "lesion", "pgd", "transfer", "random sign"):
            assert [r for r in small.rows if r.rule == rule and r.condition.startswith(f"{kind}=")]
            if kind != "transfer":
                np.testing.assert_allclose(
                    values(small.rows, rule, "accuracy", f"{kind}=0"), clean, atol=1e-6
                )
        for part in ("op", "memory", "total"):
            (energy,) = values(small.rows, rule, f"energy {part}", "median")
            assert energy > 0
        assert values(small.rows, rule, "energy total", "loihi1 median")[0] > 0
        # which cannot train
        assert not values(small.rows, rule, "energy total", "truenorth median")
        spent, updates = (
            values(small.rows, rule, m, "training") for m in ("M-energy", "synaptic updates")
        )
        assert all(m >= 1 for m in values(small.rows, rule, "inefficiency", "training"))
        assert len(spent) == len(updates) == 2
        learning = 130 if rule == "frozen" else 64 * 12 + 12 + 12 * 12 + 12 + 130
        assert all(0.5 * 20 * learning < n <= 20 * learning for n in updates)
    (dense,), (effective,) = (
        values(small.rows, "bp", m, "training") for m in ("macs", "effective macs")
    )
    assert 0.3 * dense < effective < dense  # digits are half zeros
    ranks = {(r["a"], r["b"]): r["r"] for r in small.summary["energy_ranks"]}
    assert ranks["frozen", "bp"] == 1
    assert ranks["bp", "fa"] < 0.95 > ranks["fa", "bp"]
    assert "synapse_updates" in small.summary["energy_unpriced"]["biology"]
    assert values(small.rows, "bp", "angle to backprop", "step=20 layer=1") == pytest.approx(
        [0, 0], abs=0.1
    )
    assert all(a > 20 for a in values(small.rows, "fa", "angle to backprop", "step=0 layer=1"))
    assert len(values(small.rows, "fa", "feedback angle", "step=20 layer=2")) == 2
    assert not values(small.rows, "fa", "feedback angle", "step=20 layer=1")
    for rule, measure in (
        ("fa", "cka to backprop"),
        ("fa", "rsa to backprop"),
        ("bp", "cka between seeds"),
    ):
        assert len(values(small.rows, rule, measure, "layer=2 twin layer=2")) == 2


def test_the_same_seeds_give_the_same_file(light, tmp_path):
    again = written(LIGHT, tmp_path / "again")
    assert (again.folder / "results.csv").read_bytes() == (
        light.folder / "results.csv"
    ).read_bytes()
    assert (again.folder / "summary.json").read_bytes() == (
        light.folder / "summary.json"
    ).read_bytes()
    assert (again.folder / "report.html").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("unreported")
def test_the_written_study_runs_again(light, tmp_path):
    again = run_study(
        bp.study.load(light.folder / "study.toml"), out=tmp_path / "again", show=False
    )
    assert again.rows == light.rows


@pytest.mark.usefixtures("unreported")
def test_a_checkpoint_of_another_net_is_refused(tmp_path):
    quick = {
        "steps": 2,
        "seeds": 1,
        "points": 1,
        "robustness": False,
        "energy": False,
        "alignment": False,
    }
    study = Study(name="s", base=quick)
    run_study(study, net=bp.mlp([64, 8, 10]), out=tmp_path / "run", show=False)
    with pytest.raises(
        StudyError,
        match=r"another net or rule.*params\[0\].*float32\[1, 8\], expected float32\[1, 9\]",
    ):
        run_study(study, net=bp.mlp([64, 9, 10]), out=tmp_path / "run", resume=True, show=False)


@pytest.mark.parametrize("left", [[], ["study.toml.other-1.part"]])
def test_a_run_killed_before_its_study_was_written_starts(left, tmp_path):
    (tmp_path / "run").mkdir()
    for name in left:
        (tmp_path / "run" / name).write_text("[ba", encoding="utf-8")
    with run.open_folder(tmp_path / "run", {"name": "s"}, resume=True):
        pass
    assert (tmp_path / "run" / "study.toml").read_text(encoding="utf-8") == 'name = "s"\n'


@pytest.mark.slow
def test_a_seed_that_diverges_is_reported(tmp_path):
    wild = {"kind": "sgd", "learning_rate": 1e20, "weight_decay": 0.0}
    base = {
        "steps": 20,
        "seeds": 2,
        "points": 2,
        "net": {"hidden": [8]},
        "neuron": {"kind": "relu"},
        "robustness": False,
        "energy": False,
    }
    study = Study(
        name="wild", base=base, rules={"fa": {"optimiser": wild}}, grid={"rule": ["bp", "fa"]}
    )
    found = run_study(study, out=tmp_path / "wild", show=False)
    assert [a["diverged"] for a in found.summary["arms"]] == [[], [0, 1]]
    assert any("diverged at step" in w for w in found.summary["warnings"])
    assert all(math.isfinite(v) for v in values(found.rows, "bp", "accuracy", "clean"))
    assert "diverged" in (tmp_path / "wild" / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_rule_that_does_not_settle_gives_a_warning():
    base = {
        "steps": 10,
        "seeds": 1,
        "points": 1,
        "robustness": False,
        "energy": False,
        "alignment": False,
    }
    he = {"neuron": {"kind": "relu"}, "net": {"variance": 2.0, "hidden": [64, 64]}}
    calm = run_study(Study(name="calm", base={**base, "rule": "ep"}), show=False)
    assert calm.summary["arms"][0]["settled"] is True
    wild = run_study(Study(name="he", base={**base, **he, "rule": "ep"}), show=False)
    assert wild.summary["arms"][0]["settled"] is False
    assert any("did not settle" in w for w in wild.summary["warnings"])


@pytest.mark.slow
def test_compare_takes_a_net_and_arrays():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(200, 5)).astype(np.float32)
    y = (x[:, 0] > 0).astype(int)
    found = compare(["dfa"], net=bp.mlp([5, 8, 8, 2]), data=(x, y), seeds=3, steps=100, show=False)
    assert np.mean(values(found.rows, "dfa", "accuracy", "clean")) > 0.75
    text = str(found)
    assert re.search(r"dfa.*frozen", text, re.S)
    assert {r.data for r in found.rows} == {"own"}
    assert {r.net for r in found.rows} == {"own"}


@pytest.mark.slow
def test_noise_and_modulators_are_crossed_with_rules():
    grid = {
        "rule": ["bp", "dfa"],
        "neuron.level": [0.1, 0.3],
        "modulator.kind": ["unmodulated", "dopamine"],
    }
    base = {
        "steps": 4,
        "seeds": 1,
        "points": 1,
        "neuron": {"noise": "gaussian"},
        "energy": False,
        "robustness": False,
    }
    found = run_study(
        Study(name="cross", base={**base, "net": {"hidden": [8]}, "alignment": False}, grid=grid),
        show=False,
    )
    labels = {(r.rule, r.neuron, r.modulator) for r in found.rows}
    assert len(labels) == 8
    assert ("dfa", "tanh gaussian 0.3", "dopamine") in labels


def test_the_default_study_is_the_one_compare_runs():
    from bioplaus.study.comparison import CORE, comparison
    from bioplaus.study.spec import arms

    written = bp.study.load(Path(__file__).parents[2] / "experiments" / "default.toml")
    assert arms(written) == arms(comparison(CORE, data="digits", seeds=5, steps=1000))


def test_the_command_writes_the_report_anew(light):
    before = (light.folder / "report.html").read_bytes()
    (light.folder / "report.html").unlink()
    assert main(["report", str(light.folder)]) == 0
    assert (light.folder / "report.html").read_bytes() == before
