"""Attacks, each (predict, loss, x, y, key, *, epsilon, ...) -> adversarial x within epsilon of x
and within the bounds of the input.

By the gradient: `fgsm`, `pgd`. By queries alone, which no masked gradient stops: `square`,
`ray_search`, and the controls `random_signs` and `random_ball`. `attack_with_learning_signal` makes
a diagnostic, no measure of robustness. `SINGLE_TRY` is the table of attacks that a claim of
robustness takes beside FGSM, PGD and the controls.
"""

from typing import NamedTuple

from bioplaus.measure.robustness.attacks.common import BOUNDS, L2, LINF, Attack, Norm
from bioplaus.measure.robustness.attacks.gradient import attack_with_learning_signal, fgsm, pgd
from bioplaus.measure.robustness.attacks.query import random_ball, random_signs, ray_search, square
from bioplaus.outputs import margin
from bioplaus.salts import RAYS, SQUARE


class SingleTry(NamedTuple):
    """An attack that `suite` tries once on each example. What of its hyperparameters has the name
    of a field of `Budget` is set by it.

    salt: of its random key, in `bioplaus.salts`. queries: whether it sees the answers alone; check
    F6 compares these with PGD.
    """

    attack: Attack
    salt: int
    queries: bool


SINGLE_TRY = {
    "square": SingleTry(square, SQUARE, queries=True),
    "ray_search": SingleTry(ray_search, RAYS, queries=True),
}
"""The name of an attack, as results have it -> the attack."""

__all__ = [
    "BOUNDS",
    "L2",
    "LINF",
    "SINGLE_TRY",
    "Attack",
    "Norm",
    "SingleTry",
    "attack_with_learning_signal",
    "fgsm",
    "margin",
    "pgd",
    "random_ball",
    "random_signs",
    "ray_search",
    "square",
]
