"""Layers built in flax.nnx. This package is the only part of the library that imports flax.

A module becomes one layer, however many weights it holds. Its parameters are a plain dict, and its
output [B, ...] is the current of the neurons that follow it.
"""

from bioplaus.layers.flax.modules import from_flax

__all__ = ["from_flax"]
