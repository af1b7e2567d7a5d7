"""Errors under corruption, of a net and of its twin trained by backprop. On the host, in float64.

    CE_c       = sum_s E_{s,c} / sum_s E^BP_{s,c}                                in percent
    mCE_BP     = mean_c CE_c                                                    backprop itself has
        100 %
    relative   = mean_c sum_s (E_{s,c} - E_clean) / sum_s (E^BP_{s,c} - E^BP_clean)
    effective  = logit(a) - (alpha + beta logit(a_clean))
        alpha, beta: least squares over backprop's nets
E: error rate, 1 - accuracy; s: severity; c: corruption. The reference is the net that differs in
the rule alone, of the same seed; the published mCE has AlexNet in its place, so these numbers do
not compare with it.

Effective robustness is accuracy under corruption beyond what a net of that clean accuracy, trained
by backprop, would have: give backprop's nets of several widths, budgets and seeds, so that they
span the clean accuracies that are compared.

Hendrycks, Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", 2019, arXiv:1903.12261. Taori et al., "Measuring Robustness to Natural Distribution
Shifts in Image Classification", 2020, arXiv:2007.00644.
Departures: the reference; effective robustness as a difference of logits (theirs is of accuracies,
about a fit in logits: unconfirmed).
"""

import numpy as np
from numpy.typing import ArrayLike


def corruption_error(accuracy: ArrayLike, twin: ArrayLike) -> np.ndarray:
    """CE [..., corruptions] in percent, of accuracies [..., corruptions, severities] of a net and
    of its backprop twin.

    NaN where the twin makes no error at any severity.
    """
    error, reference = (1 - np.asarray(a, np.float64) for a in (accuracy, twin))
    return _percent(error.sum(-1), reference.sum(-1))


def mce(accuracy: ArrayLike, twin: ArrayLike) -> np.ndarray:
    """mCE_BP [...] in percent: 100 for backprop, less is better."""
    return corruption_error(accuracy, twin).mean(-1)


def relative_mce(
    accuracy: ArrayLike, clean: ArrayLike, twin: ArrayLike, twin_clean: ArrayLike
) -> np.ndarray:
    """Relative mCE_BP [...] in percent, of what corruption adds to the clean errors. clean,
    twin_clean: accuracies [...].

    NaN where a corruption adds nothing to the errors of the twin, or takes from them.
    """
    lost, reference = (
        (np.asarray(c, np.float64)[..., None, None] - np.asarray(a, np.float64)).sum(-1)
        for a, c in ((accuracy, clean), (twin, twin_clean))
    )
    return _percent(lost, reference).mean(-1)


def effective_robustness(
    accuracy: ArrayLike,
    clean: ArrayLike,
    twins: ArrayLike,
    twins_clean: ArrayLike,
    *,
    examples: int,
) -> np.ndarray:
    """Logit of the accuracy under corruption above the line through backprop's nets, [...]: 0 as
    robust as they, in logits.

    twins, twins_clean: [n] of backprop's nets. examples: of the test set, half an example is the
    least error that a logit is taken of. Raises ValueError for fewer than three nets or for nets of
    one clean accuracy: they give no line.
    """
    at, under = _logit(twins_clean, examples), _logit(twins, examples)
    if at.ndim != 1 or at.shape != under.shape or len(at) < 3 or np.ptp(at) == 0:
        raise ValueError(
            f"effective_robustness: got backprop's accuracies {under.shape} over {at.shape} clean"
            " ones; give three nets or more, of several clean accuracies"
        )
    slope, offset = np.polyfit(at, under, 1)
    return _logit(accuracy, examples) - (offset + slope * _logit(clean, examples))


def _logit(accuracy: ArrayLike, examples: int) -> np.ndarray:
    a = np.clip(np.asarray(accuracy, np.float64), 0.5 / examples, 1 - 0.5 / examples)
    return np.log(a / (1 - a))


def _percent(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return 100 * part / np.where(whole > 0, whole, np.nan)
