"""Worker processes that are started, asked for N steps and stopped.

A worker that dies or hangs raises Missing with the last lines that it printed.
"""

import json
import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import IO, Any, NamedTuple

from peers.environments import Missing
from peers.serve import MARK


class Worker(NamedTuple):
    """A running worker. log: what it wrote beside the protocol.  ready: device and versions."""

    name: str
    process: subprocess.Popen[str]
    log: IO[str]
    ready: dict[str, Any]


def start(name: str, command: list[str], limit: float) -> Worker:
    """Starts it and waits, `limit` seconds at most, until it is ready. Raises Missing."""
    log = tempfile.TemporaryFile("w+", prefix="worker")
    env = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=env,
        cwd=tempfile.gettempdir(),
    )
    worker = Worker(name, process, log, {})
    return worker._replace(ready=_answer(worker, limit))


def go(worker: Worker, steps: int, limit: float) -> dict[str, float]:
    """seconds and peak_mib of `steps` steps. Raises Missing."""
    assert worker.process.stdin
    try:
        worker.process.stdin.write(f"go {steps}\n")
        worker.process.stdin.flush()
    except BrokenPipeError:
        pass  # it is dead: told below, with its last words
    return _answer(worker, limit)


def stop(worker: Worker) -> None:
    """Ends it, whatever it is doing."""
    worker.process.kill()
    worker.process.communicate()
    worker.log.close()


def _answer(worker: Worker, limit: float) -> dict[str, Any]:
    """The next line of the protocol; what a library prints goes by."""
    assert worker.process.stdout
    timer = threading.Timer(limit, worker.process.kill)
    timer.start()
    try:
        for line in worker.process.stdout:
            if line.startswith(MARK):
                return json.loads(line.removeprefix(MARK))
    finally:
        hung = not timer.is_alive()
        timer.cancel()
    worker.process.wait()
    worker.log.seek(0)
    said = [line.strip() for line in worker.log if line.strip()]
    stop(worker)
    why = (
        f"gave no answer in {limit:.0f} s"
        if hung
        else f"ended: {said[-1] if said else 'it said nothing'}"
    )
    raise Missing(f"{worker.name} {why}")


def command_of(python: Path, file: str, task: dict[str, Any]) -> list[str]:
    return [str(python), str(Path(__file__).parent / file), json.dumps(task)]
