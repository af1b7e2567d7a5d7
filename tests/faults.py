"""Disturb runs of a small study on purpose, and check that they recover.

    python -m tests.faults --kills 24 --doubles 6 --seed 0

Prints one line per trial; the exit code is 1 if a trial failed.

The command line runs the study with --jobs 2. A kill sends its parent SIGKILL or SIGTERM at a
random moment: 10 s later no process of the run may live, and the resumed run must write the same
results.csv, to the byte, as a run that nobody disturbed. A double starts a second run in the same
folder. It must end with an error that names the process at work there, and change nothing.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
STUDY = """name = "faults"
[base]
steps = 240
points = 3
seeds = 2
net = {hidden = [16]}
energy = false
alignment = false
robustness = false
[grid]
rule = ["bp", "fa", "kp"]
"""
LIMIT = 10.0  # seconds in which all processes of a run have to end
# Each step of training is saved, so that kills fall into checkpoints as well; a part of 20 ms, so
# that there are many parts.
COMMAND = """
import sys
sys.path.insert(0, {root!r})
from bioplaus.study import arm, pace
arm.SAVE_EVERY, pace.SECONDS = 0.2, 0.02
if __name__ == "__main__":
    from bioplaus.cli import main
    sys.exit(main())
"""


class Trials:
    """A folder with the study, and the runs in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "study.toml").write_text(STUDY, encoding="utf-8")
        (folder / "command.py").write_text(COMMAND.format(root=str(ROOT)), encoding="utf-8")
        self.environment = os.environ | {
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compilations"),
            "PYTHONPATH": str(ROOT),
        }
        self.environment |= {
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "PYTHONUNBUFFERED": "1",
        }
        self.took, self.whole = 0.0, b""

    def undisturbed(self) -> None:
        """Run the study twice without disturbance, for comparison; the first run fills the cache.

        took: seconds of the second run; whole: its results.
        """
        for out in ("compiles", "whole"):
            began = time.perf_counter()
            said = self.ended(self.start(out))
            assert said[0] == 0, said
            self.took = time.perf_counter() - began
        self.whole = self.results("whole")

    def start(self, out: str) -> subprocess.Popen:
        """Start or resume a run in a session of its own, so that its processes can be found."""
        words = [
            sys.executable,
            "command.py",
            "run",
            "study.toml",
            "--out",
            out,
            "--resume",
            "--jobs",
            "2",
        ]
        log = self.folder / f"{out}-{time.monotonic_ns()}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                words,
                cwd=self.folder,
                env=self.environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        process.log = log  # type: ignore[attr-defined]
        return process

    def ended(self, process: subprocess.Popen) -> tuple[int, str]:
        """Exit code and what was said."""
        return process.wait(600), process.log.read_text(encoding="utf-8")  # type: ignore[attr-defined]

    def results(self, out: str) -> bytes:
        return (self.folder / out / "results.csv").read_bytes()


def alive(session: int) -> list[int]:
    """The processes of a session, from /proc."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = file.read_text(encoding="utf-8").rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of) == session and state != "Z":
            found.append(int(file.parent.name))
    return found


def seconds_to_end(session: int) -> float:
    """How long the processes of a session go on, at most LIMIT + 5."""
    began = time.monotonic()
    while alive(session) and time.monotonic() - began < LIMIT + 5:
        time.sleep(0.02)
    return time.monotonic() - began


def kill(
    trials: Trials, out: str, moment: float, number: signal.Signals
) -> tuple[bool | None, str]:
    """Disturb a run and return whether all went as it must, and a description of what happened.

    The first value is None if the run ended before the signal was sent.
    """
    process, began = trials.start(out), time.monotonic()
    try:
        process.wait(moment)
        # the machine is less busy than it was
        trials.took = min(trials.took, time.monotonic() - began)
        return None, "over before"
    except subprocess.TimeoutExpired:
        right, text = tell(trials, out, process, number)
        return right, f"{number.name:8} at {moment:5.1f} s, {text}"


def tell(
    trials: Trials, out: str, process: subprocess.Popen, number: signal.Signals
) -> tuple[bool, str]:
    """Send a signal to the parent of a run; return whether all processes ended well, and how."""
    workers = len(alive(process.pid)) - 1
    process.send_signal(number)
    seconds = seconds_to_end(process.pid)
    code, said = trials.ended(process)
    saved = len(list((trials.folder / out).glob("arms/*/checkpoint-*[0-9]")))
    right = seconds < LIMIT
    if number != signal.SIGKILL and code != -number:  # it listened
        right &= code == 128 + number and "--resume" in said and "Traceback" not in said
    return right, f"{workers} others, exit {code:4}, gone in {seconds:4.1f} s, {saved} checkpoints"


def double(trials: Trials, out: str, apart: float) -> tuple[bool, str]:
    """Start two runs in one folder; return whether one was refused and the other finished.

    The second value describes what happened.
    """
    first = trials.start(out)
    time.sleep(apart)
    second = trials.start(out)
    (a, said_a), (b, said_b) = trials.ended(first), trials.ended(second)
    refused, by = (said_b, first) if b else (said_a, second)
    named = re.search(r"process (\d+) on \S+, since .* is at work there", refused)
    right = (
        sorted((a, b)) == [0, 2]
        and named is not None
        and int(named[1]) == by.pid
        and trials.results(out) == trials.whole
    )
    return (
        right,
        (
            f"two runs, {apart:4.1f} s apart, exits {a} and {b};"
            f" {refused.strip().splitlines()[-1][:90] if a or b else ''}"
        ),
    )


def run(trials: Trials, kills: int, doubles: int, seed: int) -> int:
    """Print one line a trial. Returns how many failed."""
    draw, done, failed, out = np.random.default_rng(seed), 0, 0, 0

    def tell(right: bool, text: str) -> None:
        nonlocal failed
        failed += not right
        print(f"{'ok' if right else 'FAILED':7}{text}", flush=True)

    while done < kills:
        number = (signal.SIGKILL, signal.SIGTERM)[int(draw.integers(2))]
        right, text = kill(trials, f"run-{out}", trials.took * draw.uniform(0.1, 0.9), number)
        if right is not None:
            done += 1
            tell(right, text)
        if right is None or done == kills:
            code, said = trials.ended(trials.start(f"run-{out}"))
            same = code == 0 and trials.results(f"run-{out}") == trials.whole
            tell(
                same,
                f"run {out} resumed:"
                f" {'the same results' if same else f'exit {code}: ' + said[-300:]}",
            )
            out += 1
    for i in range(doubles):
        tell(*double(trials, f"double-{i}", trials.took * draw.uniform(0, 0.5) * (i > 0)))
    return failed


def main(words: list[str]) -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("kills", 24), ("doubles", 6), ("seed", 0)):
        options.add_argument(f"--{name}", type=int, default=default)
    args = options.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(Path(folder))
        trials.undisturbed()
        print(f"undisturbed: {trials.took:.1f} s", flush=True)
        failed = run(trials, args.kills, args.doubles, args.seed)
    print(
        f"{failed} failed"
        if failed
        else f"{args.kills} kills and {args.doubles} doubles: nothing was lost"
    )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
