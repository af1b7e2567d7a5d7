"""Rules of other packages: found by their entry point, without a fork."""

import importlib.metadata

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
