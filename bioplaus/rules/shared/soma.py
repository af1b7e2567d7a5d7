"""The soma of an output neuron: it fires at a rate of its potential, and a teacher moves it.

    rho(u) = peak sigmoid(slope (u - threshold)),    u = o - lambda e
o: [B, C] what the net answers, and the potential that the dendrite alone would give the soma;
e: [B, C] derivative of the loss by o;  u: potential of the taught soma;  rho: spikes expected in a
moment.  Of a net that answers at each moment all have an axis more, [B, T, C]. Under half the
squared error the taught soma is at (1 - lambda) o + lambda y: the steady state of a membrane with
conductances of a teacher that are a fraction lambda of all, and that pull it to the potential y.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.types import Array


class Soma(NamedTuple):
    """peak: the highest rate. slope, threshold: at potentials of `threshold` the rate is peak / 2,
    and there it grows by peak slope / 4 for each unit of potential."""

    peak: ArrayLike
    slope: ArrayLike
    threshold: ArrayLike


def rate(soma: Soma, potential: Array) -> Array:
    """rho, spikes expected in a moment."""
    return jnp.asarray(soma.peak) * _share(soma, potential)


def log_slope(soma: Soma, potential: Array) -> Array:
    """d log rho / du, the relative change of the rate for each unit of potential."""
    return jnp.asarray(soma.slope) * (1 - _share(soma, potential))


def taught(output: Array, error: Array, nudge: ArrayLike) -> Array:
    """The potential of the taught soma, u = o - lambda e."""
    return output - jnp.asarray(nudge) * error


def _share(soma: Soma, potential: Array) -> Array:
    """rho / peak, between 0 and 1."""
    return jax.nn.sigmoid(soma.slope * (potential - soma.threshold))
