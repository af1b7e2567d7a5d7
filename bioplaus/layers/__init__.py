"""Synapses and ready-made nets."""

from bioplaus.layers.basic import after, conv, dense, flattened, group_normed, pooled, settling
from bioplaus.layers.flax import from_flax
from bioplaus.layers.models import cnn, mlp

__all__ = ["after", "cnn", "conv", "dense", "flattened", "from_flax", "group_normed", "mlp", "pooled", "settling"]
