"""Decoders: regularised least squares from activities to values.

    D = argmin_D  |A D - Y|^2 / m + s^2 |D|^2 = (A^T A + m s^2 I)^-1 A^T Y,    s = reg max A

A: [m, n] activities of n neurons at m points;  Y: [m, k] values wanted there;  D: [n, k]. Nengo's
default solver, `LstsqL2`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl

from bioplaus.hyper import Positive, declared
from bioplaus.nef.ensemble import Ensemble, rates
from bioplaus.types import Array

Function = Callable[[Array], Array]
"""(x [d]) -> f(x) [k], or a scalar, which counts as [1]."""


@declared
def ridge(a: Array, y: Array, *, reg: Positive = 0.1) -> Array:
    """D [n, k]. For decoders, and for any readout of frozen features a [m, n].

    reg: the noise to expect in the activities, as a part of the largest of them.
    """
    m, s = a.shape[0], reg * a.max()
    gram = a.T @ a + m * s**2 * jnp.eye(a.shape[1], dtype=a.dtype)
    return jsl.cho_solve(jsl.cho_factor(gram), a.T @ y)


@declared
def decoders(ensemble: Ensemble, function: Function | None = None, *, reg: Positive = 0.1) -> Array:
    """D [n, k], by which activities give function(x); None is x itself.

    The fit is at `ensemble.points`, for steady rates.

        nef.decoders(a, lambda x: x[0] * x[1])

    Raises ValueError for a function whose value is no scalar and no vector.
    """
    return ridge(rates(ensemble, ensemble.points), values(function, ensemble.points), reg=reg)


def values(function: Function | None, x: Array) -> Array:
    """function of each of x [m, d], [m, k]."""
    y = x if function is None else jax.vmap(lambda p: jnp.atleast_1d(function(p)))(x)
    if y.ndim != 2:
        raise ValueError(
            f"nef: a function of x [{x.shape[1]}] gave an array of shape {y.shape[1:]}; expected a"
            " scalar or a vector"
        )
    return y
