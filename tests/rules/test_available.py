"""Rules, identities, data sets and modulators of other packages, by their entry points."""

import os
import subprocess
import sys

import pytest

from bioplaus import data, extensions, identities, modulators, rules
from bioplaus.cli import main
from bioplaus.extensions import ExtensionError


class Entry:
    """An entry point that loads `thing`, or raises it where it is an error."""

    def __init__(self, name: str, thing: object):
        self.name, self.value, self.thing = name, "elsewhere:thing", thing

    def load(self):
        if isinstance(self.thing, Exception):
            raise self.thing
        return self.thing


def install(monkeypatch, group: str, name: str, thing: object) -> None:
    monkeypatch.setattr(
        extensions, "installed", lambda asked: [Entry(name, thing)] if asked == group else []
    )


def no_checks(factory):
    yield from ()


# group -> (what there is with it, the library's own, a key that is taken, something of another
# package)
ROOMS = {
    "bioplaus.rules": (rules.available, rules.RULES | rules.BASELINES, "fa", rules.backprop),
    "bioplaus.identities": (
        identities.families,
        identities.FAMILIES,
        "fa",
        identities.Family(no_checks),
    ),
    "bioplaus.data": (data.available, data.LOADERS, "digits", data.digits.load),
    "bioplaus.modulators": (
        modulators.available,
        modulators.MODULATORS,
        "dopamine",
        modulators.dopamine,
    ),
}


@pytest.mark.parametrize("group", ROOMS)
def test_entry_points_are_found_or_refused_in_one_line(group, monkeypatch):
    available, own, taken, thing = ROOMS[group]
    assert available() == own
    install(monkeypatch, group, "mine", thing)
    found = available()
    assert list(found) == [*own, "mine"]
    # one that checks numbers, of a modulator
    assert found["mine"] == thing or found["mine"].__wrapped__ is thing
    for name, broken, message in (
        (taken, thing, "has a key that is taken; rename the entry point"),
        (
            "mine",
            ModuleNotFoundError("No module named 'gone'\nand more"),
            "cannot be loaded (ModuleNotFoundError: No module named 'gone');",
        ),
        ("mine", 3, "is of type int; expected a function"),
    ):
        install(monkeypatch, group, name, broken)
        with pytest.raises(ExtensionError) as error:
            available()
        said = str(error.value)
        assert said.startswith(f"{group}: the entry point {name} = elsewhere:thing {message}")
        assert "\n" not in said


def test_a_broken_package_gives_one_line_of_warning(monkeypatch, capsys):
    install(monkeypatch, "bioplaus.data", "mine", ImportError("it is gone"))
    assert main(["list", "data"]) == 2
    assert capsys.readouterr().err.startswith(
        "bioplaus: bioplaus.data: the entry point mine = elsewhere:thing cannot be loaded"
    )


def test_a_loader_that_returns_no_data_set_is_refused(monkeypatch):
    install(monkeypatch, "bioplaus.data", "mine", lambda: ([[0.0]], [0]))
    with pytest.raises(data.DataError, match="mine: its loader returned tuple; expected"):
        data.load("mine")


PACKAGE = '''
"""Backprop by halves, digits of two kinds and a gate of one half, as another package brings."""

from bioplaus import data
from bioplaus.hyper import Probability
from bioplaus.modulators import unmodulated
from bioplaus.rules import backprop
from bioplaus.types import Rule


def half(net, loss):
    """Half of the gradient."""
    inner = backprop(net, loss)

    def grad(params, state, batch, key, gate=None):
        import jax

        grads, state, info = inner.grad(params, state, batch, key, gate)
        return jax.tree.map(lambda g: g / 2, grads), state, info

    return Rule(inner.init, grad, inner.predict)


def checks(factory):
    from bioplaus.identities.common import equal

    yield equal("half", "is half of backprop", 0.5, 0.5, 1e-12)


def binary():
    """Zeros and ones among the digits."""
    digits = data.load("digits")
    few = digits.train.y[:, :2].sum(1) > 0
    return data.own(digits.train.x[few], digits.train.y[few].argmax(1))


def halved(*, gate: Probability = 0.5):
    """All learn half as much."""
    return unmodulated()._replace(gate=lambda state, signals: (state, gate))
'''
POINTS = """
[bioplaus.rules]
half = half_rule:half
[bioplaus.identities]
half = half_rule:checks
[bioplaus.data]
binary = half_rule:binary
[bioplaus.modulators]
halved = half_rule:halved
"""
STUDY = """
name = "half"
[base]
data = "binary"
rule = "half"
steps = 3
seeds = 1
points = 1
robustness = false
[base.modulator]
kind = "halved"
hyper = {gate = 0.25}
"""


@pytest.mark.slow
def test_entry_points_of_an_installed_package_are_found(tmp_path):
    """What pip leaves behind: the package, and a dist-info that names the entry points."""
    (tmp_path / "half_rule.py").write_text(PACKAGE, encoding="utf-8")
    info = tmp_path / "half_rule-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: half-rule\nVersion: 0.1\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(POINTS, encoding="utf-8")
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    code = "import sys; from bioplaus.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    several = (
        "from bioplaus.cli import main; main(['list']); main(['verify', 'half']); from half_rule"
        " import half"
    )
    said = run("-c", f"{several}; from bioplaus.testing import check_rule; check_rule(half)")
    for text in (
        "Half of the gradient.",
        "Zeros and ones among the digits.",
        "All learn half as much.",
        "is half of backprop",
    ):
        assert text in said
    words = [
        "compare",
        "--rules",
        "half",
        "--data",
        "binary",
        "--steps",
        "3",
        "--seeds",
        "1",
        "--jobs",
        "1",
        "--out",
        str(tmp_path / "a"),
    ]
    assert "half" in run("-c", code, *words)
    run(
        "-c", code, "run", str(tmp_path / "study.toml"), "--jobs", "1", "--out", str(tmp_path / "b")
    )
    rows = (tmp_path / "b" / "results.csv").read_text(encoding="utf-8").splitlines()
    assert all(row.startswith("binary,mlp 128-128,half,tanh,halved,") for row in rows[1:])
