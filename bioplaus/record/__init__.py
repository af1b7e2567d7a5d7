"""The vocabulary of results: the contents of results.csv, which studies write and reports read.

    Row         one number, a line of results.csv: Row.of(label, seed, condition, measure, value)
    Label       the arm: data, net, rule, neuron, modulator
    Condition   the condition of the measurement, such as "step=100 layer=2"
    Measure     the measured quantity: name, unit, bounds, better direction, format

Conditions are built and parsed in `conditions` alone; all measures are listed in `measures`. To add
a measure, compute it in bioplaus/measure, add a line to `measures`, and write its rows where
bioplaus/study measures. If its line names a table of the report, it appears in that table.
"""

from bioplaus.record.conditions import ALL_CORRUPTIONS, CLEAN, FLIPPED, TRAINING, Condition
from bioplaus.record.labels import BACKPROP, FROZEN, Label, paired, partners, short_names
from bioplaus.record.measures import MEASURES, Measure, measure_of, measures_of
from bioplaus.record.rows import (
    COLUMNS,
    RESULTS,
    RESULTS_SUMS,
    Row,
    by_label,
    read_rows,
    write_rows,
)

__all__ = [
    "ALL_CORRUPTIONS",
    "BACKPROP",
    "CLEAN",
    "COLUMNS",
    "FLIPPED",
    "FROZEN",
    "MEASURES",
    "RESULTS",
    "RESULTS_SUMS",
    "TRAINING",
    "Condition",
    "Label",
    "Measure",
    "Row",
    "by_label",
    "measure_of",
    "measures_of",
    "paired",
    "partners",
    "read_rows",
    "short_names",
    "write_rows",
]
