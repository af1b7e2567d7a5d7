"""Measures: accuracy, alignment, robustness, cost, energy, plausibility, statistics.

`cost`, `card` and `accuracy` are functions here; the modules of those names are imported by their full path.
"""

from bioplaus.measure import energy, robustness
from bioplaus.measure.accuracy import accuracy, evaluate
from bioplaus.measure.alignment import angles, feedback_angle
from bioplaus.measure.card import Card, card, describe
from bioplaus.measure.cost import Cost, PhaseCost, cost, total
from bioplaus.measure.program import NotCountable
from bioplaus.measure.statistics import Interval, interval, nauc, paired_interval, retention, s50

__all__ = [
    "Card",
    "Cost",
    "Interval",
    "NotCountable",
    "PhaseCost",
    "accuracy",
    "angles",
    "card",
    "cost",
    "describe",
    "energy",
    "evaluate",
    "feedback_angle",
    "interval",
    "nauc",
    "paired_interval",
    "retention",
    "robustness",
    "s50",
    "total",
]
