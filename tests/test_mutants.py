"""The checks kill the mutants. Here a few of each file; `python -m tests.mutants` runs all."""

import itertools

import pytest
from mutants import MUTANTS, factory_of, killer

from bioplaus.identities import FAMILIES
from bioplaus.rules import BASELINES, RULES

FEW = {
    ("bp", "phi' dropped"),
    ("fa", "B replaced by W"),
    ("fa", "gate ignored"),
    ("kp", "B never learns"),
    ("usf", "signs reversed"),
    ("dfa", "phi' dropped"),
    ("np", "1 / sigma^2"),
    ("pc", "phi' dropped"),
    ("ep", "one pullback of the difference"),
    ("frozen", "hidden layers learn"),
}
FILE = {key: family.checks.__module__ for key, family in FAMILIES.items()}
FIRST = {FILE[m.key]: (m.key, m.name) for m in reversed(MUTANTS)}
FEW |= {
    pair for file, pair in FIRST.items() if file not in {FILE[key] for key, _ in FEW}
}  # one for each other file of identities


@pytest.mark.parametrize("mutant", [m for m in MUTANTS if (m.key, m.name) in FEW], ids=lambda m: f"{m.key}: {m.name}")
def test_killed(mutant):
    assert killer(mutant)


def test_b_replaced_by_w_fails_the_identity_and_the_control(x64):
    """At B = W it is backprop, as feedback alignment is: only random B tells them apart, in two ways."""
    mutant = next(m for m in MUTANTS if (m.key, m.name) == ("fa", "B replaced by W"))
    checks = itertools.islice(FAMILIES["fa"].checks(factory_of(mutant)), 4)
    assert [c.passed for c in checks] == [True, False, True, False]


def test_every_rule_has_three():
    keys = [m.key for m in MUTANTS]
    assert {k for k in keys if keys.count(k) >= 3} == RULES.keys() | BASELINES.keys()
    assert {(m.key, m.name) for m in MUTANTS} >= FEW
    assert len({(m.key, m.name) for m in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.key}: {m.name}")
def test_still_applies(mutant):
    """The text that a mutant replaces stands in the source, once."""
    assert callable(factory_of(mutant))


def test_a_mutant_that_changes_nothing_survives():
    same = next(m for m in MUTANTS if (m.key, m.name) == ("frozen", "gate ignored"))
    assert killer(same._replace(edits=())) is None
    with pytest.raises(ValueError, match="expected 1"):
        factory_of(same._replace(edits=(("no such text", ""),)))
