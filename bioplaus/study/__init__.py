"""A study: rules x neurons x modulators x seeds -> results. What `bp.compare`, the command line and
experiments/ all run.
"""

from bioplaus.study.comparison import compare
from bioplaus.study.run import Results, run_study
from bioplaus.study.settings import Arm, Study, StudyError
from bioplaus.study.spec import load, override

__all__ = ["Arm", "Results", "Study", "StudyError", "compare", "load", "override", "run_study"]
