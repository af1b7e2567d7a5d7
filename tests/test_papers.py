"""Papers: the numbers that a README prints are those of the results beside it, and they reproduce the published ones."""

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from bioplaus.measure.statistics import interval

FOLDER = Path(__file__).parents[1] / "papers" / "akrout2019"
PUBLISHED = {("bp", "accuracy"): 96.23, ("fa", "accuracy"): 92.25, ("kp", "accuracy"): 97.00, ("wm", "accuracy"): 92.62} | {
    ("fa", "feedback angle"): 31.2,
    ("kp", "feedback angle"): 8.70,
    ("wm", "feedback angle"): 18.75,
}


@pytest.mark.parametrize("key", PUBLISHED)
def test_akrout_2019(key):
    found = defaultdict(list)
    with (FOLDER / "results.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            found[row["rule"], row["measure"]].append(float(row["value"]) * (100 if row["unit"] == "fraction" else 1))
    assert len(found[key]) == 3
    x = interval(found[key])
    accuracy = key[1] == "accuracy"
    assert float(x.mean) == pytest.approx(PUBLISHED[key], abs=0.5 if accuracy else 3)
    digits = 2 if accuracy or key[0] == "kp" else 1
    printed = f"{x.mean:.{digits}f}{'' if accuracy else '°'} [{x.low:.{digits}f}, {x.high:.{digits}f}]"
    assert printed in (FOLDER / "README.md").read_text()
