"""Measures of a net, of a rule and of results.

Accuracy, calibration, alignment, robustness, continual learning, cost, energy, plausibility and
statistics.

`cost`, `card`, `accuracy`, `calibration`, `continual` and `neurobench` are functions here; the
modules of those names are imported by their full path.
"""

from bioplaus.measure import brain, energy, error, receptive, representation, robustness
from bioplaus.measure.accuracy import accuracy, evaluate
from bioplaus.measure.aggregate import bootstrap, iqm, optimality_gap, probability_of_improvement
from bioplaus.measure.alignment import angles, feedback_angle
from bioplaus.measure.calibration import calibration
from bioplaus.measure.card import Card, card, describe
from bioplaus.measure.continual import continual
from bioplaus.measure.cost import cost, effective, inference
from bioplaus.measure.counts import Cost, Counts, total
from bioplaus.measure.neurobench import NeuroBench, neurobench
from bioplaus.measure.program.operations import NotCountable
from bioplaus.measure.spikes import BreakEven, Rates, Recorded, break_even, recorded, spike_rates
from bioplaus.measure.statistics import (
    Interval,
    holm,
    interval,
    nauc,
    paired_interval,
    paired_p,
    retention,
    s50,
)

__all__ = [
    "BreakEven",
    "Card",
    "Cost",
    "Counts",
    "Interval",
    "NeuroBench",
    "NotCountable",
    "Rates",
    "Recorded",
    "accuracy",
    "angles",
    "bootstrap",
    "brain",
    "break_even",
    "calibration",
    "card",
    "continual",
    "cost",
    "describe",
    "effective",
    "energy",
    "error",
    "evaluate",
    "feedback_angle",
    "holm",
    "inference",
    "interval",
    "iqm",
    "nauc",
    "neurobench",
    "optimality_gap",
    "paired_interval",
    "paired_p",
    "probability_of_improvement",
    "receptive",
    "recorded",
    "representation",
    "retention",
    "robustness",
    "s50",
    "spike_rates",
    "total",
]
