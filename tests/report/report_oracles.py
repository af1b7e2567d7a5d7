"""Numbers from the rows, computed another way than in the report; and rows with other values."""

import numpy as np
from scipy import stats

from bioplaus.files import seal
from bioplaus.record import RESULTS, RESULTS_SUMS, write_rows
from bioplaus.study.results import write_json


def of(rows, rule, measure, condition):
    """seed -> value. measure, condition: as they stand in results.csv."""
    return {
        r.seed: r.value
        for r in rows
        if (r.rule, r.measure, r.condition) == (rule, measure, condition)
    }


def by_numpy(x):
    """95 % t interval, another way: through scipy's own frozen distribution."""
    x = np.asarray(x)
    low, high = stats.t(len(x) - 1, loc=x.mean(), scale=stats.sem(x)).interval(0.95)
    return x.mean(), low, high


def changed(rows, values):
    """The rows with new values for the (rule, measure, condition, seed) that are keys of `values`.

    Every key must exist among the rows.
    """
    keys = {(r.rule, r.measure, r.condition, r.seed) for r in rows}
    assert not values.keys() - keys
    return [
        r._replace(value=values.get((r.rule, r.measure, r.condition, r.seed), r.value))
        for r in rows
    ]


def write_run(folder, rows, summary=None, timing=None):
    """A folder as a run writes it."""
    folder.mkdir()
    write_rows(folder / RESULTS[0], rows)
    write_json(folder / RESULTS[1], summary or {})
    write_json(folder / RESULTS[2], timing or {})
    seal(folder / RESULTS_SUMS, RESULTS)
    return folder
