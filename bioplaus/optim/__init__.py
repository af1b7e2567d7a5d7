"""Transformations of gradients and parameters for optax.

economy: the cost of changing synapses. projections: constraints on weights. gated: gates of
neuromodulators that act on the change of weights. synaptic_intelligence, consolidated: parameters
that mattered for earlier tasks are held. langevin: descent with noise, which samples weights.
"""

from bioplaus.optim import economy, projections
from bioplaus.optim.gates import gated
from bioplaus.optim.sampling import langevin
from bioplaus.optim.stabilisation import consolidated, synaptic_intelligence

__all__ = [
    "consolidated",
    "economy",
    "gated",
    "langevin",
    "projections",
    "synaptic_intelligence",
]
