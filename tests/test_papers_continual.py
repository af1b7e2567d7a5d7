"""Papers on continual learning: READMEs print the numbers of their results, and the claims hold."""

import csv
from collections import defaultdict

import numpy as np
from test_papers import PAPERS, printed, said


def test_masse_2018():
    """Gating and held synapses each forget less than neither, and both together the least."""
    found, text = defaultdict(list), said("masse2018")
    with (PAPERS / "masse2018" / "results.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key = row["modulator"], float(row["stabilise"]) > 0, row["measure"]
            found[key].append(100 * float(row["value"]))
    rows = {
        "nothing": ("unmodulated", False),
        "gating": ("context_gating", False),
        "held synapses": ("unmodulated", True),
        "both": ("context_gating", True),
    }
    for name, row in rows.items():
        assert len(found[*row, "acc"]) == 3
        cells = (printed(found[*row, m], 1) for m in ("acc", "plasticity", "forgetting"))
        assert f"| {name} | {' | '.join(cells)} |" in text
    end = {name: np.array(found[*row, "acc"]) for name, row in rows.items()}
    for name in ("gating", "held synapses"):
        assert (end[name] > end["nothing"]).all()
    assert (end["both"] > np.maximum(end["gating"], end["held synapses"])).all()
