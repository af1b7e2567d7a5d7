"""Synapses and ready-made nets. `from_flax` is in `bioplaus.layers.flax`, the only package that
imports flax.
SYNAPSES holds layers around layers by their names in a study file.
"""

from bioplaus.layers.astrocyte import slow_release
from bioplaus.layers.basic import after, conv, dense, flattened, group_normed, pooled, settling
from bioplaus.layers.compartments import apical, basal
from bioplaus.layers.contextual import contextual
from bioplaus.layers.fixed import fixed
from bioplaus.layers.models import cnn, mlp
from bioplaus.layers.plastic import plastic
from bioplaus.layers.short_term import depressed, short_term
from bioplaus.layers.time import last_moment, mean_over_time, over_time, recurrent

SYNAPSES = {"short_term": short_term, "depressed": depressed, "slow_release": slow_release}
"""Synapses with dynamics of their own, by their names in a study file."""

__all__ = [
    "SYNAPSES",
    "after",
    "apical",
    "basal",
    "cnn",
    "contextual",
    "conv",
    "dense",
    "depressed",
    "fixed",
    "flattened",
    "group_normed",
    "last_moment",
    "mean_over_time",
    "mlp",
    "over_time",
    "plastic",
    "pooled",
    "recurrent",
    "settling",
    "short_term",
    "slow_release",
]
