"""Robustness of a trained net: curves over disturbances, adversarial examples by the true gradient, and checks on the attacks."""

from bioplaus.measure.robustness.adversarial import EPSILONS, transfer, under_attack
from bioplaus.measure.robustness.attacks import (
    BOUNDS,
    L2,
    LINF,
    Norm,
    attack_with_learning_signal,
    fgsm,
    margin,
    pgd,
    random_ball,
    random_signs,
    ray_search,
    square,
)
from bioplaus.measure.robustness.curves import CURVES, INPUT_NOISE, LESION, WEIGHT_NOISE, curve, input_noise, lesion, weight_noise
from bioplaus.measure.robustness.guard import PseudoGradientError, check_gradient
from bioplaus.measure.robustness.masking import CHECKS, Claim, Flag, claim, describe, render, surviving
from bioplaus.measure.robustness.suite import Budget, Suite, radii, suite

__all__ = [
    "BOUNDS",
    "CHECKS",
    "CURVES",
    "EPSILONS",
    "INPUT_NOISE",
    "L2",
    "LESION",
    "LINF",
    "WEIGHT_NOISE",
    "Budget",
    "Claim",
    "Flag",
    "Norm",
    "PseudoGradientError",
    "Suite",
    "attack_with_learning_signal",
    "check_gradient",
    "claim",
    "curve",
    "describe",
    "fgsm",
    "input_noise",
    "lesion",
    "margin",
    "pgd",
    "radii",
    "random_ball",
    "random_signs",
    "ray_search",
    "render",
    "square",
    "suite",
    "surviving",
    "transfer",
    "under_attack",
    "weight_noise",
]
