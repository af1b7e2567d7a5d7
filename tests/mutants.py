"""Mutants: the rules with one mistake each, as in public implementations.

A test suite is worth what it kills:

    python -m tests.mutants [key ...]

A mutant replaces code of a rule, or of a module that rules share. It is killed if a check of its
rule's family (`bioplaus.identities`) fails, or, where all of them pass, an item of the contract
(`bioplaus.testing`).

The code to replace is quoted as `ast.unparse` writes it, whatever the layout of the file: every
statement on one line, no comments, single quotes, `w ** 2` with spaces, no needless parentheses.
So mutants outlive formatters and moved files. How a module reads in this form:

    python -c "from tests.mutants import code_of; from bioplaus import local; print(code_of(local))"

The files in mutations/ hold the mutants, families of rules in one file each: MUTANTS, a list of
(key, name, ((old, new), ...)) and, for a mistake in code that rules share, its module.
"""

import ast
import functools
import inspect
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple
from unittest.mock import patch

import jax

from bioplaus.identities import first_failure
from bioplaus.rules import BASELINES, RULES
from bioplaus.rules.shared import (
    acting,
    direct,
    growth,
    heads,
    inference,
    inverses,
    nudged,
    relax,
    soma,
    spike_timing,
    unsupervised,
    unsupervised_spikes,
)
from bioplaus.testing import CONTRACT, standard
from bioplaus.types import RuleFactory


class Mutant(NamedTuple):
    """A rule with a mistake.

    edits: pairs (old, new) of code; each old code stands exactly once in `module`.
    module: where the mistake is; None for the module that defines the rule.
    """

    key: str
    name: str
    edits: tuple[tuple[str, str], ...]
    module: ModuleType | None = None


SHARED = (
    acting,
    direct,
    soma,
    relax,
    inference,
    inverses,
    nudged,
    heads,
    growth,
    unsupervised,
    spike_timing,
    unsupervised_spikes,
)
"""Each imports only those before it."""
FILES = sorted(Path(__file__).parent.glob("mutations/*.py"))
MUTANTS = tuple(Mutant(*m) for file in FILES for m in runpy.run_path(str(file))["MUTANTS"])


@functools.cache
def canonical(source: str) -> str:
    """The code in the one form that mutants quote: a formatter cannot change it."""
    return ast.unparse(ast.parse(source))


def code_of(module: ModuleType) -> str:
    """The code of a module as mutants quote it."""
    return canonical(inspect.getsource(module))


def _rule_module(mutant: Mutant) -> ModuleType:
    return sys.modules[(RULES | BASELINES)[mutant.key].__module__]


def mutated(mutant: Mutant) -> str:
    """The code of the module with the mistake in it.

    Raises ValueError if code to replace does not stand there exactly once.
    """
    module = mutant.module or _rule_module(mutant)
    code = code_of(module)
    for old, new in mutant.edits:
        if code.count(old) != 1:
            raise ValueError(
                f"mutant {mutant.key}, {mutant.name}: {old!r} stands {code.count(old)} times in "
                f"{module.__name__}, expected 1; quote the code as ast.unparse writes it, "
                "with as much around it as makes it unique"
            )
        code = code.replace(old, new)
    return code


def factory_of(mutant: Mutant) -> RuleFactory:
    """The factory of the rule with the mistake.

    If the mistake is in a shared module, the modules that import it are run again, unchanged, on
    top of it: those of SHARED, and the rule's module.
    """
    rule, factory = _rule_module(mutant), (RULES | BASELINES)[mutant.key].__name__
    changed = _executed(mutated(mutant))
    if mutant.module:
        with patch.dict(sys.modules, {mutant.module.__name__: changed}):
            for other in SHARED:
                if other is not mutant.module:
                    sys.modules[other.__name__] = _executed(code_of(other))
            changed = _executed(code_of(rule))
    return getattr(changed, factory)


def _executed(code: str) -> ModuleType:
    module = ModuleType("mutant")
    exec(compile(code, "<mutant>", "exec"), module.__dict__)
    return module


def killer(mutant: Mutant) -> str | None:
    """What kills a mutant, or None. A mutant that does not run raises: it would prove nothing."""
    factory = factory_of(mutant)
    if failed := first_failure(mutant.key, factory):
        return f"{failed.name}: {failed.value:.3g}, limit {failed.limit:g}"
    with jax.enable_x64():
        case = standard(factory)
        for item in CONTRACT.values():
            try:
                item(case)
            except AssertionError as error:
                return str(error)
    return None


def run(keys: list[str]) -> Iterator[tuple[Mutant, str | None]]:
    """The mutants of these rules, or of all, with what killed them."""
    for mutant in MUTANTS:
        if not keys or mutant.key in keys:
            yield mutant, killer(mutant)


def main(keys: list[str]) -> int:
    """Print one line a mutant, then killed / total. Returns 1 if one survives."""
    killed = total = 0
    for mutant, cause in run(keys):
        total, killed = total + 1, killed + (cause is not None)
        print(
            f"{'killed' if cause else 'SURVIVED':9}{mutant.key:24}{mutant.name:40}{cause or ''}",
            flush=True,
        )
    print(f"{killed}/{total} killed")
    return int(killed < total)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
