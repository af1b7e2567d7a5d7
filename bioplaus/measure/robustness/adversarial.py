"""Accuracy under one attack over its radius: a curve. It is no claim of robustness, which takes
`suite` and `claim`.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from bioplaus.entry import as_batch
from bioplaus.measure.accuracy import Answer
from bioplaus.measure.robustness.attacks import BOUNDS, Attack
from bioplaus.outputs import correct, kind_of
from bioplaus.salts import ANSWER, DISTURB
from bioplaus.types import Array, Batch, Key, Loss

EPSILONS = (0.0, 0.05, 0.1, 0.2, 0.4)
"""Radii as fractions of the range of the inputs. The last should break any net: a curve must reach
the floor.
"""


def under_attack(
    attack: Attack,
    predict: Answer,
    loss: Loss,
    batch: Batch,
    key: Key,
    *,
    severities: Sequence[float] = EPSILONS,
    bounds: tuple[float, float] = BOUNDS,
) -> Array:
    """Accuracy [K] on examples that `attack` makes on this same net, over its radius. At radius 0
    it is the clean accuracy.

    severities: radii as fractions of the range of the inputs, high - low of `bounds`, which are
    handed to the attack.
    """
    return transfer(
        attack, predict, predict, loss, batch, key, severities=severities, bounds=bounds
    )


def transfer(
    attack: Attack,
    source: Answer,
    target: Answer,
    loss: Loss,
    batch: Batch,
    key: Key,
    *,
    severities: Sequence[float] = EPSILONS,
    bounds: tuple[float, float] = BOUNDS,
) -> Array:
    """Accuracy [K] of `target` on examples made on `source` (the twin trained by backprop, a
    black-box attack), over the radius.

    severities, bounds: as in `under_attack`.
    """

    kind, batch = kind_of(loss, "accuracy under attack"), as_batch(batch)

    def at(epsilon):
        x = attack(
            source,
            loss,
            batch.x,
            batch.y,
            jax.random.fold_in(key, DISTURB),
            epsilon=epsilon,
            bounds=bounds,
        )
        return correct(target(x, jax.random.fold_in(key, ANSWER)), batch.y, kind)

    return jax.lax.map(at, jnp.asarray(severities, batch.x.dtype) * (bounds[1] - bounds[0])).mean(1)
