"""Rules of other packages: found by their entry point, without a fork."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

from bioplaus.rules import BASELINES, RULES, available, backprop


class Entry:
    def __init__(self, name: str):
        self.name, self.value = name, "elsewhere:rule"

    def load(self):
        return backprop


def test_a_third_party_rule_is_found(monkeypatch):
    assert set(available()) == {*RULES, *BASELINES}
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Entry("mine")] if group == "bioplaus.rules" else [])
    assert available()["mine"] is backprop


def test_a_key_that_is_taken_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [Entry("fa")])
    with pytest.raises(ValueError, match="rename its entry point"):
        available()


PACKAGE = '''
"""Backprop by halves: a rule that a package of its own brings."""

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
'''


def test_an_installed_package_brings_a_rule(tmp_path):
    """What pip leaves behind: the package, and a dist-info that names the entry point."""
    (tmp_path / "half_rule.py").write_text(PACKAGE, encoding="utf-8")
    info = tmp_path / "half_rule-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: half-rule\nVersion: 0.1\n", encoding="utf-8")
    points = "[bioplaus.rules]\nhalf = half_rule:half\n[bioplaus.identities]\nhalf = half_rule:checks\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
    code = "import sys; from bioplaus.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}

    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    several = "from bioplaus.cli import main; main(['list', 'rules']); main(['verify', 'half']); from half_rule import half"
    said = run("-c", f"{several}; from bioplaus.testing import check_rule; check_rule(half)")
    assert "half" in said
    assert "is half of backprop" in said
    words = ["compare", "--rules", "half", "--steps", "3", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path / "out")]
    assert "half" in run("-c", code, *words)
