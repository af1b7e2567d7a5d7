"""The page of experiments/mnist_rules.py: a table of the figures of each rule, and its results."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from bioplaus.measure.statistics import interval, paired_interval
from bioplaus.rules import BASELINES, RULES
from bioplaus.study.tune import FINAL_SEEDS, FINALISTS
from bioplaus.study.tuned import Scores

PERCENT = (0.0, 100.0)  # the bounds of an accuracy
FLOOR = {"bp": 0.00863, "zil": 0.0156, "fpa": 0.0049}
"""Learning rates that the best of 16 trials on seed 0 gave to three names of one algorithm."""


class Figures(NamedTuple):
    """The content of mnist_rules.results.toml.

    arms: arm -> its figures; accuracies are in %, one per seed.
    """

    arms: dict[str, dict[str, Any]]


def floor_name(rule: str) -> str:
    """The arm of backprop at the rate of FLOOR for a rule."""
    return f"bp, at {FLOOR[rule]:g}"


def printed(x: Any, sign: str = "") -> str:
    """An interval: its mean and bounds."""
    return f"{x.mean:{sign}.1f} [{x.low:{sign}.1f}, {x.high:{sign}.1f}]"


def page(
    found: Figures, scores: dict[str, Scores], order: Iterable[str], trials: int, steps: int
) -> str:
    """The text of mnist_rules.md.

    scores: of the tuning of each rule. order: the names of the arms, in the order of the rows.
    """
    lines = [
        "# MNIST, every rule at its own settings",
        "",
        "Written by `python experiments/mnist_rules.py` from mnist_rules.results.toml, which holds",
        "the accuracy of each seed, the settings and the versions. The study is mnist_rules.toml:",
        "784-256-256-10, 10 epochs (pep and hep 5), seeds 0 to 2, accuracy on the test set.",
        "",
        f"All rules are tuned alike: {trials} trials of {steps} steps on seed 0. The best",
        f"{FINALISTS} run again on {FINAL_SEEDS} new seeds; the best mean validation accuracy",
        "over these decides. The search is over the learning rate and the hyperparameters in",
        "the last column. zil and fpa compute the gradient of backprop, and take the settings",
        "of bp.",
        "",
        *floor_lines(found),
        (
            "| rule | test accuracy, %: mean [95 % interval] | above frozen hidden layers, paired"
            " by seed | searched beside the learning rate |"
        ),
        "|---|---|---|---|",
    ]
    for name in order:
        lines.append(row(name, found, scores.get(name)))
    return "\n".join([*lines, *groups(found, order), ""])


def floor_lines(found: Figures) -> list[str]:
    """The paragraph on the noise floor."""
    points = floor(found)
    if points is None:
        return ["Noise floor: not run yet. No ranks are claimed.", ""]
    runs = [(rate, found.arms[floor_name(rule)]["accuracy"]) for rule, rate in FLOOR.items()]
    each = ", ".join(
        f"{printed(interval(values, bounds=PERCENT))} at {rate:g}" for rate, values in runs
    )
    return [
        f"Noise floor: {points:.1f} points. bp, zil and fpa compute the same gradient, but tuning",
        f"on one seed gave them three learning rates. Backprop at these reaches {each}.",
        "No ranks are claimed between rules that are closer than that.",
        "",
    ]


def floor(found: Figures) -> float | None:
    """The range of backprop's mean accuracy over the rates of FLOOR, or None if one has not run."""
    if any(floor_name(rule) not in found.arms for rule in FLOOR):
        return None
    means = [float(interval(found.arms[floor_name(rule)]["accuracy"]).mean) for rule in FLOOR]
    return max(means) - min(means)


def row(name: str, found: Figures, scores: Scores | None) -> str:
    """The row of an arm."""
    searched = (
        "as bp"
        if scores and scores.like
        else ", ".join(s for s in scores.searched if s != "learning_rate")
        if scores
        else ""
    )
    if name in found.arms:
        mine, frozen = (
            found.arms[name]["accuracy"],
            found.arms.get(base_of(name), {}).get("accuracy"),
        )
        above = (
            ""
            if frozen is None or name == base_of(name)
            else printed(paired_interval(mine, frozen, bounds=PERCENT), "+")
        )
        return f"| {name} | {printed(interval(mine, bounds=PERCENT))} | {above} | {searched} |"
    return f"| {name} | not run yet | | |"


def base_of(name: str) -> str:
    """The arm with frozen hidden layers on the same net."""
    return f"frozen{name[name.index(',') :]}" if "," in name else "frozen"


def groups(found: Figures, order: Iterable[str]) -> list[str]:
    """Rules within the noise floor of backprop, and those not distinguishable from frozen layers.

    Only rules with figures by the present method, on the net that all rules share, are compared.
    """
    points, lines = floor(found), []
    new = [name for name in order if name in found.arms and name in RULES | BASELINES]
    mean = {name: float(interval(found.arms[name]["accuracy"]).mean) for name in new}
    if points is not None and "bp" in mean:
        near = [name for name in new if name != "bp" and abs(mean[name] - mean["bp"]) <= points]
        lines += ["", f"Within the noise floor of backprop: {', '.join(near) or 'none'}."]
    if "frozen" in mean:
        above = {
            n: paired_interval(found.arms[n]["accuracy"], found.arms["frozen"]["accuracy"])
            for n in new
            if n != "frozen"
        }
        unclear = [name for name, x in above.items() if x.low <= 0 <= x.high]
        below = [name for name, x in above.items() if x.high < 0]
        lines += [
            "",
            f"Not distinguishable from frozen hidden layers: {', '.join(unclear) or 'none'}."
            f" Below them: {', '.join(below) or 'none'}.",
        ]
    return lines
