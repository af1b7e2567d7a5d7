"""Angles between the updates of a rule and those of backprop.

In degrees: 0 for the same direction, 90 for orthogonal ones, 180 for opposite ones.

With u and v scaled to unit length, angle = 2 atan2(|u - v|, |u + v|), because the arc cosine of u .
v has no correct digit in float32 below 0.02 degrees. In n dimensions two random directions stand at
90 +- 57 / sqrt(n) degrees (mean and standard deviation).

Kahan, "How Futile are Mindless Assessments of Roundoff in Floating-Point Computation?", 2006,
section 12.
"""

import jax
import jax.numpy as jnp

from bioplaus.types import Array, PyTree


def angles(grads: PyTree, reference: PyTree) -> Array:
    """[L]: the angle between each layer's gradient and the reference's.

    All leaves of a layer are one vector. NaN if either is zero.

    Raises ValueError unless the two trees have the same layers and shapes.
    """
    return _by_layer("angles", grads, reference, ndim=0)


def feedback_angle(params: PyTree, feedback: PyTree) -> Array:
    """[L]: the angle between W_l and B_l over weight matrices (leaves of two axes or more). NaN for
    a layer without feedback, ().

    feedback: one entry per layer, each () or with the tree of that layer's params, as in
    `state.feedback` of feedback alignment. Raises ValueError if the two trees do not match.
    """
    return _by_layer("feedback_angle", params, feedback, ndim=2)


def _by_layer(name: str, a: PyTree, b: PyTree, ndim: int) -> Array:
    if len(a) != len(b):
        raise ValueError(
            f"{name}: got {len(a)} and {len(b)} layers; give two trees with one entry per layer"
        )
    return jnp.stack(
        [_angle(*_vectors(name, l, u, v, ndim)) for l, (u, v) in enumerate(zip(a, b, strict=True))]
    )


def _vectors(name: str, l: int, a: PyTree, b: PyTree, ndim: int) -> tuple[Array, Array]:
    a, b = jax.tree.leaves(a), jax.tree.leaves(b)
    if not a or not b:
        return jnp.zeros(1), jnp.zeros(1)
    if [u.shape for u in a] != [v.shape for v in b]:
        raise ValueError(
            f"{name}: layer {l} has the shapes {[u.shape for u in a]} and {[v.shape for v in b]};"
            " both need the same"
        )
    pairs = [(u.ravel(), v.ravel()) for u, v in zip(a, b, strict=True) if u.ndim >= ndim] or [
        (jnp.zeros(1), jnp.zeros(1))
    ]
    return jnp.concatenate([u for u, _ in pairs]), jnp.concatenate([v for _, v in pairs])


def _angle(u: Array, v: Array) -> Array:
    def unit(w):
        # the squares of small gradients underflow in float32; a zero vector becomes NaN here
        w = w / jnp.abs(w).max()
        return w / jnp.linalg.norm(w)

    u, v = unit(u), unit(v)
    return jnp.degrees(2.0 * jnp.arctan2(jnp.linalg.norm(u - v), jnp.linalg.norm(u + v)))
