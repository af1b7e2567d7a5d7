"""Attacks: (predict, loss, x, y, key, *, epsilon, ...) -> adversarial x.

The result is within epsilon of x and within the bounds of the input.

By the gradient: `fgsm`, `pgd`. By queries alone, which masked gradients do not stop: `square`,
`ray_search`, and as controls `random_signs` and `random_ball`. `attack_with_learning_signal` makes
a diagnostic, not a measure of robustness. `SINGLE_TRY` is the table of attacks that a claim of
robustness uses beside FGSM, PGD and the controls.
"""

from typing import NamedTuple

from bioplaus.measure.robustness.attacks.common import BOUNDS, L2, LINF, Attack, Norm
from bioplaus.measure.robustness.attacks.gradient import attack_with_learning_signal, fgsm, pgd
from bioplaus.measure.robustness.attacks.query import random_ball, random_signs, ray_search, square
from bioplaus.outputs import margin
from bioplaus.salts import RAYS, SQUARE


class SingleTry(NamedTuple):
    """An attack that `suite` tries once on each example. Hyperparameters of it that have the name
    of a field of `Budget` are set to that field.

    salt: folded into its random key, from `bioplaus.salts`. queries: whether it sees only answers;
    check F6 compares such attacks with PGD.
    """

    attack: Attack
    salt: int
    queries: bool


SINGLE_TRY = {
    "square": SingleTry(square, SQUARE, queries=True),
    "ray_search": SingleTry(ray_search, RAYS, queries=True),
}
"""Name of an attack in the results -> the attack."""

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
