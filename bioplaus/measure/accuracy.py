"""Accuracy of outputs [B, C] of a net on y: targets [B, C] or integer labels [B].

loss: the loss that the net was trained with, which declares what its outputs are, or this kind
itself; see `bioplaus.outputs`. For "logits", the default, the answer is the largest output. For a
net of one output, loss must be given.

A net that answers at each moment, trained by a loss at each moment, is judged in one of two ways:

    y [B, C] or labels [B]          its one answer, the mean output of the asked moments
    y [B, T, C] or labels [B, T]    its answer at each asked moment; an example counts by the share
                                    of its asked moments that are right
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.arrays import as_wide_floats
from bioplaus.batches import checked_data
from bioplaus.outputs import Kind, at_moments, correct, from_labels
from bioplaus.types import Array, Batch, Key, Loss

Answer = Callable[..., Array]
"""(x [B, ...], key) -> outputs [B, C]: `Rule.predict` with its parameters and state filled in. For
batches that say which moments are asked, or have a target at each moment, it takes `asked` [B, T]
as a further keyword, as `predict` of most rules does.
"""


def accuracy(outputs: ArrayLike, y: ArrayLike, loss: Loss | Kind = "logits") -> Array:
    """Fraction of correct answers, a scalar. NaN if every output is NaN: a net that has diverged
    does not score at chance.

    With a loss at each moment, outputs and y may be [B, T, C], see `outputs.correct`.
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
        return accuracy(*answered(predict, batch, key, loss), loss)
    if size < 1:
        raise ValueError(
            f"evaluate: got chunks of {size} examples; give 1 or more, or None for the batch at"
            " once"
        )
    full = n - n % size

    def chunk(c):
        i, part = c
        return answered(predict, part, jax.random.fold_in(key, i), loss)

    part = Batch(batch.x, batch.y, asked=batch.asked)
    chunks = jax.tree.map(lambda a: a[:full].reshape(-1, size, *a.shape[1:]), part)
    count = full // size
    found = jax.lax.map(chunk, (jnp.arange(count), chunks))
    found = jax.tree.map(lambda a: a.reshape(full, *a.shape[2:]), found)
    if full < n:
        rest = chunk((count, jax.tree.map(lambda a: a[full:], part)))
        found = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), found, rest)
    return accuracy(found[0], found[1], loss)


def answered(
    predict: Answer, batch: Batch, key: Key, loss: Loss | Kind = "logits"
) -> tuple[Array, Array]:
    """(outputs, y) of a batch, as `accuracy` and `outputs.correct` take them.

    They are [B, T, C], with NaN in y at moments that are not asked, for a loss at each moment and a
    y of each moment; else outputs [B, C] and y as it is.
    """
    asked = {} if batch.asked is None else {"asked": batch.asked}
    if not _of_moments(batch.y, loss):
        return predict(batch.x, key, **asked), batch.y
    examples, moments = batch.y.shape[:2]
    each = jnp.broadcast_to(jnp.eye(moments, dtype=bool)[:, None], (moments, examples, moments))
    # What is asked enters after the forward pass, which this vmap therefore computes once.
    outputs = jax.vmap(lambda m: predict(batch.x, key, asked=m), out_axes=1)(each)
    y = batch.y
    if not jnp.issubdtype(y.dtype, jnp.inexact) and y.ndim == 2:
        y = from_labels("accuracy", y, outputs.shape[-1], outputs.dtype)
    if batch.asked is not None:
        y = jnp.where(batch.asked[..., None], y, jnp.nan)
    return outputs, y


def _of_moments(y: Array, loss: Loss | Kind) -> bool:
    """Whether y has a target at each moment: [B, T, C], or integer labels [B, T]."""
    axes = 3 if jnp.issubdtype(y.dtype, jnp.inexact) else 2
    return not isinstance(loss, str) and at_moments(loss) and y.ndim >= axes
