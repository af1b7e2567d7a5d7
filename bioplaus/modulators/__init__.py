"""Neuromodulators, and rules under them. MODULATORS: name -> factory (hyperparameters) -> Modulator."""

from bioplaus.modulators.acetylcholine import acetylcholine
from bioplaus.modulators.compose import compose
from bioplaus.modulators.context_gating import context_gating
from bioplaus.modulators.dopamine import corrective, dopamine, signed
from bioplaus.modulators.modulate import modulate
from bioplaus.modulators.noradrenaline import noradrenaline
from bioplaus.modulators.threshold import threshold
from bioplaus.modulators.unmodulated import unmodulated

MODULATORS = {
    "unmodulated": unmodulated,
    "dopamine": dopamine,
    "acetylcholine": acetylcholine,
    "noradrenaline": noradrenaline,
    "context_gating": context_gating,
    "threshold": threshold,
}

__all__ = [
    "MODULATORS",
    "acetylcholine",
    "compose",
    "context_gating",
    "corrective",
    "dopamine",
    "modulate",
    "noradrenaline",
    "signed",
    "threshold",
    "unmodulated",
]
