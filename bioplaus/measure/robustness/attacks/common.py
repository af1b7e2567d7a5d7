"""What attacks share: the ball that x' stays in, and the margin.

    L-infinity  |x' - x|_j <= epsilon,       steepest ascent sign(g)
    L2          ||x' - x||_2 <= epsilon,     steepest ascent g / ||g||_2
Both are cut by the bounds of the input, clipped after the projection: that never leaves the ball, because x is in the box.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.salts import RADIUS
from bioplaus.types import Array, Key

BOUNDS = (0.0, 1.0)
"""Of the input, for images in [0, 1]."""

Attack = Callable[..., Array]
"""(predict, loss, x, y, key, *, epsilon) -> adversarial x. Those by the gradient take steps and draws as well."""


class Norm(NamedTuple):
    """A ball about 0. epsilon: its radius, a scalar, or one for each example, of a shape that fits x [B, ...].

    ascent: slope -> direction of steepest ascent, of norm 1;  project: (delta, epsilon) -> delta in the ball;
    sample: (key, like, epsilon) -> uniform in the ball.
    """

    ascent: Callable[[Array], Array]
    project: Callable[[Array, ArrayLike], Array]
    sample: Callable[[Key, Array, ArrayLike], Array]


def _uniform(key: Key, like: Array, epsilon: ArrayLike) -> Array:
    return jnp.asarray(epsilon) * jax.random.uniform(key, like.shape, like.dtype, -1.0, 1.0)


def _length(delta: Array) -> Array:
    """[B, 1, ...], never 0."""
    return jnp.maximum(jnp.sqrt((delta**2).sum(tuple(range(1, delta.ndim)), keepdims=True)), jnp.finfo(delta.dtype).tiny)


def _uniform_l2(key: Key, like: Array, epsilon: ArrayLike) -> Array:
    way = jax.random.normal(key, like.shape, like.dtype)
    radius = jax.random.uniform(jax.random.fold_in(key, RADIUS), (len(like), *(1,) * (like.ndim - 1)), like.dtype)
    return jnp.asarray(epsilon) * radius ** (1 / like[0].size) * way / _length(way)


def _shorten(delta: Array, epsilon: ArrayLike) -> Array:
    return delta * jnp.minimum(1.0, epsilon / _length(delta))


LINF = Norm(jnp.sign, lambda delta, epsilon: jnp.clip(delta, -jnp.asarray(epsilon), epsilon), _uniform)
L2 = Norm(lambda slope: slope / _length(slope), _shorten, _uniform_l2)


def margin(output: Array, y: Array) -> Array:
    """The largest wrong output less the right one, [B]: above 0 where the answer is wrong. A loss whose slope never saturates.

    Carlini, Wagner, "Towards Evaluating the Robustness of Neural Networks", 2017, arXiv:1608.04644, f_6 (there clipped at 0).
    """
    right = jax.nn.one_hot(y.argmax(-1), y.shape[-1], dtype=bool)
    return jnp.where(right, -jnp.inf, output).max(-1) - jnp.where(right, output, 0.0).sum(-1)
