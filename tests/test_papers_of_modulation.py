"""Papers on what modulates neurons, and on their noise: as test_papers.py."""

import csv
import re
from collections import defaultdict

import numpy as np
import pytest
from test_papers import PAPERS, printed, said


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


def test_zohary_1994():
    """Pools follow the closed forms, which those of independent neurons do not; they saturate."""
    found = defaultdict(list)
    with (PAPERS / "zohary1994" / "results.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            arm = int(row["neurons"]), float(row["correlation"]), row["preferences"]
            found[*arm, row["measure"]].append(float(row["value"]))
    text = said("zohary1994")
    for (n, c, preferences, measure), values in found.items():
        assert len(values) == 5
        if n == 1 or measure != "d'":
            continue
        spread = 1 - c if preferences == "opposed" else 1 + (n - 1) * c
        # a standard error of the mean is 0.5 %
        assert np.mean(values) == pytest.approx(0.5 * np.sqrt(n / spread), rel=0.02)
        assert c == 0 or np.mean(values) != pytest.approx(0.5 * np.sqrt(n), rel=0.02)
    for n in (1, 10, 30, 100, 300, 1000):
        row = next(line for line in text.splitlines() if line.startswith(f"| {n} |"))
        for measure, digits in (("d'", 2), ("pool right", 1), ("readout right", 1)):
            assert f"| {printed(found[n, 0.12, 'alike', measure], digits)} |" in row
        for c in (0.0, 0.12):
            assert f"| {printed(found[n, c, 'alike', 'one with pool'])} |" in row
    alike = {n: np.mean(found[n, 0.12, "alike", "d'"]) for n in (100, 1000)}
    alone = {n: np.mean(found[n, 0.0, "alike", "d'"]) for n in (100, 1000)}
    assert alike[1000] < 1.06 * alike[100]
    assert alone[1000] > 3 * alone[100]
