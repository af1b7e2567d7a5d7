"""Numbers from the rows, computed another way than in the report."""

import numpy as np
from scipy import stats


def of(rows, rule, measure, condition):
    return {
        r["seed"]: float(r["value"])
        for r in rows
        if (r["rule"], r["measure"], r["condition"]) == (rule, measure, condition)
    }


def by_numpy(x):
    """95 % t interval, another way: through scipy's own frozen distribution."""
    x = np.asarray(x)
    low, high = stats.t(len(x) - 1, loc=x.mean(), scale=stats.sem(x)).interval(0.95)
    return x.mean(), low, high
