"""XLA flags for the whole suite, each set only if the installed XLA knows it.

XLA aborts the process at an unknown flag.
"""

import os
import subprocess
import sys

QUICK = ("--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1")
FOUND = "BIOPLAUS_TEST_FLAGS"


def known(flag: str) -> bool:
    """Whether the installed XLA knows a flag, tried in a child process that takes half a second.

    The library's binary cannot be searched for it: a removed flag's name stays there, as a field of
    XLA's options.
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
    """The flags of QUICK that XLA knows, kept in the environment for child processes."""
    if FOUND not in os.environ:
        os.environ[FOUND] = " ".join(flag for flag in QUICK if known(flag))
    return os.environ[FOUND]
