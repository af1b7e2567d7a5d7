"""The checks kill the mutants: one of each file in `make test`, all of them in `make slow`."""

import ast
import inspect
import itertools
import subprocess
import sys

import pytest
from mutants import MUTANTS, canonical, code_of, factory_of, killer, mutated

from bioplaus import local
from bioplaus.identities import FAMILIES
from bioplaus.rules import BASELINES, RULES

pytestmark = pytest.mark.thorough

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


def label(mutant):
    return f"{mutant.key}: {mutant.name}"


def more(mutant):
    """The mark of a mutant that is not among FEW."""
    return () if (mutant.key, mutant.name) in FEW else pytest.mark.slow


@pytest.mark.parametrize("mutant", [pytest.param(m, marks=more(m)) for m in MUTANTS], ids=label)
def test_killed(mutant):
    assert killer(mutant)


def test_b_replaced_by_w_fails_the_identity_and_the_control(x64):
    """At B = W the mutant is backprop, as feedback alignment is: only random B tells them apart."""
    mutant = next(m for m in MUTANTS if (m.key, m.name) == ("fa", "B replaced by W"))
    checks = itertools.islice(FAMILIES["fa"].checks(factory_of(mutant)), 4)
    assert [c.passed for c in checks] == [True, False, True, False]


def test_every_rule_has_three_mutants():
    keys = [m.key for m in MUTANTS]
    assert {k for k in keys if keys.count(k) >= 3} == RULES.keys() | BASELINES.keys()
    assert {(m.key, m.name) for m in MUTANTS} >= FEW
    assert len({(m.key, m.name) for m in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("key", {m.key: None for m in MUTANTS})
def test_mutants_still_apply(key):
    """The code that a mutant replaces stands in its module, once; what comes out is other code."""
    for mutant in (m for m in MUTANTS if m.key == key):
        code = mutated(mutant)
        assert ast.parse(code, label(mutant))
        assert code != mutated(mutant._replace(edits=())), label(mutant)


def test_a_formatter_cannot_break_a_mutant():
    source = inspect.getsource(local)
    ruff = (sys.executable, "-m", "ruff", "format", "--line-length=40", "-")
    narrow = subprocess.run(ruff, input=source, capture_output=True, text=True, check=True).stdout
    assert canonical(f"# a comment\n{narrow}") == code_of(local)
    quoted = [old for m in MUTANTS if m.module is local for old, _ in m.edits]
    assert not all(old in narrow for old in quoted)  # in the text itself they are not found


def test_a_mutant_that_changes_nothing_survives():
    same = next(m for m in MUTANTS if (m.key, m.name) == ("frozen", "gate ignored"))
    assert killer(same._replace(edits=())) is None


@pytest.mark.parametrize(("old", "times"), [("no such code", 0), ("key", "[0-9]{2,}")])
def test_code_that_does_not_occur_once_is_refused(old, times):
    mutant = MUTANTS[0]._replace(edits=((old, ""),), module=local)
    with pytest.raises(ValueError, match=f"{old}' stands {times} times in {local.__name__}, exp"):
        factory_of(mutant)
