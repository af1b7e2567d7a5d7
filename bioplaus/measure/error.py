"""Errors of regression and autoencoding.

outputs o and targets t: [B, ...]; for an autoencoder the target is the input itself.

    MSE   = mean (o - t)^2
    NRMSE = sqrt(MSE) / std(t)
    R^2   = 1 - sum (o - t)^2 / sum (t - mean t)^2
    sMAPE = 100 mean 2 |o - t| / (|o| + |t|)       in percent, 0 to 200
    PSNR  = 10 log10(range^2 / MSE)                in decibel
All are NaN if outputs are NaN, because the net has diverged.

Hyndman and Koehler, "Another look at measures of forecast accuracy", 2006,
doi:10.1016/j.ijforecast.2006.03.001.
"""

import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.types import Array


def mse(outputs: Array, targets: Array) -> Array:
    """Mean squared error. Raises ValueError for different shapes, which would broadcast."""
    _same("mse", outputs, targets)
    return ((outputs - targets) ** 2).mean()


def nrmse(outputs: Array, targets: Array) -> Array:
    """Root mean squared error in units of the targets' standard deviation. Predicting their mean
    gives 1.
    """
    return jnp.sqrt(mse(outputs, targets)) / targets.std()


def r2(outputs: Array, targets: Array) -> Array:
    """Coefficient of determination, averaged over outputs. 1 is exact; predicting the mean of the
    targets gives 0; worse predictions are negative.

    A target that does not vary has no R^2 and is left out.
    """
    _same("r2", outputs, targets)
    o, t = (a.reshape(len(a), -1) for a in (outputs, targets))
    spread = ((t - t.mean(0)) ** 2).sum(0)
    return (
        jnp.nanmean(jnp.where(spread > 0, 1 - ((o - t) ** 2).sum(0) / spread, jnp.nan))
        + 0 * o.sum()
    )


def smape(outputs: Array, targets: Array) -> Array:
    """Symmetric mean absolute percentage error, 0 to 200. A target of 0 that is predicted exactly
    counts as 0.
    """
    _same("smape", outputs, targets)
    size = jnp.abs(outputs) + jnp.abs(targets)
    return 100 * (2 * jnp.abs(outputs - targets) / jnp.where(size == 0, 1, size)).mean()


def psnr(outputs: Array, targets: Array, span: ArrayLike = 1.0) -> Array:
    """Peak signal-to-noise ratio of a reconstruction, in dB. span: difference of the largest and
    the smallest value that a target may have.
    """
    return 10 * jnp.log10(jnp.asarray(span) ** 2 / mse(outputs, targets))


def _same(name: str, outputs: Array, targets: Array) -> None:
    if outputs.shape != targets.shape:
        raise ValueError(
            f"{name}: outputs {outputs.shape} and targets {targets.shape}; give both the same shape"
        )
