"""The command line. Everything heavy is imported when a command needs it: `bioplaus --help` answers at once.

Exit codes: 0 done; 1 a check failed; 2 something given was wrong (one message says what), before any work started; 3 a process of a
run on many machines has stopped, and with it the run; 4 a file or the output could not be written, as on a full disk.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from bioplaus import console


@dataclass
class Compare:
    """Train rules side by side on the same net, data, batches and budget; print a table and write a report."""

    rules: str = "bp,fa,kp,usf,dfa,np,pc,ep"
    """Keys separated by commas, or all for every rule there is. The frozen baseline is always added."""
    data: str = "digits"
    """digits, mnist, fashion-mnist or cifar10."""
    seeds: int | None = None
    """Seeds, trained together; 5 on digits and 3 on larger data where none is given."""
    steps: int | None = None
    """Training steps; 1,000 on digits and each rule's epochs, at most 5, on larger data where none is given."""
    own: bool = False
    """Each rule at its own tuned settings (bioplaus/defaults.toml), rather than all at common ones."""
    out: Path | None = None
    """A new folder for the results; results/compare-DATA, numbered, where none is given."""
    jobs: int | None = None
    """Arms trained at a time, in processes of their own; one a core, at most 8, where none is given."""


@dataclass
class Run:
    """Run a study file: [base] settings, crossed with [grid]. Any setting can be given as --key.path value."""

    study: Positional[Path]
    """The study file (.toml)."""
    out: Path | None = None
    """A new folder for the results; results/NAME where none is given."""
    resume: bool = False
    """Go on in a folder that exists; starts where there is none."""
    arms: str | None = None
    """A share of the arms, for a queue of many machines: 3/16 trains the third of sixteen; a run with --resume then collects them."""
    mesh: str | None = None
    """Several devices: data=4,model=2 divides batches and layers, seeds=8 puts seeds side by side."""
    jobs: int | None = None
    """Arms trained at a time, in processes of their own; one a core, at most 8, where none is given, and 1 on a mesh."""
    distributed: bool = False
    """One run on many machines, started once on each: by srun, on a TPU pod or by Kubernetes. Batches are divided over all devices
    unless --mesh says otherwise. See experiments/machines.md."""


@dataclass
class Tune:
    """Find each rule's own settings: the same number of trials for all, on the validation split, and of the best three the one that is
    best on three new seeds. Writes a defaults.toml, rule by rule, with the scores; a run that was stopped goes on."""

    rules: str = "all"
    """Keys separated by commas, or all; the frozen baseline is tuned with them."""
    data: str = "digits"
    """digits, mnist, fashion-mnist or cifar10."""
    trials: int = 24
    """Settings tried for each rule."""
    seeds: int = 3
    """Seeds for each trial."""
    steps: int = 1000
    """Training steps of a trial."""
    epochs: int = 10
    """How long the settings are to be used, written with them."""
    out: Path = Path("defaults.toml")
    """The file to write. One that exists is gone on with, if it is of the same budget."""


@dataclass
class Verify:
    """Check each rule's mathematical identities and negative controls; exit code 1 if one fails."""

    rules: Positional[tuple[str, ...]] = ()
    """Keys of rules; all where none is given."""


@dataclass
class List:
    """List what there is to choose from."""

    what: Positional[Literal["rules", "neurons", "modulators", "data", "profiles", "all"]] = "all"


@dataclass
class Report:
    """Write report.html anew from a results folder."""

    folder: Positional[Path]


Command = (
    Annotated[Compare, arg(name="compare")]
    | Annotated[Run, arg(name="run")]
    | Annotated[Tune, arg(name="tune")]
    | Annotated[Verify, arg(name="verify")]
    | Annotated[List, arg(name="list")]
    | Annotated[Report, arg(name="report")]
)


def main(words: list[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    return console.guarded(lambda: _main(sys.argv[1:] if words is None else words))


def _main(words: list[str]) -> int:
    command, rest = tyro.cli(Command, prog="bioplaus", description=__doc_line__, args=words, return_unknown_args=True)
    try:
        if rest and not isinstance(command, Run):
            name = type(command).__name__.lower()
            raise UsageError(
                f"unknown arguments: {' '.join(rest)}; see `bioplaus {name} --help` (settings as --net.hidden are those of `run`)"
            )
        if not isinstance(command, Compare | Run | Tune):
            return HANDLERS[type(command)](command, rest)
        from bioplaus.study.jobs import keep_compilations

        keep_compilations()
        with console.unbroken():
            return HANDLERS[type(command)](command, rest)
    except KeyboardInterrupt:
        print("stopped; a run with a folder goes on with --resume", file=sys.stderr)
        return 130
    except (ValueError, RuntimeError) as error:
        if not isinstance(error, _ours()):
            raise
        print(f"bioplaus: {error}", file=sys.stderr)
        return 2


__doc_line__ = "Biologically plausible learning: rules, noise and neuromodulators on one harness."


def _ours() -> tuple[type[Exception], ...]:
    """Errors about what the user gave. Anything else is a bug and keeps its traceback."""
    from bioplaus.data import DataError
    from bioplaus.study import StudyError

    return StudyError, DataError, UsageError


class UsageError(ValueError):
    """An argument that makes no sense here."""


def _compare(command: Compare, rest: list[str]) -> int:
    from bioplaus.study.comparison import comparison
    from bioplaus.study.jobs import run_jobs

    del rest
    study = comparison(_keys(command.rules), data=command.data, seeds=command.seeds, steps=command.steps, own=command.own)
    print(
        "settings: each rule's own, as tuned"
        if command.own
        else "settings: common, one optimiser and learning rate for all rules"
    )
    return _finish(run_jobs(study, command.out or _new(Path("results") / f"compare-{command.data}"), jobs=command.jobs))


def _run(command: Run, rest: list[str]) -> int:
    if not command.distributed:
        return _run_here(command, rest)
    import jax

    from bioplaus.machines import joined

    if command.arms:
        raise UsageError("--arms and --distributed: give one of them; an array of jobs needs no --distributed")
    with joined(_ours(), UsageError):
        return _run_here(replace(command, mesh=command.mesh or f"data={jax.device_count()}"), rest)


def _run_here(command: Run, rest: list[str]) -> int:
    from bioplaus.study import load, override
    from bioplaus.study.jobs import run_jobs
    from bioplaus.study.run import run_study
    from bioplaus.study.share import run_share

    study, out = override(load(command.study), rest), command.out or Path("results") / command.study.stem
    if command.arms:
        missing = run_share(study, command.arms, out)
        print(f"arms {command.arms} are done; {'not yet: ' + ', '.join(missing) if missing else 'so are all others'}")
        return 0
    if command.mesh:
        return _finish(run_study(study, out=out, resume=command.resume, mesh=command.mesh))
    return _finish(run_jobs(study, out, jobs=command.jobs, resume=command.resume))


def _keys(text: str) -> list[str]:
    return [key.strip() for key in text.split(",") if key.strip()]


def _tune(command: Tune, rest: list[str]) -> int:
    from bioplaus.rules import BASELINES, RULES
    from bioplaus.study.tune import tune

    del rest
    if min(command.trials, command.seeds, command.steps, command.epochs) < 1:
        raise UsageError("trials, seeds, steps and epochs must each be 1 or more")
    keys = list(RULES) if command.rules == "all" else _keys(command.rules)
    tune(
        [*keys, *BASELINES],
        data=command.data,
        trials=command.trials,
        seeds=command.seeds,
        steps=command.steps,
        epochs=command.epochs,
        out=command.out,
    )
    print(f"written: {command.out}")
    return 0


def _finish(results) -> int:
    from bioplaus.machines import first

    if not first():
        return 0
    print(results)
    print(f"\nreport: {results.folder / 'report.html'}")
    return 0


def _new(path: Path) -> Path:
    """The path, or the first of path-2, path-3, ... that does not exist."""
    n, found = 1, path
    while found.exists():
        n += 1
        found = path.with_name(f"{path.name}-{n}")
    return found


def _verify(command: Verify, rest: list[str]) -> int:
    from bioplaus.identities import families, verify
    from bioplaus.rules import BASELINES, available
    from bioplaus.study.settings import nearest

    del rest
    checked, rules = families(), available()
    for name in command.rules:
        if name not in rules:
            raise UsageError(f"there is no rule {name!r}{nearest(name, rules)}")
        if name not in checked:
            raise UsageError(
                f"rule {name!r} brings no identities; its package gives them as an entry point `bioplaus.identities`"
            )
    passed = True
    for key in command.rules or [key for key in rules if key in checked and key not in BASELINES]:
        for check in verify(key):
            print(check, flush=True)
            passed &= check.passed
    print("all identities hold, all controls differ" if passed else "FAILED: see the lines marked above")
    return 0 if passed else 1


def _list(command: List, rest: list[str]) -> int:
    from bioplaus.catalogue import tables

    del rest
    for name, table in tables().items():
        if command.what in (name, "all"):
            print(f"{name}\n" + "\n".join(f"  {key:18} {text}" for key, text in table.items()))
    return 0


def _report(command: Report, rest: list[str]) -> int:
    from bioplaus.report import report

    del rest
    try:
        page = report(command.folder)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error
    print(page)
    return 0


HANDLERS = {Compare: _compare, Run: _run, Tune: _tune, Verify: _verify, List: _list, Report: _report}
