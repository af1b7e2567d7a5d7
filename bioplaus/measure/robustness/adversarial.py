"""Accuracy under one attack as a function of its radius. This is not a claim of robustness, which
needs `suite` and `claim`.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp

from bioplaus.batches import as_batch
from bioplaus.measure.accuracy import Answer
from bioplaus.measure.robustness.attacks import BOUNDS, Attack
from bioplaus.outputs import correct, kind_of
from bioplaus.salts import ANSWER, DISTURB
from bioplaus.types import Array, Batch, Key, Loss

EPSILONS = (0.0, 0.05, 0.1, 0.2, 0.4)
"""Radii as fractions of the range of the inputs. The last should break any net, so that the curve
reaches its floor.
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
    """Accuracy [K] on examples that `attack` makes on this same net, at K radii. At radius 0 it is
    the clean accuracy.

    severities: radii as fractions of the range of the inputs, high - low of `bounds`. bounds: given
    to the attack.
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
    """Accuracy [K] of `target` on examples made on `source`, at K radii. With the twin trained by
    backprop as the source it is a black-box attack.

    severities, bounds: as in `under_attack`. A net that answers at each moment is attacked, and
    judged, by its one answer, the mean output of the asked moments.
    """

    kind, batch = kind_of(loss, "accuracy under attack"), as_batch(batch)
    asked = {} if batch.asked is None else {"asked": batch.asked}

    def at(epsilon):
        x = attack(
            partial(source, **asked),
            loss,
            batch.x,
            batch.y,
            jax.random.fold_in(key, DISTURB),
            epsilon=epsilon,
            bounds=bounds,
        )
        return correct(target(x, jax.random.fold_in(key, ANSWER), **asked), batch.y, kind)

    return jax.lax.map(at, jnp.asarray(severities, batch.x.dtype) * (bounds[1] - bounds[0])).mean(1)
