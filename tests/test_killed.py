"""A run that is killed at any moment and resumed loses no more than the time since a checkpoint."""

import contextlib
import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from processes import start

import bioplaus.report
from bioplaus.study import Study, arm, run, run_study

KILLS, STEPS, POINTS = 12, 32, 8
QUICK = {"net": {"hidden": [8]}, "robustness": False, "energy": False, "alignment": False}
STUDY = Study(
    name="killed", base={"rule": "fa", "steps": STEPS, "seeds": 1, "points": POINTS, **QUICK}
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/stat").exists(),
        reason="moments are of processor time, read from /proc",
    ),
]


def study(out: Path, ticks: Path, forgetful: bool) -> None:
    """Run or resume the study, with a checkpoint after every part.

    ticks: a file to which the number of steps of each part is written. forgetful: save checkpoints
    without their last row, as a negative control.
    """
    arm.SAVE_EVERY = 0.0
    bioplaus.report.report = lambda out: None  # made from the files, and half of the time

    @contextlib.contextmanager
    def progress_bar(total, show):
        del total, show
        with ticks.open("w", encoding="utf-8") as file:
            yield (lambda name: None), lambda n: print(n, file=file, flush=True)

    run.progress_bar = progress_bar
    if forgetful:
        whole = arm.save
        arm.save = lambda folder, step, state, note, **k: whole(
            folder, step, state, {**note, "rows": note["rows"][:-1]}, **k
        )
    run_study(STUDY, out=out, resume=True, show=False)
    Path(ticks.with_suffix(".seconds")).write_text(
        json.dumps(time.process_time()), encoding="utf-8"
    )


def newest(out: Path) -> int:
    """The step of the newest checkpoint, 0 where there is none."""
    return max(
        (int(p.name.removeprefix("checkpoint-")) for p in out.glob("arms/*/checkpoint-*[0-9]")),
        default=0,
    )


def stage(out: Path, before: int) -> str:
    """What a run was doing when it was killed, judged by its files.

    before: the step at which this run began.
    """
    ticks = out.with_suffix(".ticks")
    trained = ticks.exists() and len(ticks.read_text(encoding="utf-8").split()) > bool(before)
    # not one that an earlier start has left
    if trained and list(out.glob("arms/*/checkpoint.part")):
        return "in a checkpoint"
    if not newest(out):
        return "before the first"
    return "between" if newest(out) < STEPS else "at the end"


def processor_time(pid: int | None) -> float:
    """Processor time of a process in seconds, 0 if it has ended.

    Unlike elapsed time it does not depend on what else the machine does.
    """
    try:
        user, system = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
        )
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def finishes(
    out: Path, kill: Callable[[int], bool] = lambda pid: False, forgetful: bool = False
) -> bool:
    """Run or resume the study in a process, which `kill` may end; return whether it finished.

    A run that finishes must have continued where the last one stopped.
    """
    before, ticks, log = newest(out), out.with_suffix(".ticks"), out.with_suffix(".log")
    ticks.unlink(missing_ok=True)
    process = start(study, log, out, ticks, forgetful)
    while process.exitcode is None:
        if kill(process.pid or 0):
            process.kill()
        process.join(0.002)
    if process.exitcode == -9:
        return False
    assert process.exitcode == 0, log.read_text(encoding="utf-8")[-3000:]
    steps = [int(n) for n in ticks.read_text(encoding="utf-8").split()]
    assert sum(steps) == STEPS
    assert steps[0] == (before or 1)  # what was done before, or the first part of a run
    return True


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The results of a run that nobody killed, and its processor time. The first one compiles."""
    folder = tmp_path_factory.mktemp("whole")
    assert finishes(folder / "compiles")
    assert finishes(folder / "whole")
    return (folder / "whole" / "results.csv").read_bytes(), json.loads(
        (folder / "whole.seconds").read_text(encoding="utf-8")
    )


def test_a_run_that_is_killed_at_any_moment_and_resumed_gives_the_same_file(whole, tmp_path):
    results, took = whole
    draw, kills, runs = np.random.default_rng(0), Counter(), 0
    while kills.total() < KILLS:
        out, runs = tmp_path / str(runs), runs + 1
        before, moment = 0, took * draw.random()
        while not finishes(out, lambda pid: processor_time(pid) >= moment):  # noqa: B023
            kills[stage(out, before)] += 1
            before, moment = (
                newest(out),
                took * draw.random() if kills.total() < KILLS else math.inf,
            )
        took = min(
            took,
            json.loads(out.with_suffix(".seconds").read_text(encoding="utf-8"))
            if not before
            else took,
        )
        assert (out / "results.csv").read_bytes() == results
    assert min(kills[s] for s in ("before the first", "in a checkpoint", "between")) > 0, kills


def test_a_checkpoint_without_its_last_row_is_detected(whole, tmp_path):
    """The control: a row is lost between the state and its note."""
    out = tmp_path / "run"
    assert not finishes(out, lambda pid: newest(out) > 0, forgetful=True)
    assert finishes(out)
    assert (out / "results.csv").read_bytes() != whole[0]
