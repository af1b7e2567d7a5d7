"""Errors under corruption of a net relative to its twin trained by backprop. On the host, in
float64.

    CE_c       = sum_s E_{s,c} / sum_s E^BP_{s,c}                                 in percent
    mCE_BP     = mean_c CE_c                                    100 % for backprop itself
    relative   = mean_c sum_s (E_{s,c} - E_clean) / sum_s (E^BP_{s,c} - E^BP_clean)
    effective  = logit(a) - (alpha + beta logit(a_clean))
E: error rate, 1 - accuracy a; s: severity; c: corruption; BP: of the twin, which differs in the
rule alone and has the same seed; alpha, beta: least squares over backprop's nets. The published mCE
has AlexNet as its reference, so these numbers do not compare with it.

Effective robustness is the accuracy under corruption beyond that of a net of the same clean
accuracy trained by backprop. Give backprop nets of several widths, budgets and seeds, so that they
span the clean accuracies that are compared.

Hendrycks, Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", 2019, arXiv:1903.12261. Taori et al., "Measuring Robustness to Natural Distribution
Shifts in Image Classification", 2020, arXiv:2007.00644. Departures: the reference; effective
robustness as a difference of logits (theirs is a difference of accuracies about a fit in logits:
unconfirmed).
"""

import numpy as np
from numpy.typing import ArrayLike


def corruption_error(accuracy: ArrayLike, twin: ArrayLike) -> np.ndarray:
    """CE [..., corruptions] of a net, in percent.

    accuracy, twin: [..., corruptions, severities], of the net and of its backprop twin.

    NaN if the twin makes no error at any severity.
    """
    error, reference = (1 - np.asarray(a, np.float64) for a in (accuracy, twin))
    return _percent(error.sum(-1), reference.sum(-1))


def mce(accuracy: ArrayLike, twin: ArrayLike) -> np.ndarray:
    """mCE_BP [...] in percent: 100 for backprop; less is better."""
    return corruption_error(accuracy, twin).mean(-1)


def relative_mce(
    accuracy: ArrayLike, clean: ArrayLike, twin: ArrayLike, twin_clean: ArrayLike
) -> np.ndarray:
    """Relative mCE_BP [...] in percent: errors that corruption adds to the clean errors. clean,
    twin_clean: accuracies [...].

    NaN if a corruption adds no errors to those of the twin.
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
    """Logit of the accuracy under corruption minus the line through backprop's nets [...]. 0 means
    as robust as they are.

    twins, twins_clean: accuracies [n] of backprop's nets. examples: number of test examples; half
    an example is the smallest error of which a logit is taken. Raises ValueError for fewer than
    three nets, or for nets that all have the same clean accuracy: they do not define a line.
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
