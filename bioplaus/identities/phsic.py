"""pHSIC: identities and negative controls.

The reference is `jax.grad` of the objectives of the layers, sums over pairs of examples. No error
passes from a layer to those below it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from bioplaus.identities.any_net import locally
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    convolutional,
    cosine,
    equal,
    gradient,
    large,
    problem,
    relative,
    truth,
)
from bioplaus.pools import of_sequence
from bioplaus.rules.phsic import cosine as cosine_similarity
from bioplaus.types import PyTree, RuleFactory

KEY = "phsic"
GAMMA, WIDTH = 2.0, 5.0


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be pHSIC."""
    p = problem()
    want = by_grad(p, gauss(2.0), plain, 1.5)
    got = gradient(factory, p, width=2.0, gamma=1.5)[0]
    yield equal(KEY, "jax.grad of each layer's objective, pair by pair", got, want, 1e-10)
    yield equal(KEY, "the last layer equals backprop", got[-1], truth(p)[-1], 1e-12)
    away = max(abs(cosine(g, t)) for g, t in zip(got[:-1], truth(p)[:-1], strict=True))
    yield large(KEY, "hidden layers: 1 - |cosine| to backprop, layer nearest to it", 1 - away, 0.1)
    hsic = by_grad(p, gauss(2.0), plain, 1.5, middle=True)
    yield large(
        KEY,
        "hidden layers differ from HSIC, which has a third term",
        relative(got[:-1], hsic[:-1]),
        1e-2,
    )

    similar = gradient(factory, p, kernel=cosine_similarity)[0]
    yield equal(
        KEY,
        "cosine kernel: jax.grad of each layer's objective, pair by pair",
        similar,
        by_grad(p, angle, plain, GAMMA),
        1e-10,
    )
    grouped = gradient(factory, p, groups=4, power=0.6, smoothing=0.7, width=2.0)[0]
    parts = by_grad(p, gauss(2.0), lambda h: groups_of(h, 4, 0.6, 0.7), GAMMA)
    yield equal(
        KEY,
        "variances in groups of units: jax.grad of each layer's objective",
        grouped,
        parts,
        1e-10,
    )
    yield large(
        KEY,
        "variances in groups of units: differs from the cosine kernel on outputs",
        relative(grouped[:-1], similar[:-1]),
        0.1,
    )
    images = convolutional()
    yield equal(
        KEY,
        "convolutions and pooling: jax.grad of each layer's objective",
        gradient(factory, images)[0],
        by_grad(images, gauss(WIDTH), plain, GAMMA),
        1e-9,
    )
    yield from _invariances(factory, p, got)


def _invariances(factory: RuleFactory, p: Problem, got: PyTree) -> Iterator[Check]:
    """Permuted classes, and other weights in later layers. got: the gradient without either."""
    renamed = p._replace(batch=p.batch._replace(y=p.batch.y[:, ::-1]))
    other = gradient(factory, renamed, width=2.0, gamma=1.5)[0]
    yield equal(
        KEY,
        "permuted classes: hidden layers have the same gradient",
        other[:-1],
        got[:-1],
        1e-12,
    )
    yield large(
        KEY,
        "permuted classes: the last layer has another gradient",
        relative(other[-1], got[-1]),
        0.1,
    )
    above = p._replace(params=(*p.params[:1], *jax.tree.map(lambda w: 2 * w, p.params[1:])))
    yield equal(
        KEY,
        "later weights change: the first layer has the same gradient",
        gradient(factory, above, width=2.0, gamma=1.5)[0][0],
        got[0],
        0.0,
    )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """On any net: `jax.grad` of each layer's objective, and of the loss for the last."""
    got = gradient(factory, p)[0]
    yield equal(
        KEY,
        "jax.grad of each layer's objective, pair by pair",
        got,
        by_grad(p, gauss(WIDTH), plain, GAMMA),
        1e-6,
    )
    yield large(KEY, "differs from backprop: relative difference", relative(got, truth(p)), 0.1)


def gauss(width: float) -> Callable:
    """A Gaussian kernel of two vectors."""
    return lambda u, v: jnp.exp(-jnp.sum((u - v) ** 2) / (2 * width**2))


def angle(u: jax.Array, v: jax.Array) -> jax.Array:
    """The cosine of two vectors."""
    return jnp.dot(u, v) / jnp.sqrt(jnp.dot(u, u) * jnp.dot(v, v))


def plain(h: Any) -> Any:
    """Outputs as vectors."""
    return h.reshape(len(h), -1)


def groups_of(h: Any, groups: int, power: float, smoothing: float) -> Any:
    """Powers of the variances in groups of neighbouring units, minus their mean over groups."""
    parts = jnp.stack(jnp.split(h, groups, -1), 1)
    u = (parts.var(-1) + smoothing / parts.shape[-1]) ** power
    return u - u.mean(-1, keepdims=True)


def by_grad(
    p: Problem, kernel: Callable, features: Callable, gamma: float, *, middle: bool = False
) -> PyTree:
    """Gradients of sum_l O_l + L, without errors passing between layers.

    O_l: the objective of hidden layer l; L: the loss of the last layer. middle: whether to add the
    third term of HSIC, which pHSIC leaves out.
    """
    stop, n = jax.lax.stop_gradient, len(p.batch.y)
    labels = p.batch.y - p.batch.y.mean(-1, keepdims=True)

    def matrix(k, u):
        return jax.vmap(lambda a: jax.vmap(lambda b: k(a, b))(u))(u)

    def between(a, b):
        crossed = (a.sum(0) * b.sum(0)).sum() / n**3 - a.mean() * b.mean() if middle else 0.0
        return (a * b).sum() / n**2 - a.mean() * b.mean() - 2 * crossed

    def objective(params):
        h, total = p.batch.x, 0.0
        for l, layer in enumerate(p.net):
            h = locally(p, l, params[l], stop(h))
            if l < len(p.net) - 1:
                similar = matrix(kernel, features(of_sequence(p.net, layer, h)))
                total += between(similar, similar) - gamma * between(matrix(angle, labels), similar)
        return total + p.loss(h, p.batch.y).mean()

    return jax.jit(jax.grad(objective))(p.params)


FAMILIES = {
    "phsic": Family(
        checks,
        on_net,
        credit="labels, compared between examples",
        equals="never, but for the last layer",
    )
}
