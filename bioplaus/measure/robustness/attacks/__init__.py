"""Attacks, each (predict, loss, x, y, key, *, epsilon, ...) -> adversarial x within epsilon of x
and within the bounds of the input.

By the gradient: `fgsm`, `pgd`. By queries alone, which no masked gradient stops: `square`,
`ray_search`, and the controls `random_signs` and `random_ball`. `attack_with_learning_signal` makes
a diagnostic, no measure of robustness.
"""

from bioplaus.measure.robustness.attacks.common import BOUNDS, L2, LINF, Attack, Norm
from bioplaus.measure.robustness.attacks.gradient import attack_with_learning_signal, fgsm, pgd
from bioplaus.measure.robustness.attacks.query import random_ball, random_signs, ray_search, square
from bioplaus.outputs import margin

__all__ = [
    "BOUNDS",
    "L2",
    "LINF",
    "Attack",
    "Norm",
    "attack_with_learning_signal",
    "fgsm",
    "margin",
    "pgd",
    "random_ball",
    "random_signs",
    "ray_search",
    "square",
]
