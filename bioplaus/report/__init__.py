"""Reports of a finished run: a self-contained HTML page, and a table for the terminal."""

from bioplaus.report.page import report
from bioplaus.report.terminal import table

__all__ = ["report", "table"]
