"""Neuromodulators, and rules under them. MODULATORS: name -> factory, (hyperparameters) ->
Modulator, of those that a study file can name. Attention takes tables of places or preferences that
belong to one net, and is made in Python.
"""

from collections.abc import Callable

from bioplaus.extensions import with_extensions
from bioplaus.hyper import declared
from bioplaus.modulators.acetylcholine import acetylcholine
from bioplaus.modulators.attention import feature_attention, spatial_attention
from bioplaus.modulators.compose import compose
from bioplaus.modulators.context_gating import context_gating
from bioplaus.modulators.dopamine import corrective, dopamine, signed
from bioplaus.modulators.modulate import modulate
from bioplaus.modulators.noradrenaline import noradrenaline
from bioplaus.modulators.threshold import threshold
from bioplaus.modulators.unmodulated import unmodulated
from bioplaus.types import Modulator

MODULATORS: dict[str, Callable[..., Modulator]] = {
    "unmodulated": unmodulated,
    "dopamine": dopamine,
    "acetylcholine": acetylcholine,
    "noradrenaline": noradrenaline,
    "context_gating": context_gating,
    "threshold": threshold,
}


def available() -> dict[str, Callable[..., Modulator]]:
    """`MODULATORS`, and the modulators of other packages.

    Packages register them as entry points `bioplaus.modulators`.

    Raises ExtensionError, a ValueError, if two have the same name, or if a package's modulator
    cannot be loaded.
    """
    found = with_extensions("bioplaus.modulators", MODULATORS)
    return {
        name: factory if name in MODULATORS else declared(factory)
        for name, factory in found.items()
    }


__all__ = [
    "MODULATORS",
    "acetylcholine",
    "available",
    "compose",
    "context_gating",
    "corrective",
    "dopamine",
    "feature_attention",
    "modulate",
    "noradrenaline",
    "signed",
    "spatial_attention",
    "threshold",
    "unmodulated",
]
