"""The table of tuned rules grows rule by rule, and prints figures that were measured."""

import importlib.util
import re
from pathlib import Path

import pytest

from bioplaus.measure.statistics import interval
from bioplaus.study import defaults, tune
from bioplaus.study.spec import arms
from bioplaus.study.tuned import read

pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SMALL = """
name = "small"
tuned = true
[base]
data = "digits"
epochs = 0.05
seeds = 2
energy = false
points = 1
alignment = false
robustness = false
[base.net]
hidden = [8]
[grid]
rule = ["bp", "fa", "zil", "frozen"]
[[extra]]
rule = "bp"
net = {hidden = []}
"""


@pytest.fixture
def script(monkeypatch):
    """experiments/mnist_rules.py as a module."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    spec = importlib.util.spec_from_file_location("mnist_rules", EXPERIMENTS / "mnist_rules.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def page(script):
    """experiments/mnist_rules_page.py as a module."""
    return importlib.import_module("mnist_rules_page")


@pytest.fixture
def small(script, tmp_path, monkeypatch):
    """The script on a study of digits, with temporary files."""
    (tmp_path / "study.toml").write_text(SMALL, encoding="utf-8")
    (tmp_path / "figures.toml").write_text(
        "[arms]\n",
        encoding="utf-8",
    )
    old = '[budget]\ndata = "digits"\ntrials = 2\nseeds = 1\nsteps = 3\n'
    (tmp_path / "defaults.toml").write_text(
        old + "".join(f"[rules.{rule}]\nepochs = 0.05\n" for rule in ("bp", "fa")), encoding="utf-8"
    )
    for name, file in (("STUDY", "study.toml"), ("RESULTS", "figures.toml"), ("PAGE", "page.md")):
        monkeypatch.setattr(script, name, tmp_path / file)
    monkeypatch.setattr(defaults, "DEFAULTS", tmp_path / "defaults.toml")
    monkeypatch.setattr(script, "TRIALS", 2)
    monkeypatch.setattr(script, "STEPS", 3)
    return script


def test_the_table_grows_rule_by_rule(small, page, tmp_path, monkeypatch):
    def main(*words):
        monkeypatch.setattr("sys.argv", ["mnist_rules.py", "--out", str(tmp_path / "out"), *words])
        small.main()
        return small.figures(), small.PAGE.read_text(encoding="utf-8")

    found, text = main("--rules", "bp")
    assert set(found.arms) == {"bp", "linear readout", *map(page.floor_name, page.FLOOR)}
    assert "| fa | not run yet |" in text
    assert "| frozen | not run yet |" in text
    bp = found.arms["bp"]
    assert f"| bp | {page.printed(interval(bp['accuracy'], bounds=(0, 100)))} |" in text
    assert (
        bp["settings"]["optimiser"]["learning_rate"]
        == read(defaults.DEFAULTS).rules["bp"]["optimiser"]["learning_rate"]
    )

    monkeypatch.setattr(tune, "best", lambda *args: pytest.fail("bp was tuned again"))
    found, text = main("--rules", "bp,zil")  # bp is done, and zil takes its settings
    assert found.arms["bp"] == bp
    assert found.arms["zil"]["settings"] == bp["settings"]
    assert re.search(r"\| zil \| .* \| as bp \|", text)
    assert "Within the noise floor of backprop: zil." in text
    assert small.done("bp", found)
    assert not small.done("fa", found)
    found.arms["bp"]["settings"]["optimiser"]["learning_rate"] *= 2  # figures at other settings
    assert not small.done("bp", found)


def test_the_noise_floor_is_the_range_of_one_algorithm(page):
    values = dict(
        zip(
            map(page.floor_name, page.FLOOR),
            ([98.0, 98.2], [97.0, 97.2], [98.3, 98.1]),
            strict=True,
        )
    )
    found = page.Figures({name: {"accuracy": v} for name, v in values.items()})
    assert page.floor(found) == pytest.approx(1.1)
    assert page.floor(page.Figures({})) is None
    rows = {
        "bp": [98.0, 98.2],
        "fa": [97.1, 97.3],
        "dfa": [96.8, 97.0],
        "frozen": [90.0, 91.0],
        "np": [90.5, 90.6],
        "wp": [60, 62],
    }
    lines = page.groups(
        page.Figures(found.arms | {n: {"accuracy": v} for n, v in rows.items()}), rows
    )
    assert lines == [
        "",
        "Within the noise floor of backprop: fa.",
        "",
        "Not distinguishable from frozen hidden layers: np. Below them: wp.",
    ]


def test_the_page_prints_the_figures_of_the_file(script, page):
    """Every row has the settings of defaults.toml."""
    found, names = script.figures(), script.names()
    assert script.PAGE.read_text(encoding="utf-8") == page.page(
        found, read(defaults.DEFAULTS).scores, names, script.TRIALS, script.STEPS
    )
    assert found.arms.keys() == {
        *names,
        *(n for n in map(page.floor_name, page.FLOOR) if n in found.arms),
    }
    for arm in arms(script.load(script.STUDY)):
        if (name := script.name_of(arm)) in found.arms:
            assert found.arms[name]["settings"] == script.settings_of(arm)
    for entry in found.arms.values():
        x = interval(entry["accuracy"])
        assert (entry["mean"], entry["spread"]) == (
            round(float(x.mean), 2),
            round(float(x.high - x.mean), 2),
        )


def test_papers_quote_the_table(script):
    """Two papers' pages quote the figures of competing units."""
    found = script.figures()
    rows = {rule: f"{rule}, 512 units that compete" for rule in ("softhebb", "krotov", "frozen")}
    mean = {rule: f"{found.arms[row]['mean']:.1f}" for rule, row in rows.items()}
    papers = EXPERIMENTS.parent / "papers"
    text = (papers / "moraitis2022" / "README.md").read_text(encoding="utf-8")
    assert f"512 reach {mean['softhebb']} against {mean['frozen']} with random features" in text
    text = (papers / "krotov2019" / "README.md").read_text(encoding="utf-8")
    assert f"With 512 units the gain is larger: {mean['krotov']} against {mean['frozen']}" in text
