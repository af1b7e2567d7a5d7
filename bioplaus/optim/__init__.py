"""Transformations of gradients and parameters for optax: what a synapse costs to change (economy),
what weights may be (projections).
"""

from bioplaus.optim import economy, projections

__all__ = ["economy", "projections"]
