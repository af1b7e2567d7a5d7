"""Accuracy of outputs [B, C] of a net on y: targets [B, C] or integer labels [B].

loss: the loss that the net was trained with, which declares what its outputs are, or this kind
itself; see `bioplaus.outputs`. For "logits", the default, the answer is the largest output. For a
net of one output, loss must be given.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.arrays import as_wide_floats
from bioplaus.batches import checked_data
from bioplaus.outputs import Kind, correct
from bioplaus.types import Array, Batch, Key, Loss

Answer = Callable[[Array, Key], Array]
"""(x [B, ...], key) -> outputs [B, C]: `Rule.predict` with its parameters and state filled in."""


def accuracy(outputs: ArrayLike, y: ArrayLike, loss: Loss | Kind = "logits") -> Array:
    """Fraction of correct answers, a scalar. NaN if every output is NaN: a net that has diverged
    does not score at chance.

    Raises ValueError if y does not fit the outputs, or does not say which answer is correct.
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
    """Accuracy over a batch, computed at once, or in chunks of `size` examples to save memory.
    Noise is drawn anew for each chunk.
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
