"""Synapses and ready-made nets. `from_flax` is in `bioplaus.layers.flax`, the only package that
imports flax.
"""

from bioplaus.layers.basic import after, conv, dense, flattened, group_normed, pooled, settling
from bioplaus.layers.models import cnn, mlp

__all__ = [
    "after",
    "cnn",
    "conv",
    "dense",
    "flattened",
    "group_normed",
    "mlp",
    "pooled",
    "settling",
]
