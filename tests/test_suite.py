"""The suite runs on every Python from 3.11 on, with flags that the installed XLA knows."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import variants
from variants import COSTLY, FIRST, MANY_IDENTITIES, ON_ONE_NET, SHOWN
from xla_flags import FOUND, QUICK, known

from bioplaus.identities import FAMILIES


def test_a_flag_is_set_only_where_xla_knows_it():
    assert known("--xla_cpu_parallel_codegen_split_count=1")
    assert not known("--xla_cpu_parallel_codegen_split_count_of_old=1")
    assert not known(
        "--xla_cpu_parallel_codegen_split_count=1 --xla_cpu_parallel_codegen_split_count_of_old=1"
    )
    found = os.environ[FOUND].split()
    assert found == [flag for flag in QUICK if flag in os.environ["XLA_FLAGS"].split()]
    assert found == [flag for flag in QUICK if known(flag)]


def test_ci_finds_the_newest_python_that_runs(tmp_path):
    """Of a Python that cannot start, as pyenv has them on the path, and one that can."""
    (tmp_path / "python3.99").write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    (tmp_path / "python3.99").chmod(0o755)
    for name, target in {
        "python3.98": sys.executable,
        **{t: shutil.which(t) for t in ("bash", "sort", "tail", "cut")},
    }.items():
        (tmp_path / name).symlink_to(str(target))
    environment = {"PATH": str(tmp_path), "PYENV_ROOT": str(tmp_path)}
    script = Path(__file__).parents[1] / ".ci" / "newest-python"
    found = subprocess.run(
        [script], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
    code = "import sys; print(sys.version)"
    versions = {
        subprocess.run([p, "-c", code], capture_output=True, text=True, check=True).stdout
        for p in (found, sys.executable)
    }
    assert len(versions) == 1


def test_no_check_is_lost_between_make_test_and_make_slow():
    """Each list has every rule once, or every rule that learns from labels, and what is slow has a
    check of its own in `make test`."""
    labelled = FAMILIES.keys() - variants.REWARDED
    lists = (
        (variants.LABELLED_AND_SLOW_VARIANTS, labelled),
        (variants.LABELLED_AND_SLOW_COSTLY, labelled),
        (variants.IDENTITIES, FAMILIES),
        (variants.SHOWN_AND_SLOW_OTHERS, FAMILIES),
    )
    for keys, rules in lists:
        assert sorted(getattr(k, "values", (k,))[0] for k in keys) == sorted(rules)
    assert {*MANY_IDENTITIES} <= {*FIRST}
    assert {*ON_ONE_NET, *COSTLY, *SHOWN} == {*FIRST}
