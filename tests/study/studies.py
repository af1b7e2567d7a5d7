"""Studies that several tests run, and what they look at in a run."""

from pathlib import Path

from small_run import SMALL, Written

from bioplaus.record import Row
from bioplaus.study import Study, run_study

LIGHT = SMALL.model_copy(
    update={"base": {**SMALL.base, "robustness": False, "energy": False, "alignment": False}}
)  # what is run again and again


def written(study: Study, out: Path, resume: bool = False) -> Written:
    found = run_study(study, out=out, resume=resume, show=False)
    assert found.folder is not None
    return Written(found.rows, found.summary, found.folder)


def values(rows: list[Row], rule: str, measure: str, condition: str) -> list[float]:
    return [r.value for r in rows if (r.rule, r.measure, r.condition) == (rule, measure, condition)]
