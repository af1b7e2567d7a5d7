"""Do nets that were trained with noise stand noisy weights better? The fall of accuracy, compared.

    bioplaus run experiments/noise_kinds.toml --out results/noise_kinds
    python experiments/noise_kinds.py [--results results/noise_kinds/results.csv]

reads the results of the first command (5 CPU-minutes), and prints the fall of test accuracy, in
points, from no disturbance of the weights to the largest of each curve; and for each kind of noise
how much less it falls than in the net of the same rule that was trained without noise, paired by
seed. All nets are tested without the noise that they were trained with. The header of the study has
the figures.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

from bioplaus.measure.statistics import interval

CURVES = ("weight noise", "multiplicative noise")
NONE = "tanh"  # the arms without noise
OTHERS = "optimiser.kind=sgd"  # of Langevin dynamics, which no arm without noise is like


def falls(file: Path) -> dict[tuple[str, str, str], list[float]]:
    """(rule, neuron, curve) -> fall in points of each seed, in the order of the seeds."""
    accuracy = defaultdict(dict)
    with file.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            curve = row["condition"].partition("=")[0]
            if row["measure"] == "accuracy" and curve in CURVES and OTHERS not in row["rule"]:
                arm = row["rule"].split()[0], row["neuron"], curve
                accuracy[arm][int(row["seed"]), float(row["severity"])] = 100 * float(row["value"])
    found = {}
    for arm, values in accuracy.items():
        most = max(severity for _, severity in values)
        seeds = sorted({seed for seed, _ in values})
        found[arm] = [values[seed, 0.0] - values[seed, most] for seed in seeds]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path("results/noise_kinds/results.csv"))
    found = falls(parser.parse_args().results)
    for (rule, neuron, curve), of_seeds in found.items():
        if neuron == NONE:
            continue
        without = found[rule, NONE, curve]
        less = interval([a - b for a, b in zip(without, of_seeds, strict=True)])
        falls_by = f"falls by {interval(of_seeds).mean:.1f}, not {interval(without).mean:.1f}"
        less_by = f"less by {less.mean:+.1f} [{less.low:+.1f}, {less.high:+.1f}]"
        print(f"{rule:4}{neuron:40}{curve:22}{falls_by:24}{less_by}")


if __name__ == "__main__":
    main()
