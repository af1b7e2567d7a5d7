"""Processes for tests, forked from a server that has imported everything, so that they start fast.

The server has started no JAX backend.
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
    """Start a process that calls work(*args) and writes what it prints to a file.

    Its exit code is what `work` returns, or 1 if that raises.
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
