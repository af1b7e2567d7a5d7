"""Accuracy. outputs: [B, C] of a net, y: [B, C] targets; the answer of a net is its largest output."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.types import Array, Batch, Key

Answer = Callable[[Array, Key], Array]
"""(x [B, ...], key) -> outputs [B, C]: `Rule.predict` with its parameters and state filled in."""


def correct(outputs: Array, y: Array) -> Array:
    """[B], 1 where the largest output is that of the largest target. A NaN is a wrong answer (argmax gives its class)."""
    right = (outputs.argmax(-1) == y.argmax(-1)) & ~jnp.isnan(outputs).any(-1)
    return right.astype(outputs.dtype)


def accuracy(outputs: Array, y: Array) -> Array:
    """Fraction of correct answers, a scalar; NaN where every output is NaN: the net has diverged, and is no case of chance."""
    return jnp.where(jnp.isnan(outputs).any(-1).all(), jnp.nan, correct(outputs, y).mean())


def evaluate(predict: Answer, batch: Batch, key: Key, *, size: int | None = None) -> Array:
    """Accuracy over a batch, at once or in chunks of `size` examples where memory is short (noise is then drawn by chunk)."""
    n = batch.x.shape[0]
    if size is None or size >= n:
        return accuracy(predict(batch.x, key), batch.y)
    if size < 1:
        raise ValueError(f"evaluate: got chunks of {size} examples; give 1 or more, or None for the batch at once")
    full = n - n % size

    def chunk(c):
        i, x = c
        return predict(x, jax.random.fold_in(key, i))

    chunks = batch.x[:full].reshape(-1, size, *batch.x.shape[1:])
    outputs = jax.lax.map(chunk, (jnp.arange(len(chunks)), chunks)).reshape(full, -1)
    if full < n:
        outputs = jnp.concatenate([outputs, predict(batch.x[full:], jax.random.fold_in(key, len(chunks)))])
    return accuracy(outputs, batch.y)
