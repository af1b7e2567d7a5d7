"""Runs the commands of the command line.

Slow imports are made inside the commands that need them, so that `bioplaus --help` is fast.

Exit codes:

    0              success
    1              a check failed
    2              an argument or a setting is wrong; a message says which, before any work
    3              a process of a run on many machines stopped, and so did the run
    4              a file or the output could not be written, for instance because a disk is full
    130, 143, 129  stopped by SIGINT, SIGTERM, SIGHUP; the work so far is saved
"""

import shlex
import signal
import sys
from dataclasses import replace
from pathlib import Path

import tyro

from bioplaus.cli import console
from bioplaus.cli.commands import Command, Compare, List, Report, Run, Tune, Verify
from bioplaus.version import __version__


def main(words: list[str] | None = None) -> int:
    """Run one command. Returns the exit code."""
    return console.guarded(lambda: _main(sys.argv[1:] if words is None else words))


def _main(words: list[str]) -> int:
    if words == ["--version"]:
        print(f"bioplaus {__version__}")
        return 0
    command, rest = tyro.cli(
        Command, prog="bioplaus", description=__doc_line__, args=words, return_unknown_args=True
    )
    try:
        if rest and not isinstance(command, Run):
            name = type(command).__name__.lower()
            raise UsageError(
                f"unknown arguments: {' '.join(rest)}; see `bioplaus {name} --help` (settings such"
                " as --net.hidden can be given to `run` only)"
            )
        if not isinstance(command, Compare | Run | Tune):
            return HANDLERS[type(command)](command, rest)
        from bioplaus.study import jobs, stop

        jobs.keep_compilations()
        with console.unbroken(), stop.listening(lambda: _go_on(command, words)):
            return HANDLERS[type(command)](command, rest)
    except KeyboardInterrupt as stopped:
        print(_go_on(command, words), file=sys.stderr)
        return 128 + getattr(stopped, "signal", signal.SIGINT)
    except (ValueError, RuntimeError) as error:
        if not isinstance(error, _ours()):
            raise
        print(f"bioplaus: {error}", file=sys.stderr)
        return 2


def _go_on(command, words: list[str]) -> str:
    """The message after a command was stopped, with the command that resumes it."""
    if not isinstance(command, Compare | Run | Tune):
        return "bioplaus: stopped"
    if isinstance(command, Compare) and command.out and (command.out / "study.toml").exists():
        words = ["run", str(command.out / "study.toml"), "--out", str(command.out), "--resume"]
    elif isinstance(command, Run) and not command.arms and not command.resume:
        words = [*words, "--resume"]
    return f"bioplaus: stopped; the work so far is saved. To resume: bioplaus {shlex.join(words)}"


__doc_line__ = (
    "Train and compare biologically plausible learning rules.\n\nbioplaus --version prints the"
    " version."
)


def _ours() -> tuple[type[Exception], ...]:
    """Errors in the user's arguments and settings. All others are bugs, and show a traceback."""
    from bioplaus.data import DataError
    from bioplaus.extensions import ExtensionError
    from bioplaus.study import StudyError

    return StudyError, DataError, ExtensionError, UsageError


class UsageError(ValueError):
    """An argument that is wrong, or that does not fit the others."""


def _compare(command: Compare, rest: list[str]) -> int:
    from bioplaus.study.comparison import comparison
    from bioplaus.study.jobs import run_jobs

    del rest
    study = comparison(
        None if command.rules is None else _keys(command.rules),
        data=command.data,
        net=command.net,
        seeds=command.seeds,
        steps=command.steps,
        own=command.own,
    )
    settings = (
        "tuned for each rule"
        if command.own
        else "common: one optimiser and learning rate for all rules"
    )
    print(f"settings: {settings}")
    if command.rules == "all":
        _all(command.net, command.data)
    command.out = command.out or _new(Path("results") / f"compare-{command.data}")
    return _finish(run_jobs(study, command.out, jobs=command.jobs))


def _run(command: Run, rest: list[str]) -> int:
    if not command.distributed:
        return _run_here(command, rest)
    import jax

    from bioplaus.training.machines import joined

    if command.arms:
        raise UsageError(
            "--arms and --distributed: give one of them; shares of the arms need no --distributed"
        )
    if command.jobs:
        raise UsageError(
            "--jobs and --distributed: give one of them; all machines train each arm together"
        )
    with joined(_ours(), UsageError):
        return _run_here(replace(command, mesh=command.mesh or f"data={jax.device_count()}"), rest)


def _run_here(command: Run, rest: list[str]) -> int:
    from bioplaus.study import load, override
    from bioplaus.study.jobs import run_jobs
    from bioplaus.study.run import run_study
    from bioplaus.study.share import run_share

    if command.arms and (command.mesh or command.jobs):
        other = "mesh" if command.mesh else "jobs"
        raise UsageError(
            f"--arms and --{other}: give one of them; a share of the arms is trained arm by arm, on"
            " one device each"
        )
    if command.mesh and command.jobs:
        raise UsageError(
            "--mesh and --jobs: give one of them; arms on a mesh are trained one after the other"
        )
    study, out = (
        override(load(command.study), rest),
        command.out or Path("results") / command.study.stem,
    )
    if command.arms:
        missing = run_share(study, command.arms, out, many=command.many)
        print(
            f"arms {command.arms} are done;"
            f" {'not finished: ' + ', '.join(missing) if missing else 'all other arms are, too'}"
        )
        return 0
    if command.mesh:
        return _finish(
            run_study(study, out=out, resume=command.resume, mesh=command.mesh, many=command.many)
        )
    return _finish(
        run_jobs(study, out, jobs=command.jobs, resume=command.resume, many=command.many)
    )


def _keys(text: str) -> list[str]:
    keys = [key.strip() for key in text.split(",") if key.strip()]
    if not keys:
        raise UsageError(
            f"rules: got {text!r}, which holds no key; give keys separated by commas, as in bp,fa,"
            " or all"
        )
    return keys


def _all(net: str | None, data: str) -> list[str]:
    """The rules that `all` means for a net; prints which are left out, and why. None: the net that
    the data take."""
    from bioplaus.rules import RULES, of_labels
    from bioplaus.study.sequences import net_kind
    from bioplaus.support import NEEDS_TIME, NEEDS_WORLD, needs_rewards

    keys = of_labels(over_time=net_kind(net, data) == "spiking")
    for key, factory in RULES.items():
        if key not in keys:
            print(f"left out: {key}: {NEEDS_WORLD if needs_rewards(factory) else NEEDS_TIME}")
    return keys


def _tune(command: Tune, rest: list[str]) -> int:
    from bioplaus.rules import BASELINES
    from bioplaus.study.tune import tune

    del rest
    if min(command.trials, command.seeds, command.steps, command.epochs) < 1:
        raise UsageError("trials, seeds, steps and epochs must each be 1 or more")
    keys = _all(command.net, command.data) if command.rules == "all" else _keys(command.rules)
    tune(
        [*keys, *BASELINES],
        data=command.data,
        net=command.net,
        trials=command.trials,
        seeds=command.seeds,
        steps=command.steps,
        epochs=command.epochs,
        out=command.out,
    )
    print(f"written: {command.out}")
    return 0


def _finish(results) -> int:
    from bioplaus.training.machines import first

    if first():
        print(f"{results}\n\nreport: {results.folder / 'report.html'}")
    return 0


def _new(path: Path) -> Path:
    """The first of path, path-2, path-3, ... that does not exist."""
    n, found = 1, path
    while found.exists():
        n += 1
        found = path.with_name(f"{path.name}-{n}")
    return found


def _verify(command: Verify, rest: list[str]) -> int:
    from bioplaus.identities import families, verify, verify_spiking
    from bioplaus.rules import BASELINES, available
    from bioplaus.study.settings import nearest

    del rest
    checked, rules = families(), available()
    for name in command.rules:
        if name not in rules:
            raise UsageError(f"there is no rule {name!r}{nearest(name, rules)}")
        if name not in checked:
            raise UsageError(
                f"rule {name!r} has no identities; its package can register them under the entry"
                " point `bioplaus.identities`"
            )
    passed = True
    for key in command.rules or [key for key in rules if key in checked and key not in BASELINES]:
        for check in verify_spiking(key) if command.net == "spiking" else verify(key):
            print(check, flush=True)
            passed &= check.passed
    print(
        "all identities hold, and all negative controls differ"
        if passed
        else "FAILED: see the marked lines above"
    )
    return 0 if passed else 1


def _list(command: List, rest: list[str]) -> int:
    from bioplaus.cli.catalogue import NOTES, tables

    del rest
    for name, table in tables().items():
        if command.what in (name, "all"):
            print(f"{name}\n" + "\n".join(f"  {key:18} {text}" for key, text in table.items()))
            if name in NOTES:
                print(f"  {NOTES[name]}")
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


HANDLERS = {
    Compare: _compare,
    Run: _run,
    Tune: _tune,
    Verify: _verify,
    List: _list,
    Report: _report,
}
