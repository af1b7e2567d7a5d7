"""Mutants of modules that hold no rules, such as encoders: one mistake each.

    python -m tests.module_mutants [word ...]     those whose module or name has one of the words

A mutant is killed if the tests that it names fail in a process where the module has the mistake.
The files in mutations/modules/ hold them: MUTANTS, a list of (module, name, ((old, new), ...),
tests), with code quoted as in `tests.mutants`.
"""

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import runpy
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(Path(__file__).parent.glob("mutations/modules/*.py"))


class ModuleMutant(NamedTuple):
    """module: dotted name. edits: pairs (old, new) of code; each old code stands there once.
    tests: what kills it, as pytest takes it, from the root."""

    module: str
    name: str
    edits: tuple[tuple[str, str], ...]
    tests: str


MUTANTS = tuple(ModuleMutant(*m) for f in FILES for m in runpy.run_path(str(f))["MUTANTS"])


def mutated(mutant: ModuleMutant) -> str:
    """The code of the module with the mistake.

    Raises ValueError if code to replace does not stand there exactly once.
    """
    path = ROOT / f"{mutant.module.replace('.', '/')}.py"
    code = ast.unparse(ast.parse(path.read_text(encoding="utf-8")))
    for old, new in mutant.edits:
        if code.count(old) != 1:
            raise ValueError(
                f"mutant {mutant.name}: {old!r} stands {code.count(old)} times in {mutant.module},"
                " expected 1"
            )
        code = code.replace(old, new)
    return code


class _Mutating(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Imports one module with the mistake in it."""

    def __init__(self, mutant: ModuleMutant):
        path = ROOT / f"{mutant.module.replace('.', '/')}.py"
        super().__init__(mutant.module, str(path))
        self.mutant = mutant

    def find_spec(self, fullname, path=None, target=None):
        if fullname == self.mutant.module:
            return importlib.util.spec_from_loader(fullname, self)
        return None

    def get_code(self, fullname):
        return compile(mutated(self.mutant), self.path, "exec")


def killed(mutant: ModuleMutant) -> bool:
    """Whether its tests fail. Raises RuntimeError if they do not run: that would prove nothing."""
    command = [sys.executable, "-m", "tests.module_mutants", "--within", str(MUTANTS.index(mutant))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8")
    if done.returncode not in (0, 1):
        raise RuntimeError(
            f"mutant {mutant.name} does not run:\n{done.stdout[-2_000:]}{done.stderr}"
        )
    return done.returncode == 1


def _within(mutant: ModuleMutant) -> int:
    assert mutant.module not in sys.modules
    sys.meta_path.insert(0, _Mutating(mutant))
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *mutant.tests.split()]))


def main(words: list[str]) -> int:
    """Print one line a mutant. Returns 1 if one survives."""
    alive = 0
    for mutant in MUTANTS:
        if not words or any(word in f"{mutant.module} {mutant.name}" for word in words):
            dead = killed(mutant)
            alive += not dead
            print(
                f"{'killed  ' if dead else 'SURVIVES'} {mutant.module}: {mutant.name}", flush=True
            )
    return int(alive > 0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--within"]:
        raise SystemExit(_within(MUTANTS[int(sys.argv[2])]))
    raise SystemExit(main(sys.argv[1:]))
