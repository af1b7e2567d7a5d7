"""The heads of `bioplaus.rules.local_losses`, which has their equations."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.entry import check_classes
from bioplaus.net import fire, noise_mode
from bioplaus.outputs import at_moments
from bioplaus.types import Array, Key, Loss, Net, PyTree


class Head(NamedTuple):
    """init: (key, shape and dtype of h, classes) -> weights.

    read: (weights, h) -> u, linear in both. loss: (u, y) -> [B].
    """

    init: Callable[[Key, jax.ShapeDtypeStruct, int], PyTree]
    read: Callable[[PyTree, Array], Array]
    loss: Loss


def prediction_head(net: Net, loss: Loss, weight: ArrayLike) -> Head:
    def init(key, h, classes):
        del key
        w = jnp.zeros((h.size // h.shape[0], classes), h.dtype)
        return {"w": w, "b": jnp.zeros(classes, h.dtype)}

    def read(p, h):
        lead = h.shape[: 2 if at_moments(loss) else 1]
        return h.reshape(*lead, -1) @ p["w"] + p["b"]

    last = noise_mode(net[-1:], "off")[0]
    return Head(
        init, read, lambda u, y: jnp.asarray(weight) * loss(fire(last, u, jax.random.key(0)), y)
    )


def similarity_head(weight: ArrayLike) -> Head:
    def pairs(h):
        if h.shape[0] < 2:
            raise ValueError("local similarity: got a batch of one example; give two or more")

    def init(key, h, classes):
        del classes
        pairs(h)
        n = h.shape[-1]
        return {"w": jax.random.uniform(key, (n, n), h.dtype, -1, 1) / n**0.5}

    def read(p, h):
        return h @ p["w"]

    def loss(u, y):
        pairs(u)
        check_classes("local similarity", y)
        return jnp.asarray(weight) * jnp.mean((_cosines(u) - _cosines(y)) ** 2, -1)

    return Head(init, read, loss)


def _cosines(u: Array) -> Array:
    """S [B, B]; 0 for an example that does not vary."""

    def root(a):  # the square root, with the derivative 0 at 0
        return jnp.where(a > 0, jnp.sqrt(jnp.where(a > 0, a, 1)), 0)

    channels = u.shape[-1]
    u = u.reshape(len(u), -1, channels)
    u = root(u.var(1)) if u.shape[1] > 1 and channels > 3 else u.reshape(len(u), -1)
    u = u - u.mean(-1, keepdims=True)
    norm = root((u**2).sum(-1, keepdims=True))
    u = u / jnp.where(norm > 0, norm, 1)
    return u @ u.T
