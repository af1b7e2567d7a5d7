"""Tuning: the same budget for every rule, a better setting is found, and what is written is what a study takes."""

import numpy as np

from bioplaus.cli import main
from bioplaus.rules import BASELINES, RULES
from bioplaus.study import Study, load
from bioplaus.study.comparison import CORE, comparison
from bioplaus.study.defaults import defaults
from bioplaus.study.spec import arms
from bioplaus.study.tune import FACTOR, RATES, search, tune


def test_every_rule_has_the_same_trials_and_starts_as_it_comes():
    for rule in ("bp", "fa", "np", "ep", "frozen"):
        draws = search(rule, 8)
        assert {len(v) for v in draws.values()} == {8}
        np.testing.assert_array_equal(draws["learning_rate"], search("bp", 8)["learning_rate"])
        assert draws["learning_rate"][0] == 2e-3
        assert RATES[0] <= draws["learning_rate"].min() <= draws["learning_rate"].max() <= RATES[1]
    sigma = search("np", 50)["sigma"] / 1e-2
    assert sigma[0] == 1
    assert 1 / FACTOR <= sigma.min() < 0.5 < 2 < sigma.max() <= FACTOR
    assert "steps" not in search("pc", 2)


def test_it_finds_a_rate_that_learns_and_writes_a_study(tmp_path, capsys):
    out = tmp_path / "defaults.toml"
    assert main(["tune", "--rules", "fa", "--trials", "6", "--seeds", "2", "--steps", "60", "--out", str(out)]) == 0
    assert "validation" in capsys.readouterr().out
    text = out.read_text()
    (tmp_path / "study.toml").write_text('name = "s"\n' + text[text.index("[rules") :])
    settings = load(tmp_path / "study.toml").rules
    assert set(settings) == {"fa", "frozen"}
    found = {a.rule: a.optimiser.learning_rate for a in arms(Study(name="s", rules=settings, grid={"rule": ["fa", "frozen"]}))}
    assert all(rate > 2e-3 for rate in found.values())  # 60 steps are few: the common rate is too small for them


def test_the_budget_decides_nothing_else():
    said: list[str] = []
    assert tune(["bp"], trials=1, seeds=1, steps=5, say=said.append) == {
        "bp": {"epochs": 10, "optimiser": {"kind": "adam", "schedule": "cosine", "learning_rate": 2e-3}, "hyper": {}}
    }
    assert len(said) == 1


def test_what_is_tuned_at_the_same_budget_is_kept(tmp_path):
    said: list[str] = []
    out = tmp_path / "defaults.toml"
    first = tune(["bp"], trials=1, seeds=1, steps=5, out=out, say=said.append)
    assert tune(["bp", "frozen"], trials=1, seeds=1, steps=5, out=out, say=said.append)["bp"] == first["bp"]
    assert [line.split()[0] for line in said] == ["bp", "frozen"]
    assert set(tune(["bp"], trials=1, seeds=1, steps=6, out=out, say=said.append)) == {"bp"}
    assert len(said) == 3


def test_the_shipped_settings_run():
    assert {*CORE, *BASELINES} <= defaults().keys() <= RULES.keys() | BASELINES.keys()
    study = comparison(["bp", "np"], data="digits", seeds=1, steps=5, own=True)
    rates = {a.rule: a.optimiser.learning_rate for a in arms(study)}
    assert len(set(rates.values())) > 1
    assert {a.steps for a in arms(study)} == {5}


def test_a_study_file_may_start_from_them(tmp_path):
    text = 'name = "s"\ntuned = true\n[base]\noptimiser.kind = "sgd"\n[rules.fa]\noptimiser.learning_rate = 0.5\n'
    text += '[grid]\nrule = ["bp", "fa"]\n'
    (tmp_path / "study.toml").write_text(text)
    bp, fa = arms(load(tmp_path / "study.toml"))
    assert (bp.optimiser.kind, bp.optimiser.learning_rate) == ("adam", defaults()["bp"]["optimiser"]["learning_rate"])
    assert (fa.optimiser.kind, fa.optimiser.learning_rate) == ("adam", 0.5)
    assert bp.epochs == defaults()["bp"]["epochs"]
