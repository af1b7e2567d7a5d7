"""Studies: grids of rules, neurons, modulators and seeds, trained and measured.

`bp.compare`, the command line and the scripts in experiments/ all run one.
"""

from bioplaus.study.comparison import compare
from bioplaus.study.run import Results, run_study
from bioplaus.study.settings import Arm, Study, StudyError
from bioplaus.study.spec import load, override

__all__ = ["Arm", "Results", "Study", "StudyError", "compare", "load", "override", "run_study"]
