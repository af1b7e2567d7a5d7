"""Studies that several tests run, and what they look at in a run."""

from pathlib import Path
from typing import NamedTuple

from bioplaus.study import Study, run_study
from bioplaus.study.results import Row

SMALL = Study(
    name="small",
    base={"steps": 20, "seeds": 2, "points": 2, "net": {"hidden": [12, 12]}},
    grid={"rule": ["fa", "bp", "frozen"]},
)


# what is run again and again
LIGHT = SMALL.model_copy(
    update={"base": {**SMALL.base, "robustness": False, "energy": False, "alignment": False}}
)


class Written(NamedTuple):
    """A run that was written to a folder."""

    rows: list[Row]
    summary: dict
    folder: Path


def written(study: Study, out: Path, resume: bool = False) -> Written:
    found = run_study(study, out=out, resume=resume, show=False)
    assert found.folder is not None
    return Written(found.rows, found.summary, found.folder)


def values(rows: list[Row], rule: str, measure: str, condition: str) -> list[float]:
    return [r.value for r in rows if (r.rule, r.measure, r.condition) == (rule, measure, condition)]
