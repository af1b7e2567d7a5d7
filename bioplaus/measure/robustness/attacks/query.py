"""Attacks that see only answers, in the L-infinity ball. Masked gradients do not stop them.

    square       x' = clip(x + epsilon s), s in {-1, 1}: a random window of s gets a random sign,
                 which is kept if the margin grows
    ray_search   finds the direction s in {-1, 1} in which the decision boundary is nearest, from
                 the class of the answer alone: blocks of s, ever finer, are flipped if x + r s is
                 then still misclassified, and the radius r is bisected again
    random_signs, random_ball   no search; controls that any attack must clearly beat

Andriushchenko, Croce, Flammarion, Hein, "Square Attack: a query-efficient black-box adversarial
attack via random search", 2020, arXiv:1912.00049. Chen, Gu, "RayS: A Ray Searching Method for
Hard-label Adversarial Attack", 2020, arXiv:2006.12792. Departures: for an input that is a vector,
the window of Square is an interval and may lie anywhere; both attacks use all of their queries
where the papers stop at a success. `loss` only declares what outputs are. A net with noise answers
each query with a fresh noise sample.
"""

import math

import jax
import jax.numpy as jnp

from bioplaus.hyper import Count, NonNegative, Positive, Share, declared
from bioplaus.measure.accuracy import Answer
from bioplaus.measure.robustness.attacks.common import BOUNDS, LINF, box
from bioplaus.outputs import correct, kind_of, margin
from bioplaus.salts import SIGNS
from bioplaus.types import Array, Key, Loss

HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Fractions of Square's queries after which the area of its window is halved."""


@declared
def square(
    predict: Answer,
    loss: Loss,
    x: Array,
    y: Array,
    key: Key,
    *,
    epsilon: NonNegative,
    queries: Count = 1000,
    p: Share = 0.8,
    bounds=BOUNDS,
) -> Array:
    """Random search by the margin. x: [B, n], or [B, side, ..., channels]. p: fraction of the input
    that the first windows cover.

    A window has one sign per channel. The start is vertical stripes for an image, random signs for
    a vector.
    """
    kind = kind_of(loss, "square")
    low, high = box(x, bounds)
    sides, channels = (x.shape[1:-1], x.shape[-1]) if x.ndim > 2 else (x.shape[1:], 1)

    def moved(signs):
        return jnp.clip(x + epsilon * signs.reshape(x.shape), low, high)

    def ask(signs, t):
        return margin(predict(moved(signs), jax.random.fold_in(key, t)), y, kind)

    def step(carry, t):
        signs, best = carry
        draw = jax.random.fold_in(jax.random.fold_in(key, t), SIGNS)
        share = p * 0.5 ** (t > jnp.asarray(HALVINGS) * queries).sum()
        inside = jnp.ones((len(x), *(1 for _ in sides), 1), bool)
        for axis, side in enumerate(sides):
            width = jnp.clip(jnp.round(share ** (1 / len(sides)) * side), 1, side)
            first = jnp.floor(
                jax.random.uniform(jax.random.fold_in(draw, axis), (len(x),)) * (side - width + 1)
            )
            at = jnp.arange(side) - first[:, None]
            inside &= ((at >= 0) & (at < width)).reshape(
                len(x), *(side if i == axis else 1 for i in range(len(sides))), 1
            )
        window = jax.random.rademacher(
            jax.random.fold_in(draw, len(sides)), (len(x), *(1 for _ in sides), channels), x.dtype
        )
        trial = jnp.where(inside, window, signs)
        found = ask(trial, t)
        better = found > best
        kept = jnp.where(better.reshape(-1, *(1,) * (trial.ndim - 1)), trial, signs)
        return (kept, jnp.where(better, found, best)), None

    stripes = (len(x), *((1, *sides[1:]) if len(sides) > 1 else sides), channels)
    signs = jnp.broadcast_to(
        jax.random.rademacher(key, stripes, x.dtype), (len(x), *sides, channels)
    )
    return moved(jax.lax.scan(step, (signs, ask(signs, 0)), jnp.arange(1, queries))[0][0])


@declared
def ray_search(
    predict: Answer,
    loss: Loss,
    x: Array,
    y: Array,
    key: Key,
    *,
    epsilon: NonNegative,
    queries: Count = 1000,
    tolerance: Positive = 1e-3,
    bounds: tuple[float, float] = BOUNDS,
) -> Array:
    """RayS, from hard labels only. If the boundary is within epsilon, x' lies on it. tolerance: of
    the radius, in units of x.

    Each step is one query: it either tries a flipped block at the present radius, or bisects the
    radius after a flip that succeeded. The bounds must be finite.
    """
    kind = kind_of(loss, "ray_search")
    low, high = box(x, bounds)
    n = x[0].size
    levels = math.ceil(math.log2(n)) if n > 1 else 0

    def at(radius, signs):
        return jnp.clip(x + (radius[:, None] * signs).reshape(x.shape), low, high)

    def step(carry, t):
        signs, radius, near, level, block, bisecting = carry
        size = -(-n // 2**level)
        mask = (jnp.arange(n) // size[:, None]) == block[:, None]
        trial = jnp.where(mask & ~bisecting[:, None], -signs, signs)
        asked = jnp.where(bisecting, (near + radius) / 2, radius)
        broken = correct(predict(at(asked, trial), jax.random.fold_in(key, t)), y, kind) == 0
        won = broken & ~bisecting
        signs = jnp.where(won[:, None], trial, signs)
        near = jnp.where(won, 0.0, jnp.where(bisecting & ~broken, asked, near))
        radius = jnp.where(bisecting & broken, asked, radius)
        block = jnp.where(bisecting, block, block + 1)
        full = block * size >= n  # every block of this level was tried
        level = jnp.where(full, (level + 1) % (levels + 1), level)
        block = jnp.where(full, 0, block)
        bisecting = jnp.where(bisecting, radius - near > tolerance, won)
        return (signs, radius, near, level, block, bisecting), None

    zero = jnp.zeros(len(x), x.dtype)
    count = zero.astype(int)
    start = (
        jnp.ones((len(x), n), x.dtype),
        zero + (bounds[1] - bounds[0]),
        zero,
        count,
        count,
        zero > 0,
    )
    signs, radius, *_ = jax.lax.scan(step, start, jnp.arange(queries))[0]
    within = jnp.broadcast_to(epsilon, (len(x), *(1,) * (x.ndim - 1))).reshape(len(x))
    return at(jnp.minimum(radius, within), signs)


@declared
def random_signs(
    predict: Answer,
    loss: Loss,
    x: Array,
    y: Array,
    key: Key,
    *,
    epsilon: NonNegative,
    bounds=BOUNDS,
) -> Array:
    """x +- epsilon, with an independent random sign per component."""
    del predict, loss, y
    low, high = box(x, bounds)
    return jnp.clip(x + epsilon * jax.random.rademacher(key, x.shape, x.dtype), low, high)


@declared
def random_ball(
    predict: Answer,
    loss: Loss,
    x: Array,
    y: Array,
    key: Key,
    *,
    epsilon: NonNegative,
    bounds=BOUNDS,
) -> Array:
    """x plus a uniformly drawn point of the ball."""
    del predict, loss, y
    low, high = box(x, bounds)
    return jnp.clip(x + LINF.sample(key, x, epsilon), low, high)
