"""The suite itself: it runs on every Python from 3.11 on, with flags that the installed XLA knows."""

import os

from xla_flags import FOUND, QUICK, known


def test_a_flag_is_set_only_where_xla_knows_it():
    assert known("--xla_cpu_parallel_codegen_split_count=1")
    assert not known("--xla_cpu_parallel_codegen_split_count_of_old=1")
    assert not known("--xla_cpu_parallel_codegen_split_count=1 --xla_cpu_parallel_codegen_split_count_of_old=1")
    found = os.environ[FOUND].split()
    assert found == [flag for flag in QUICK if flag in os.environ["XLA_FLAGS"].split()]
    assert found == [flag for flag in QUICK if known(flag)]
