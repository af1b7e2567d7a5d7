"""The tests kill mutants of modules that hold no rules: in `make slow`."""

import ast

import pytest
from module_mutants import MUTANTS, killed, mutated


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.module}: {m.name}")
def test_mutants_still_apply(mutant):
    code = mutated(mutant)
    assert ast.parse(code)
    assert code != mutated(mutant._replace(edits=()))


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: f"{m.module}: {m.name}")
def test_killed(mutant):
    assert killed(mutant)
