"""papers/dohare2024 prints the figures of its results, and they show the loss of plasticity."""

import csv
from pathlib import Path

import numpy as np

from bioplaus.measure.statistics import interval

FOLDER = Path(__file__).parents[2] / "papers" / "dohare2024"


def test_turnover_loses_less_in_every_pair_of_seeds():
    found: dict[str, dict[str, list[float]]] = {}
    with (FOLDER / "results.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            seeds = found.setdefault(row["arm"], {})
            seeds.setdefault(row["seed"], []).append(100 * float(row["accuracy"]))
    last, text = {}, (FOLDER / "README.md").read_text(encoding="utf-8")
    for arm, seeds in found.items():
        tasks = np.array(list(seeds.values()))
        assert tasks.shape == (3, 60)
        last[arm] = tasks[:, -6:].mean(1)
        x = interval(last[arm])
        first = tasks[:, :6].mean()
        line = f"| {arm} | {first:.1f} | {x.mean:.1f} [{x.low:.1f}, {x.high:.1f}] |"
        assert line in text
    assert (last["none"] < 45).all()
    assert (last["turnover"] > last["none"] + 15).all()
