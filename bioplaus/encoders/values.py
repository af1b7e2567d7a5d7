"""What encoders share: the range of inputs, and spikes whose derivative is that of a mean."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.types import Array, EncodeFn, Key


def straight_through(
    value: Callable[[Array, Key], Array], mean: Callable[[Array], Array]
) -> EncodeFn:
    """value(x, key), with the derivative of mean(x) in forward and in reverse mode."""

    @jax.custom_jvp
    def encode(x, key):
        return value(x, key)

    def with_tangent(primals, tangents):
        x, key = primals
        return encode(x, key), jax.jvp(mean, (x,), (tangents[0],))[1]

    encode.defjvp(with_tangent)
    return encode


def unit(x: Array) -> Array:
    """x, where it lies from 0 to 1, else the nearer end. The derivative is 1 at both ends."""
    inside = (x >= 0) & (x <= 1)
    return jnp.where(inside, x, jax.lax.stop_gradient(jnp.clip(x, 0, 1)))


def check_real(encoder: str, x: Array) -> None:
    """Raise ValueError for integers, as pixels of 0 to 255."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise ValueError(
            f"{encoder}: the input is {x.dtype}, expected floats; cast and scale pixels,"
            " x.astype('float32') / 255"
        )


def repeated(x: Array, steps: int) -> Array:
    """[B, ...] -> [B, steps, ...]."""
    return jnp.broadcast_to(x[:, None], (x.shape[0], steps, *x.shape[1:]))
