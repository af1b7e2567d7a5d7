"""Rules that declare that they need rewards: who serves them, and who leaves them out."""

import functools

import pytest

import bioplaus as bp
from bioplaus.cli.catalogue import tables
from bioplaus.cli.dispatch import main
from bioplaus.modulators import dopamine
from bioplaus.modulators.modulate import modulate
from bioplaus.rules import RULES, of_labels
from bioplaus.rules.rate_regularised import rate_regularised
from bioplaus.rules.shared.over_time import ANY
from bioplaus.study import StudyError
from bioplaus.study.comparison import comparison
from bioplaus.study.spec import arms
from bioplaus.support import needs_rewards
from bioplaus.testing import check_rule
from bioplaus.types import Rule


def paid(net, loss):
    """Backprop, times the reward of each moment."""
    rule = RULES["bp"](net, loss)

    def grad(params, state, batch, key, gate=None):
        reward = batch.context["reward"][..., None]
        grads, state, info = rule.grad(params, state, batch, key, gate=lambda _: reward)
        del gate
        return grads, state, info

    return Rule(rule.init, grad, rule.predict)


declared = bp.learning_rule(time=ANY, rewards=True)(paid)
silent = bp.learning_rule(time=ANY)(paid)


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setitem(RULES, "paid", declared)


def test_compositions_pass_the_declaration_on():
    for wrap in (
        functools.partial,
        lambda f: modulate(f, dopamine()),
        lambda f: rate_regularised(f, 0.01, 1.0),
        lambda f: bp.by_layer((RULES["bp"], f)),
    ):
        assert needs_rewards(wrap(declared))
        assert not needs_rewards(wrap(silent))


def test_studies_leave_such_rules_out(known, capsys):
    assert "paid" not in of_labels()
    assert "paid" not in comparison(["all"], data="digits").grid["rule"]
    spiking = comparison(["all"], data="digits", net="spiking").grid["rule"]
    assert "paid" not in spiking
    assert "bp" in spiking
    with pytest.raises(StudyError, match=r"paid cannot be in a study: it learns from the rewards"):
        arms(comparison(["paid"], data="digits"))
    assert arms(comparison(["fa"], data="digits"))
    for command in (["tune", "--rules", "paid"], ["compare", "--rules", "bp,paid"]):
        assert main(command) == 2
        assert "bp.worlds.run" in capsys.readouterr().err


def test_the_list_says_so(known):
    rules = tables()["rules"]
    assert "rewards of a world" in rules["paid"]
    assert "rewards" not in rules["fa"]


def test_check_rule_gives_rewards():
    with pytest.raises(AssertionError, match="gates"):  # it ignores its gate
        check_rule(declared)
    with pytest.raises(TypeError, match="tuple indices"):  # a supervised batch has no rewards
        check_rule(silent)
