"""Accuracy. outputs: [B, C] of a net, y: [B, C] targets or integer labels [B].

loss: the one that the net was trained with, which declares what its outputs are, or their kind
itself; see `bioplaus.outputs`. As "logits", the default, the largest output is the answer. A net of
one output needs it said.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.arrays import as_wide_floats
from bioplaus.entry import checked_data
from bioplaus.outputs import Kind, correct
from bioplaus.types import Array, Batch, Key, Loss

Answer = Callable[[Array, Key], Array]
"""(x [B, ...], key) -> outputs [B, C]: `Rule.predict` with its parameters and state filled in."""


def accuracy(outputs: ArrayLike, y: ArrayLike, loss: Loss | Kind = "logits") -> Array:
    """Fraction of correct answers, a scalar; NaN where every output is NaN: the net has diverged,
    and is no case of chance.

    Raises ValueError where y does not fit the outputs, or does not say what a right answer is.
    """
    outputs = as_wide_floats("accuracy", outputs)
    right = correct(outputs, y, loss).mean()
    return jnp.where(jnp.isnan(outputs).any(-1).all(), jnp.nan, right)


def evaluate(
    predict: Answer,
    batch: Batch,
    key: Key,
    *,
    size: int | None = None,
    loss: Loss | Kind = "logits",
) -> Array:
    """Accuracy over a batch, at once or in chunks of `size` examples where memory is short (noise
    is then drawn by chunk).
    """
    batch = checked_data(batch)
    n = batch.x.shape[0]
    if size is None or size >= n:
        return accuracy(predict(batch.x, key), batch.y, loss)
    if size < 1:
        raise ValueError(
            f"evaluate: got chunks of {size} examples; give 1 or more, or None for the batch at"
            " once"
        )
    full = n - n % size

    def chunk(c):
        i, x = c
        return predict(x, jax.random.fold_in(key, i))

    chunks = batch.x[:full].reshape(-1, size, *batch.x.shape[1:])
    outputs = jax.lax.map(chunk, (jnp.arange(len(chunks)), chunks)).reshape(full, -1)
    if full < n:
        outputs = jnp.concatenate(
            [outputs, predict(batch.x[full:], jax.random.fold_in(key, len(chunks)))]
        )
    return accuracy(outputs, batch.y, loss)
