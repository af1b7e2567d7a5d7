"""A run that receives a signal saves, says how to resume, and exits with the signal's code.

The resumed run gives the same results as one that was not stopped.
"""

import multiprocessing
import os
import re
import shlex
import signal
import time

import pytest

import bioplaus.report
from bioplaus.cli import main
from bioplaus.study import stop
from bioplaus.study.pace import Pace

pytestmark = pytest.mark.slow

STUDY = """name = "told"
[base]
rule = "fa"
steps = 6
points = 2
seeds = 2
precision = "float64"
net = {hidden = [4]}
energy = false
alignment = false
robustness = false
"""
CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


@pytest.fixture(autouse=True, scope="module")
def default_signals():
    """Python's own handlers, also where the tests were started with signals ignored (nohup, &)."""
    defaults = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    before = {s: signal.signal(s, handler) for s, handler in defaults.items()}
    yield
    for s, handler in before.items():
        signal.signal(s, handler)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The study, and the results of a run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("told")
    (folder / "told study.toml").write_text(STUDY, encoding="utf-8")
    assert main(["run", str(folder / "told study.toml"), "--out", str(folder / "whole")]) == 0
    return folder / "told study.toml", (folder / "whole" / "results.csv").read_bytes()


def told(monkeypatch, name: str) -> list[int]:
    """Send this process a signal in the second part of training; return the steps of each part."""
    advance, parts = Pace.advance, []

    def disturbed(self, *args):
        if len(parts) == 1:
            signal.raise_signal(getattr(signal, name))
        self.steps = 2
        found = advance(self, *args)
        parts.append(found[2])
        return found

    monkeypatch.setattr(Pace, "advance", disturbed)
    return parts


@pytest.mark.parametrize("name", CODES)
def test_a_signal_saves_and_prints_how_to_resume(name, whole, tmp_path, monkeypatch, capsys):
    handlers = [signal.getsignal(s) for s in stop.SIGNALS]
    words = ["run", str(whole[0]), "--out", str(tmp_path / "run")]
    with monkeypatch.context() as patched:
        parts = told(patched, name)
        assert main(words) == CODES[name]
    error = capsys.readouterr().err
    assert "Traceback" not in error
    (said,) = re.findall(
        "^bioplaus: stopped; the work so far is saved. To resume: bioplaus (.*)$", error, re.M
    )
    assert shlex.split(said) == [*words, "--resume"]
    assert parts == [2, 1]  # to the first moment of measurement: what was being computed is kept
    assert [signal.getsignal(s) for s in stop.SIGNALS] == handlers
    assert not (tmp_path / "run" / "results.csv").exists()
    assert [p.name for p in (tmp_path / "run").glob("arms/*/checkpoint*")] == ["checkpoint-3"]


def test_a_run_stopped_between_measurements_resumes_bit_for_bit(whole, tmp_path, monkeypatch):
    """A run stopped between two measurements resumes to the same results, to the byte.

    Measures of the steps since the last measurement are part of a mean over all of them, and are
    saved with the state.
    """
    monkeypatch.setattr(bioplaus.report, "report", lambda out: None)
    words = ["run", str(whole[0]), "--out", str(tmp_path / "run"), "--resume"]
    advance = Pace.advance

    def disturbed(self, *args):
        self.steps = 1
        found = advance(self, *args)
        signal.raise_signal(signal.SIGTERM)
        return *found[:3], signal.SIGTERM

    for step in (1, 2):
        with monkeypatch.context() as patched:
            patched.setattr(Pace, "advance", disturbed)
            assert main(words) == CODES["SIGTERM"]
        assert step == max(
            int(p.name.removeprefix("checkpoint-"))
            for p in (tmp_path / "run").glob("arms/*/checkpoint-*")
        )
    assert main(words) == 0
    assert (tmp_path / "run" / "results.csv").read_bytes() == whole[1]


def test_a_comparison_is_resumed_by_run(tmp_path, monkeypatch, capsys):
    told(monkeypatch, "SIGTERM")
    out = tmp_path / "run"
    assert (
        main(
            [
                "compare",
                "--rules",
                "fa",
                "--steps",
                "6",
                "--seeds",
                "1",
                "--out",
                str(out),
                "--jobs",
                "1",
            ]
        )
        == CODES["SIGTERM"]
    )
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith(f"To resume: bioplaus run {out / 'study.toml'} --out {out} --resume")
    )


def test_a_signal_ends_training_after_its_part_and_other_work_at_once():
    done = []

    def train():
        with stop.patient():
            signal.raise_signal(signal.SIGHUP)
            done.append("the part")
        done.append("more")

    def measure():
        signal.raise_signal(signal.SIGTERM)
        done.append("more")

    for work, number in ((train, signal.SIGHUP), (measure, signal.SIGTERM)):
        with pytest.raises(stop.Stopped) as raised, stop.listening(str):
            work()
        assert raised.value.signal == number
    assert done == ["the part"]
    stop.look()  # it is not told twice


def test_a_run_that_does_not_end_in_time_is_killed_with_its_workers(monkeypatch, capsys):
    codes = []
    monkeypatch.setattr(os, "_exit", codes.append)
    worker = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    worker.start()
    with stop.listening(lambda: "the last words"):
        stop._leave(signal.SIGHUP)
    worker.join(10)
    assert (codes, worker.exitcode) == ([129], -9)
    assert capsys.readouterr().err == "the last words\n"
