"""What a hidden layer makes of its input and its output without labels, for Hebbian rules."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.local import pull, spread
from bioplaus.types import Array, Key, Layer, PyTree


class LayerBatch(NamedTuple):
    """A hidden layer and the batch from which it learns.

    x, mean, u, h: x, m, u and h as in `bioplaus.rules.shared.unsupervised`. Of a layer over time
    they are sequences of one moment, the mean of all: [B, 1, n], and mean is [1, n].
    theta: [n_l], or None for rules without a threshold.
    """

    layer: Layer
    params: PyTree
    x: Array
    mean: Array
    u: Array
    h: Array
    theta: Array | None
    key: Key


Growth = Callable[[LayerBatch, ArrayLike | None], PyTree]
"""(data, gate) -> dW of a layer; its entries for biases are not used."""


def product(data: LayerBatch, s: Array, gate: ArrayLike | None) -> PyTree:
    """(1/B) sum_b g_b (x_b - m)^T s_b, where g is the gate. The bias cancels."""
    at_mean = _over_batch(spread(gate, s) * s)[None]
    parts = (
        pull(data.layer, data.params, data.x, data.key, s, gate),
        pull(*data[:2], data.mean[None], data.key, at_mean),
    )
    return jax.tree.map(jnp.subtract, *parts)


def _over_batch(x: Array) -> Array:
    """The mean over the first axis.

    On a CPU it is added up by halves: XLA's sum takes 3 to 30 times as long there.
    """

    def halves(x):
        count, odd = len(x), jnp.zeros_like(x[0])
        while len(x) > 1:
            half = len(x) // 2
            x, odd = x[:half] + x[half : 2 * half], odd + x[-1] if len(x) % 2 else odd
        return (x[0] + odd) / count

    return jax.lax.platform_dependent(x, cpu=halves, default=lambda x: x.mean(0))


def inhibited(
    data: LayerBatch,
    s: Array,
    part: Callable[[Array], Array],
    length: ArrayLike,
    gate: ArrayLike | None,
) -> PyTree:
    """(1/B) [(x - m)^T s - W part(u^T s) / R^2], R = length.

    The second term keeps a unit from learning again what the layer's weights already reconstruct of
    x.
    part: which entries of u^T s inhibit.
    """
    u, gated = (a.reshape(-1, a.shape[-1]) for a in (data.u, spread(gate, s) * s))
    with jax.named_scope("update"):
        m = part(u.T @ gated) / (len(s) * jnp.asarray(length, u.dtype) ** 2)
        decay = jax.tree.map(lambda w: jnp.tensordot(w, m, 1) if w.ndim > 1 else 0 * w, data.params)
    return jax.tree.map(jnp.subtract, product(data, s, gate), decay)
