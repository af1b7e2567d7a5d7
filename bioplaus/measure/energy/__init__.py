"""Energy of training: MACs and memory traffic, priced by hardware profiles with their uncertainty."""

from bioplaus.measure.energy.model import (
    ADAM,
    MOMENTUM,
    SGD,
    Energy,
    Estimate,
    Optimiser,
    energy,
    level,
    rank_robustness,
    training_macs,
)
from bioplaus.measure.energy.profiles import Constant, Profile, parse, profiles

__all__ = [
    "ADAM",
    "MOMENTUM",
    "SGD",
    "Constant",
    "Energy",
    "Estimate",
    "Optimiser",
    "Profile",
    "energy",
    "level",
    "parse",
    "profiles",
    "rank_robustness",
    "training_macs",
]
