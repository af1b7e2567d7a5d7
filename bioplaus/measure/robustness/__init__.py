"""Robustness of a trained net.

Curves over disturbances, corrupted images, attacks by the true gradient, and checks on the attacks.

Units: an attack's epsilon is in the units of its input. Functions that measure accuracy under
disturbances of the input (`curve` of input noise, `under_attack`, `transfer`, `suite`) take
severities and radii as fractions of the range of the inputs, high - low of `bounds`. So they mean
the same for pixels in 0..255 as in [0, 1]. A study takes the bounds from its data
(`data.dataset.bounds_of`).
"""

from bioplaus.measure.robustness.adversarial import EPSILONS, transfer, under_attack
from bioplaus.measure.robustness.attacks import (
    BOUNDS,
    L2,
    LINF,
    SINGLE_TRY,
    Norm,
    SingleTry,
    attack_with_learning_signal,
    fgsm,
    margin,
    pgd,
    random_ball,
    random_signs,
    ray_search,
    square,
)
from bioplaus.measure.robustness.corruptions import corrupted, on_images, suite_for
from bioplaus.measure.robustness.curves import CURVES, DRAWS, Disturbance, curve, disturbed
from bioplaus.measure.robustness.errors import (
    corruption_error,
    effective_robustness,
    mce,
    relative_mce,
)
from bioplaus.measure.robustness.guard import PseudoGradientError, check_gradient
from bioplaus.measure.robustness.masking import (
    CHECKS,
    Claim,
    Flag,
    claim,
    describe,
    render,
    surviving,
)
from bioplaus.measure.robustness.suite import Budget, Suite, radii, suite

__all__ = [
    "BOUNDS",
    "CHECKS",
    "CURVES",
    "DRAWS",
    "EPSILONS",
    "L2",
    "LINF",
    "SINGLE_TRY",
    "Budget",
    "Claim",
    "Disturbance",
    "Flag",
    "Norm",
    "PseudoGradientError",
    "SingleTry",
    "Suite",
    "attack_with_learning_signal",
    "check_gradient",
    "claim",
    "corrupted",
    "corruption_error",
    "curve",
    "describe",
    "disturbed",
    "effective_robustness",
    "fgsm",
    "margin",
    "mce",
    "on_images",
    "pgd",
    "radii",
    "random_ball",
    "random_signs",
    "ray_search",
    "relative_mce",
    "render",
    "square",
    "suite",
    "suite_for",
    "surviving",
    "transfer",
    "under_attack",
]
