"""The vocabulary of results, defined once: what studies write, reports read, and results.csv holds.

    Row         one number, a line of results.csv: Row.of(label, seed, condition, measure, value)
    Label       which arm it is of: data, net, rule, neuron, modulator
    Condition   under what it was measured, such as "step=100 layer=2"; built and parsed in
        `conditions` alone
    Measure     what was measured: its name, unit, bounds, better direction, and how it is written;
        the table is `measures.MEASURES`

To add a measure: compute it (bioplaus/measure), give it a line in `measures`, and write its row
where a study measures (bioplaus/study). If its line names a table of the report, it appears there,
and contrasts may name it where they can.
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
