"""Transformations of gradients and parameters for optax.

economy: the cost of changing synapses. projections: constraints on weights. gated: gates of
neuromodulators that act on the change of weights.
"""

from bioplaus.optim import economy, projections
from bioplaus.optim.gates import gated

__all__ = ["economy", "gated", "projections"]
