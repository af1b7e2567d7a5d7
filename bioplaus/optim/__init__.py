"""Transformations of gradients and parameters for optax.

economy: the cost of changing synapses. projections: constraints on weights.
"""

from bioplaus.optim import economy, projections

__all__ = ["economy", "projections"]
