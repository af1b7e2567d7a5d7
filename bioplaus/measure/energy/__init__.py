"""Energy of training and of answers.

Operations, events and memory traffic are priced by hardware profiles with their uncertainty.
"""

from bioplaus.measure.energy.model import (
    Energy,
    Estimate,
    Reached,
    energy,
    level,
    rank_robustness,
    surely_less,
    to_accuracy,
    training_macs,
)
from bioplaus.measure.energy.profiles import Constant, Profile, parse, profiles

__all__ = [
    "Constant",
    "Energy",
    "Estimate",
    "Profile",
    "Reached",
    "energy",
    "level",
    "parse",
    "profiles",
    "rank_robustness",
    "surely_less",
    "to_accuracy",
    "training_macs",
]
