"""One small study with every measure, which is run once for all tests that look at its results."""

import json
from pathlib import Path
from typing import NamedTuple

import jax
import pytest

from bioplaus.record import RESULTS, RESULTS_SUMS, Row, read_rows
from bioplaus.study import Study, run_study
from bioplaus.study.lock import held

SMALL = Study(
    name="small",
    base={"steps": 20, "seeds": 2, "points": 2, "net": {"hidden": [12, 12]}},
    grid={"rule": ["fa", "bp", "frozen"]},
)


class Written(NamedTuple):
    """A run that was written to a folder."""

    rows: list[Row]
    summary: dict
    folder: Path


@pytest.fixture(scope="session")
def small(tmp_path_factory, request) -> Written:
    """The study SMALL, run once and written to a folder that all processes of a test run share.

    The first process that asks for it runs it, and the others wait.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if hasattr(request.config, "workerinput") else base) / "small"
    with held(folder.with_name("small-is-made"), wait=-1):
        if not (folder / RESULTS_SUMS).exists():
            before = jax.config.read("jax_disable_most_optimizations")
            # compiles much, computes little
            jax.config.update("jax_disable_most_optimizations", True)
            run_study(SMALL, out=folder, resume=True, show=False)
            jax.config.update("jax_disable_most_optimizations", before)
    results, summary, _ = (folder / name for name in RESULTS)
    return Written(read_rows(results), json.loads(summary.read_text(encoding="utf-8")), folder)
