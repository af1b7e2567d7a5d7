"""The smallest part of `python -m tests.faults`, which disturbs many runs."""

import signal
import time
from pathlib import Path

import pytest
from faults import Trials, tell

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc"),
]


def test_a_run_of_two_jobs_that_is_told_to_stop_ends_in_seconds_with_all_of_its_workers(tmp_path):
    trials = Trials(tmp_path)
    process = trials.start("run")
    while process.poll() is None and not list((tmp_path / "run").glob("arms/*/checkpoint-*")):
        time.sleep(0.05)
    right, text = tell(trials, "run", process, signal.SIGTERM)
    assert right, text
    assert "exit  143" in text
