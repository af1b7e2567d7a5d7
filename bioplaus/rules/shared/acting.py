"""What rules that act read of a batch: the rewards of the world, and the actions that are given."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.outputs import asked_moments
from bioplaus.salts import ACTIONS
from bioplaus.types import Array, Batch


def rewards_of(batch: Batch) -> tuple[Array, Array]:
    """Rewards [B, K]; and 0 where a trial has ended, else 1. Raises ValueError without rewards."""
    context = batch.context
    if "reward" not in context:
        raise ValueError(
            "rewards: the batch has none; give context={'reward': r}, r [B, K] the reward of the"
            " action before each moment, as bp.worlds.run does"
        )
    if batch.y.shape[-1] < 3:
        raise ValueError(
            f"rewards: the net has {batch.y.shape[-1]} outputs, expected one for each of 2 actions"
            " or more, and a last one for the value"
        )
    given = {name: context[name] for name in ("reward", "ended") if name in context}
    for name, values in given.items():
        if values.shape != batch.y.shape[:2]:
            raise ValueError(
                f"rewards: context[{name!r}] is {values.shape}, expected one number for each"
                f" example and moment, {batch.y.shape[:2]}"
            )
    reward = given["reward"].astype(batch.y.dtype)
    return reward, 1 - given.get("ended", jnp.zeros_like(reward)).astype(reward.dtype)


def discount_of(batch: Batch, gamma: ArrayLike) -> ArrayLike:
    """The discount: gamma, or, if the batch has it, the serotonin of each moment [B, K], after
    Doya, "Metalearning and neuromodulation", 2002, doi:10.1016/S0893-6080(02)00044-8. Raises
    ValueError for another shape."""
    if "serotonin" not in batch.context:
        return gamma
    serotonin = batch.context["serotonin"]
    if serotonin.shape != batch.y.shape[:2]:
        raise ValueError(
            f"rewards: context['serotonin'] is {serotonin.shape}, expected one number from 0 to 1"
            f" for each example and moment, {batch.y.shape[:2]}"
        )
    return serotonin.astype(batch.y.dtype)


def actions_of(y: Array, logits: Array, keys: Array, t: Array) -> Array:
    """Actions [B, K]: those of y [B, K, C + 1] and, where it is NaN, drawn from softmax(logits).
    t: number of the first moment. Each moment has a key of its own, that of its number."""

    def draw(key, logits):
        numbers = t + jnp.arange(len(logits))
        k = jax.vmap(lambda n: jax.random.fold_in(jax.random.fold_in(key, ACTIONS), n))(numbers)
        return jax.vmap(jax.random.categorical)(k, logits)

    given = jnp.nan_to_num(y[..., :-1]).argmax(-1)
    return jnp.where(asked_moments(y), given, jax.vmap(draw)(keys, logits))
