"""Calibration: whether the probability that a net gives to its answer says how often it is right.

    ECE     sum_m (n_m / n) |acc_m - conf_m|         15 bins m of equal width
    NLL     mean_b -log p_b(y_b)                     in nats
    Brier   mean_b sum_c (p_bc - y_bc)^2             from 0 to 2
    AURC    mean_k (errors among the k most confident answers) / k
n: examples; n_m, acc_m, conf_m: number, accuracy and mean confidence of the examples of bin m;
confidence: the largest probability. AURC, the area under the curve of risk over coverage, is 0 if
there are no errors, and small if the errors come last in order of confidence.

outputs: [B, C] logits of a net trained by cross entropy, with p = softmax(outputs). y: [B, C]
one-hot, or integer labels [B]. A single output, C = 1, that is a logit or a probability becomes the
two probabilities of no and yes. Bin m holds confidences from (m - 1) / 15 up to, but not including,
m / 15; a confidence of 1 has a separate bin, as in torchmetrics.

ECE is biased upwards if bins hold few examples: compare nets on the same number of examples. An
output of NaN makes all measures NaN. Answers of equal confidence are taken in the order of the
examples.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", 2017, arXiv:1706.04599.
Brier, "Verification of Forecasts Expressed in Terms of Probability", 1950. AURC: Geifman, Uziel,
El-Yaniv, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", 2019, arXiv:1805.08206
(unconfirmed).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.arrays import as_wide_floats
from bioplaus.outputs import INDEPENDENT, Kind, correct, kind_of, targets
from bioplaus.types import Array, Loss

BINS = 15


class Calibration(NamedTuple):
    """ece, aurc: in [0, 1]; nll: nats; brier: in [0, 2]. Scalars."""

    ece: Array
    nll: Array
    brier: Array
    aurc: Array


def calibration(outputs: Array, y: ArrayLike, loss: Loss | Kind = "logits") -> Calibration:
    """All measures of outputs [B, C] on targets y. loss: what declares the outputs, see `accuracy`.

    Raises ValueError for outputs that are not a distribution over classes: several independent
    ones, and values.
    """
    outputs = as_wide_floats("calibration", outputs)
    kind, y = kind_of(loss, "calibration"), targets("calibration", outputs, y)
    if outputs.shape[1] == 1 and kind in INDEPENDENT:
        p = jax.nn.sigmoid(outputs) if kind == "independent logits" else outputs
        p, y = jnp.concatenate([1 - p, p], 1), jnp.concatenate([1 - y, y], 1)
        logs = jnp.log(p)
        if kind == "independent logits":
            logs = jnp.concatenate([jax.nn.log_sigmoid(-outputs), jax.nn.log_sigmoid(outputs)], 1)
    elif kind == "logits" and outputs.shape[1] > 1:
        logs = jax.nn.log_softmax(outputs)
        p = jnp.exp(logs)
    else:
        raise ValueError(
            f"calibration: {outputs.shape[1]} output(s) that are {kind} are not a distribution"
            " over classes; it is defined for logits that compete, and for one output that is a"
            " logit or a probability"
        )
    nll = -jnp.where(y > 0, y * logs, 0).sum(-1).mean()
    return Calibration(
        expected_calibration_error(p, y), nll, ((p - y) ** 2).sum(-1).mean(), risk_coverage(p, y)
    )


def expected_calibration_error(p: Array, y: ArrayLike, *, bins: int = BINS) -> Array:
    """ECE, a scalar, of probabilities [B, C] on one-hot targets [B, C]."""
    p = as_wide_floats("expected_calibration_error", p)
    y = targets("expected_calibration_error", p, y)
    confidence = p.max(-1)
    m = jnp.searchsorted(jnp.linspace(0, 1, bins + 1, dtype=p.dtype), confidence, side="right") - 1
    # n_m (acc_m - conf_m)
    excess = jnp.zeros(bins + 1, p.dtype).at[m].add(correct(p, y) - confidence)
    return jnp.where(jnp.isnan(p).any(), jnp.nan, jnp.abs(excess).sum() / len(p))


def risk_coverage(p: Array, y: ArrayLike) -> Array:
    """AURC, a scalar, of probabilities [B, C] on one-hot targets [B, C]."""
    p = as_wide_floats("risk_coverage", p)
    wrong = 1 - correct(p, y)[jnp.argsort(-p.max(-1), stable=True)]
    risk = jnp.cumsum(wrong) / jnp.arange(1, len(p) + 1)
    return jnp.where(jnp.isnan(p).any(), jnp.nan, risk.mean())
