"""Robustness curves: accuracy over the severity of a disturbance of the trained net, with no retraining.

    input noise    x + sigma xi                        not clipped
    weight noise   w + sigma rms(w) xi                 weight matrices; fixed for a draw ("static"), the same for every example
    lesion         h_j <- m_j h_j, m_j = 0 with probability f    units of the hidden layers, independent (Bernoulli)
xi: standard normal. Each curve is (rebuild, net, params, state, batch, key) -> accuracy [K], the mean over `draws`; jit and vmap
(over seeds) apply. The disturbance depends on `key` and on shapes alone: every rule at that key meets the same one. In a draw
the severities share one sample, so that a larger lesion contains the smaller. Severity 0 is the net itself.

rebuild: (net) -> predict, this rule on another net of the same shapes: `lambda n: factory(n, loss, **hyper).predict`. So a rule
that settles does so in the lesioned net. A net with noise is read with a fresh sample a draw.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from bioplaus.measure.accuracy import correct
from bioplaus.net import forward, with_gain
from bioplaus.types import Array, Batch, Gain, Key, Net, PyTree

INPUT_NOISE = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
"""sigma, in units of the input."""
WEIGHT_NOISE = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
"""sigma, in units of the root mean square of each weight matrix."""
LESION = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
"""Fraction of the hidden units."""

Rebuild = Callable[[Net], Callable[..., Array]]


def input_noise(
    rebuild: Rebuild, net: Net, params: PyTree, state: PyTree, batch: Batch, key: Key, *, severities=INPUT_NOISE, draws: int = 3
) -> Array:
    """Accuracy [K] under Gaussian noise on the input."""

    def perturb(key):
        xi = jax.random.normal(key, batch.x.shape, batch.x.dtype)
        return lambda sigma: (net, params, batch.x + sigma * xi)

    return curve(rebuild, perturb, state, batch, key, severities, draws)


def weight_noise(
    rebuild: Rebuild, net: Net, params: PyTree, state: PyTree, batch: Batch, key: Key, *, severities=WEIGHT_NOISE, draws: int = 5
) -> Array:
    """Accuracy [K] under static noise on the weights."""

    def perturb(key):
        noise = weight_sample(params, key)
        return lambda sigma: (net, jax.tree.map(lambda w, n: w + sigma * n, params, noise), batch.x)

    return curve(rebuild, perturb, state, batch, key, severities, draws)


def lesion(
    rebuild: Rebuild, net: Net, params: PyTree, state: PyTree, batch: Batch, key: Key, *, severities=LESION, draws: int = 5
) -> Array:
    """Accuracy [K] after the loss of a random fraction of the hidden units, in every hidden layer alike."""

    def perturb(key):
        rank = unit_sample(net, params, batch.x, key)
        return lambda fraction: (lesioned(net, rank, fraction), params, batch.x)

    return curve(rebuild, perturb, state, batch, key, severities, draws)


CURVES = {"input_noise": (input_noise, INPUT_NOISE), "weight_noise": (weight_noise, WEIGHT_NOISE), "lesion": (lesion, LESION)}
"""Name -> (curve, its severities)."""


def curve(
    rebuild: Rebuild,
    perturb: Callable[[Key], Callable[[Array], tuple[Net, PyTree, Array]]],
    state: PyTree,
    batch: Batch,
    key: Key,
    severities: Sequence[float],
    draws: int,
) -> Array:
    """Accuracy [K] of the rule on what perturb(key of a draw)(severity) makes of (net, params, x), mean over draws.

    An answer of NaN is wrong: a net that a disturbance makes diverge has not been robust to it.
    """

    def draw(d):
        k = jax.random.fold_in(key, d)
        at = perturb(jax.random.fold_in(k, 0))

        def answers(severity):
            net, params, x = at(severity)
            return correct(rebuild(net)(params, state, x, jax.random.fold_in(k, 1), batch.context), batch.y)

        return jax.lax.map(answers, jnp.asarray(severities, batch.x.dtype))

    return jax.lax.map(draw, jnp.arange(draws)).mean((0, 2))


def weight_sample(params: PyTree, key: Key) -> PyTree:
    """rms(w) xi for each weight matrix (leaves of two axes or more), zero for the others: weight noise at sigma = 1."""
    leaves, tree = jax.tree.flatten(params)
    xi = iter(_draw(jax.random.normal, [w for w in leaves if w.ndim >= 2], key))
    return tree.unflatten([jnp.sqrt(jnp.mean(w**2)) * next(xi) if w.ndim >= 2 else jnp.zeros_like(w) for w in leaves])


def unit_sample(net: Net, params: PyTree, x: Array, key: Key) -> list[Array]:
    """One uniform number in [0, 1) a hidden unit, by layer: a lesion of fraction f takes those below f."""
    hidden = jax.eval_shape(lambda: [h[0] for h in forward(net, params, x, key).inputs[1:]])
    return _draw(jax.random.uniform, hidden, key)


def _draw(sampler, like: Sequence, key: Key) -> list[Array]:
    """Samples of the shapes and dtype of `like`, out of one call: every call costs a compilation."""
    if not like:
        return []
    ends = np.cumsum([math.prod(a.shape) for a in like])
    flat = sampler(key, (int(ends[-1]),), like[0].dtype)
    return [part.reshape(a.shape) for part, a in zip(jnp.split(flat, ends[:-1]), like, strict=True)]


def lesioned(net: Net, rank: Sequence[Array], fraction: ArrayLike, *, compensate: bool = False) -> Net:
    """The net without the hidden units whose rank (of `unit_sample`) is below the fraction: their output is 0.

    compensate: the others send 1 / (1 - fraction) times as much. The current y = sum_i w_i h_i of a unit then keeps its
    mean over lesions and has the variance f / (1 - f) sum_i (w_i h_i)^2.
    """
    left = jnp.maximum(1.0 - jnp.asarray(fraction), jnp.finfo(jnp.float32).tiny) if compensate else 1.0
    return with_gain(net, [Gain(out=jnp.where(r < fraction, 0.0, 1.0 / left).astype(r.dtype)) for r in rank] + [Gain()])
