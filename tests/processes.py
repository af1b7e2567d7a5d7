"""Processes for tests: forked from one server that has imported everything and started no backend,
so that each begins at once.
"""

import multiprocessing
import os
import sys
from pathlib import Path

import jax

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "bioplaus.study.run",
        "bioplaus.report",
        "bioplaus.testing",
        "orbax.checkpoint",
        "jax.experimental.multihost_utils",
        __name__,
    ]
)


def start(work, log: Path, *args):
    """A process that calls work(*args), with what it prints in a file. Its exit code is what `work`
    returns, 1 if that raises.
    """
    process = SERVER.Process(target=_call, args=(work, log, args), daemon=True)
    process.start()
    return process


def _call(work, log: Path, args) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    jax.config.update("jax_disable_most_optimizations", True)
    sys.exit(work(*args))
