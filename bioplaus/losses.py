"""Losses, per example: (output [B, C], y [B, C]) -> [B]. y is one-hot or a distribution, except for `mse`."""

import jax
import jax.numpy as jnp
import optax

from bioplaus.types import Array

TINY = 1e-6  # float32 rounds a sigmoid to 0 or 1, whose logarithm is not finite


def cross_entropy(output: Array, y: Array) -> Array:
    """-sum_k y_k log softmax(output)_k, in nats. output: logits [B, C]."""
    _same_shape("cross_entropy", output, y)
    return -(y * jax.nn.log_softmax(output)).sum(-1)


def binary_cross_entropy(output: Array, y: Array) -> Array:
    """Cross-entropy of C independent sigmoid outputs, summed over them, in nats. output: logits [B, C]; y in [0, 1]."""
    _same_shape("binary_cross_entropy", output, y)
    return optax.sigmoid_binary_cross_entropy(output, y).sum(-1)


def bernoulli(output: Array, y: Array) -> Array:
    """-sum_k [y_k log p_k + (1 - y_k) log(1 - p_k)], in nats. output: probabilities p [B, C], of sigmoid output neurons; y in [0, 1]."""
    _same_shape("bernoulli", output, y)
    p = output + jax.lax.stop_gradient(jnp.clip(output, TINY, 1 - TINY) - output)  # a wrong, saturated output still learns
    return -jnp.sum(y * jnp.log(p) + (1 - y) * jnp.log1p(-p), -1)


def mse(output: Array, y: Array) -> Array:
    """1/2 sum_k (output_k - y_k)^2."""
    _same_shape("mse", output, y)
    return 0.5 * jnp.sum((output - y) ** 2, -1)


def _same_shape(name: str, output: Array, y: Array) -> None:
    if output.shape != y.shape:
        raise ValueError(
            f"{name}: the output is {output.shape} and y is {jnp.shape(y)}; both must be [B, C] (labels as one-hot rows)"
        )
