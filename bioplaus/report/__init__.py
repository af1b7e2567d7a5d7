"""Reports: a finished run folder as one self-contained page, and as a table for the terminal."""

from bioplaus.report.page import report
from bioplaus.report.terminal import table

__all__ = ["report", "table"]
