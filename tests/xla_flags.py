"""Flags of XLA for the whole suite, each set only where the installed XLA knows it: an unknown flag
aborts the process.
"""

import os
import subprocess
import sys

QUICK = ("--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1")
FOUND = "BIOPLAUS_TEST_FLAGS"


def known(flag: str) -> bool:
    """Whether the installed XLA knows a flag. A child process tries it, in half a second: the least
    that reads the flags.

    The library's binary cannot be asked: a flag's name stays there, as a field of XLA's options,
    when the flag is gone.
    """
    program = "from jaxlib.xla_client import CompileOptions; CompileOptions()"
    child = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "XLA_FLAGS": flag},
        capture_output=True,
        check=False,
    )
    return child.returncode == 0


def known_flags() -> str:
    """The flags of QUICK that are known. What was found is kept in the environment, for workers and
    child processes.
    """
    if FOUND not in os.environ:
        os.environ[FOUND] = " ".join(flag for flag in QUICK if known(flag))
    return os.environ[FOUND]
