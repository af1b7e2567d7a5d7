"""Calibration: does the probability that a net gives to its answer say how often the answer is right?

    ECE     sum_m (n_m / n) |acc_m - conf_m|         conf: the largest probability; 15 bins of equal width
    NLL     mean_b -log p_b(y_b)                     nats
    Brier   mean_b sum_c (p_bc - y_bc)^2             from 0 to 2
outputs: [B, C] logits, of a net trained by cross entropy: p = softmax(outputs); y: [B, C] one-hot. Bin m holds confidences from
(m - 1) / 15 up to but not m / 15; a confidence of 1 has a bin of its own, as in torchmetrics.

ECE is biased upwards where bins are thin: compare nets on the same number of examples. An output of NaN makes all three NaN.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599.
Brier, "Verification of Forecasts Expressed in Terms of Probability", 1950.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.measure.accuracy import correct
from bioplaus.types import Array

BINS = 15


class Calibration(NamedTuple):
    """ece: in [0, 1]; nll: nats; brier: in [0, 2]. Scalars."""

    ece: Array
    nll: Array
    brier: Array


UNITS = Calibration("fraction", "nat", "squared probability")  # type: ignore[arg-type]


def calibration(outputs: Array, y: Array) -> Calibration:
    """All three of logits [B, C] on one-hot targets [B, C]."""
    logs = jax.nn.log_softmax(outputs)
    p = jnp.exp(logs)
    nll = -jnp.where(y > 0, y * logs, 0).sum(-1).mean()
    return Calibration(expected_calibration_error(p, y), nll, ((p - y) ** 2).sum(-1).mean())


def expected_calibration_error(p: Array, y: Array, *, bins: int = BINS) -> Array:
    """ECE, a scalar, of probabilities [B, C] on one-hot targets [B, C]."""
    confidence = p.max(-1)
    m = jnp.searchsorted(jnp.linspace(0, 1, bins + 1, dtype=p.dtype), confidence, side="right") - 1
    excess = jnp.zeros(bins + 1, p.dtype).at[m].add(correct(p, y) - confidence)  # n_m (acc_m - conf_m)
    return jnp.where(jnp.isnan(p).any(), jnp.nan, jnp.abs(excess).sum() / len(p))
