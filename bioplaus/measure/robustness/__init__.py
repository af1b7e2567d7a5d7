"""Robustness of a trained net: curves over disturbances, adversarial examples by the true gradient, and checks on the attacks."""

from bioplaus.measure.robustness.adversarial import (
    EPSILONS,
    attack_with_learning_signal,
    fgsm,
    pgd,
    random_signs,
    transfer,
    under_attack,
)
from bioplaus.measure.robustness.curves import CURVES, INPUT_NOISE, LESION, WEIGHT_NOISE, curve, input_noise, lesion, weight_noise
from bioplaus.measure.robustness.masking import Flags, PseudoGradientError, check_gradient, flags

__all__ = [
    "CURVES",
    "EPSILONS",
    "INPUT_NOISE",
    "LESION",
    "WEIGHT_NOISE",
    "Flags",
    "PseudoGradientError",
    "attack_with_learning_signal",
    "check_gradient",
    "curve",
    "fgsm",
    "flags",
    "input_noise",
    "lesion",
    "pgd",
    "random_signs",
    "transfer",
    "under_attack",
    "weight_noise",
]
