"""Measures: accuracy, calibration, alignment, robustness, continual learning, cost, energy, plausibility, statistics.

`cost`, `card`, `accuracy`, `calibration` and `continual` are functions here; the modules of those names are imported by their full path.
"""

from bioplaus.measure import energy, robustness
from bioplaus.measure.accuracy import accuracy, evaluate
from bioplaus.measure.aggregate import bootstrap, iqm, optimality_gap, probability_of_improvement
from bioplaus.measure.alignment import angles, feedback_angle
from bioplaus.measure.calibration import calibration
from bioplaus.measure.card import Card, card, describe
from bioplaus.measure.continual import continual
from bioplaus.measure.cost import cost, effective, inference
from bioplaus.measure.counts import Cost, Counts, total
from bioplaus.measure.program.operations import NotCountable
from bioplaus.measure.statistics import Interval, holm, interval, nauc, paired_interval, paired_p, retention, s50

__all__ = [
    "Card",
    "Cost",
    "Counts",
    "Interval",
    "NotCountable",
    "accuracy",
    "angles",
    "bootstrap",
    "calibration",
    "card",
    "continual",
    "cost",
    "describe",
    "effective",
    "energy",
    "evaluate",
    "feedback_angle",
    "holm",
    "inference",
    "interval",
    "iqm",
    "nauc",
    "optimality_gap",
    "paired_interval",
    "paired_p",
    "probability_of_improvement",
    "retention",
    "robustness",
    "s50",
    "total",
]
