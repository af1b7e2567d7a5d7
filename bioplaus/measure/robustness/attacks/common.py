"""What attacks share: the ball around x, and the box of valid inputs, in which x' stays.

    L-infinity  |x' - x|_j <= epsilon,       steepest ascent sign(g)
    L2          ||x' - x||_2 <= epsilon,     steepest ascent g / ||g||_2
x': adversarial example; g: gradient. After the projection into the ball, x' is clipped to a box
that contains x (`box`). This moves each component towards x, so that x' never leaves the ball.
Lengths are computed from vectors divided by their largest entry, because squares leave the range of
float32 early: a gradient of length 1e-23 would have the length 0, one of 1e20 an infinite one.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from bioplaus.salts import RADIUS
from bioplaus.types import Array, Key

BOUNDS = (0.0, 1.0)
"""Bounds of the input for images in [0, 1]."""

Attack = Callable[..., Array]
"""(predict, loss, x, y, key, *, epsilon, bounds) -> adversarial x. Attacks by the gradient take
steps and draws as well.

epsilon and bounds (smallest, largest value of the inputs) are in the units of x.
"""


class Norm(NamedTuple):
    """A ball around 0. epsilon: its radius, a scalar, or one per example in a shape that broadcasts
    against x [B, ...].

    ascent: slope -> direction of steepest ascent, of norm 1.
    project: (delta, epsilon) -> delta in the ball.
    sample: (key, like, epsilon) -> uniform in the ball.
    """

    ascent: Callable[[Array], Array]
    project: Callable[[Array, ArrayLike], Array]
    sample: Callable[[Key, Array, ArrayLike], Array]


def box(x: Array, bounds: tuple[float, float]) -> tuple[Array, Array]:
    """Smallest and largest value of each component of x'.

    They are the bounds of the input, extended to x where x lies outside of them.

    Raises ValueError as `check_bounds` does.
    """
    check_bounds(x, bounds)
    return jnp.minimum(bounds[0], x), jnp.maximum(bounds[1], x)


def check_bounds(x: Array, bounds: tuple[float, float]) -> None:
    """Raise ValueError for bounds and inputs that do not fit.

    Bounds must be (low, high), x must be floating point, and x must be within the bounds.

    The last check is skipped inside jit, where the values of x are not known.
    """
    low, high = bounds
    if not low < high:
        raise ValueError(
            f"bounds are {bounds}; give (low, high), the smallest and the largest value that an"
            " input can have"
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(
            f"x has the type {x.dtype}, to which no small change can be made; give x as floats"
        )
    if not isinstance(x, Tracer) and getattr(x, "is_fully_addressable", True) and x.size:
        # in numpy, because inside jit JAX would trace this even for values that are known
        values = np.asarray(x)
        smallest, largest = values.min(), values.max()
        if not (smallest >= low and largest <= high):
            raise ValueError(
                f"x reaches from {smallest:g} to {largest:g}, outside its bounds"
                f" [{low:g}, {high:g}]; give the smallest and the largest value of the inputs as"
                " bounds=(low, high); an attack's epsilon is in the same units"
            )


def _uniform(key: Key, like: Array, epsilon: ArrayLike) -> Array:
    return jnp.asarray(epsilon) * jax.random.uniform(key, like.shape, like.dtype, -1.0, 1.0)


def _split(delta: Array) -> tuple[Array, Array]:
    """Length [B, 1, ...] and direction of each example's vector. The direction of zero is zero."""
    axes = tuple(range(1, delta.ndim))
    top = jnp.abs(delta).max(axes, keepdims=True)
    scaled = delta / jnp.where(top > 0, top, 1)  # its largest entry is 1, or all are 0
    length = jnp.sqrt(jnp.maximum((scaled**2).sum(axes, keepdims=True), 1))
    return top * length, scaled / length


def _uniform_l2(key: Key, like: Array, epsilon: ArrayLike) -> Array:
    way = jax.random.normal(key, like.shape, like.dtype)
    radius = jax.random.uniform(
        jax.random.fold_in(key, RADIUS), (len(like), *(1,) * (like.ndim - 1)), like.dtype
    )
    return jnp.asarray(epsilon) * radius ** (1 / like[0].size) * _split(way)[1]


def _shorten(delta: Array, epsilon: ArrayLike) -> Array:
    length, way = _split(delta)
    return jnp.where(length > epsilon, epsilon * way, delta)


LINF = Norm(
    jnp.sign, lambda delta, epsilon: jnp.clip(delta, -jnp.asarray(epsilon), epsilon), _uniform
)
L2 = Norm(lambda slope: _split(slope)[1], _shorten, _uniform_l2)
