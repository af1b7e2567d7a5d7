"""Losses, per example: (output [B, C], y [B, C]) -> [B]. y is one-hot or a distribution, except for
`mse`; integer labels [B] are turned to one-hot. Each declares what it takes outputs for, see
`bioplaus.outputs`. 0 log 0 is 0, in values and in gradients, so that a class may be masked with an
output of -inf. All raise ValueError for other shapes and for labels outside 0..C-1.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.outputs import numbers, outputs_are, targets
from bioplaus.types import Array

TINY = 1e-6  # float32 rounds a sigmoid to 0 or 1, whose logarithm is not finite


@outputs_are("logits")
def cross_entropy(output: ArrayLike, y: ArrayLike) -> Array:
    """-sum_k y_k log softmax(output)_k, in nats. output: logits [B, C]."""
    output, y = numbers("cross_entropy", output), targets("cross_entropy", output, y)
    return -_weighted(y, _log_softmax(output)).sum(-1)


@outputs_are("independent logits")
def binary_cross_entropy(output: ArrayLike, y: ArrayLike) -> Array:
    """Cross-entropy of C independent sigmoid outputs, summed over them, in nats. output: logits [B,
    C]; y in [0, 1].
    """
    output, y = numbers("binary_cross_entropy", output), targets("binary_cross_entropy", output, y)
    return (
        -_weighted(y, jax.nn.log_sigmoid(output)) - _weighted(1 - y, jax.nn.log_sigmoid(-output))
    ).sum(-1)


@outputs_are("probabilities")
def bernoulli(output: ArrayLike, y: ArrayLike) -> Array:
    """-sum_k [y_k log p_k + (1 - y_k) log(1 - p_k)], in nats. output: probabilities p [B, C], of
    sigmoid output neurons; y in [0, 1].

    p is kept 1e-6 away from 0 and 1, or the rounding of 1 where that is coarser (float16,
    bfloat16).
    """
    output, y = numbers("bernoulli", output), targets("bernoulli", output, y)
    tiny = max(TINY, float(jnp.finfo(output.dtype).eps))
    # a wrong, saturated output still learns
    p = output + jax.lax.stop_gradient(jnp.clip(output, tiny, 1 - tiny) - output)
    return -jnp.sum(y * jnp.log(p) + (1 - y) * jnp.log1p(-p), -1)


@outputs_are("values")
def mse(output: ArrayLike, y: ArrayLike) -> Array:
    """1/2 sum_k (output_k - y_k)^2."""
    output, y = numbers("mse", output), targets("mse", output, y)
    return 0.5 * jnp.sum((output - y) ** 2, -1)


def _log_softmax(output: Array) -> Array:
    """JAX's own, which orders complex numbers in version 0.10 and refuses them in 0.12: holomorphic
    rules need their exponentials.
    """
    if not jnp.iscomplexobj(output):
        return jax.nn.log_softmax(output)
    shifted = output - jax.lax.stop_gradient(output.real.max(-1, keepdims=True))
    return shifted - jnp.log(jnp.exp(shifted).sum(-1, keepdims=True))


def _weighted(y: Array, logs: Array) -> Array:
    """y log p, and 0 where y is 0, whatever p: in its slope too, which is why it is said twice."""
    return jnp.where(y == 0, 0, y * jnp.where(y == 0, 0, logs))
