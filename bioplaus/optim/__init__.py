"""Transformations of gradients and parameters for optax: the cost of changing synapses (economy),
and constraints on weights (projections).
"""

from bioplaus.optim import economy, projections

__all__ = ["economy", "projections"]
