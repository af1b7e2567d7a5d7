"""Papers on what modulates a net: as test_papers.py."""

import csv
import re

import pytest
from test_papers import PAPERS, said


def test_reynolds_2009():
    """Contrast gain, response gain, competition and suppression, which a pool of one unit lacks."""
    with (PAPERS / "reynolds2009" / "results.csv").open(newline="", encoding="utf-8") as file:
        found = {
            (row["experiment"], row["measure"], row["pool"]): float(row["value"])
            for row in csv.DictReader(file)
        }
    rows = said("reynolds2009").replace("`", "")
    for (experiment, measure, pool), value in found.items():
        before = "" if pool == "wide pool" else r"[^|]*\| "
        line = rf"\| {experiment} \| {re.escape(measure)} \| {before}{value:.3f} \|"
        assert re.search(line, rows), line
    small, large = "small stimulus, wide attention", "large stimulus, narrow attention"
    half, most = "contrast of half the maximum, ratio", "maximum, ratio"
    for case in ((small, "wide pool"), (small, "own pool"), (large, "own pool")):
        assert found[case[0], half, case[1]] == pytest.approx(0.25, abs=0.02)
        assert found[case[0], most, case[1]] == pytest.approx(1.0, abs=0.02)
    assert found[large, most, "wide pool"] > 3
    assert found[large, half, "wide pool"] > 0.8

    def answered(pool):
        to = (f"attention to the {which}" for which in ("preferred", "other"))
        both = (*to, "attention to neither")
        return [found["two stimuli in a field", measure, pool] for measure in both]

    preferred, other, neither = answered("wide pool")
    assert preferred > 1.5 * neither > 2 * other
    assert answered("own pool")[1] == pytest.approx(answered("own pool")[2], rel=1e-2)
    place = "tuning, attention to the place"
    assert found[place, "smallest ratio", "wide pool"] == pytest.approx(
        found[place, "largest ratio", "wide pool"], rel=1e-3
    )
    orientation, away = "population, attention to an orientation", "ratio of units 90 degrees away"
    assert found[orientation, "ratio of units tuned to it", "wide pool"] > 2
    assert found[orientation, away, "wide pool"] < 0.6 < found[orientation, away, "own pool"]
