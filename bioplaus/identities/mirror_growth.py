"""How much the feedback weights grow in steps of the weight mirror, in the mean over its noise."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from bioplaus.identities.common import (
    Problem,
    pose,
)
from bioplaus.identities.feedback_alignment import weights
from bioplaus.layers import mlp
from bioplaus.types import Array, Gates, Key, Neuron, PyTree, RuleFactory

RATE, DECAY, SIGMA, WIDTH = 0.7, 0.05, 0.3, 4
EXAMPLES = 2**WIDTH


def enumerable(neuron: Neuron) -> Problem:
    """A net whose mirrored layers have four inputs, and a batch of their 16 sign vectors."""
    return pose(mlp((3, WIDTH, WIDTH, 2), neuron), (EXAMPLES, 3), 2)


def every_sign(key: Key, shape: tuple[int, ...], dtype: Any) -> Array:
    """A sampler: all sign vectors over the last axis, one per example, equal at every position.

    Their mean is 0 and their variance 1.
    """
    del key
    signs = 2 * ((jnp.arange(shape[0])[:, None] >> jnp.arange(shape[-1])) & 1) - 1
    return jnp.broadcast_to(
        signs.reshape(shape[0], *(1,) * (len(shape) - 2), shape[-1]), shape
    ).astype(dtype)


def offset(key: Key, shape: tuple[int, ...], dtype: Any) -> Array:
    """`every_sign` with mean 3."""
    return every_sign(key, shape, dtype) + 3.0


def mirrored(
    factory: RuleFactory,
    p: Problem,
    *,
    rate: float = RATE,
    decay: float = DECAY,
    sigma: float = SIGMA,
    centred: bool = True,
    sample: Callable[..., Array] = every_sign,
    times: int = 1,
    gate: Gates = None,
) -> tuple[PyTree, PyTree]:
    """The feedback weights before and after some steps at fixed W."""
    rule = factory(
        p.net, p.loss, rate=rate, decay=decay, sigma=sigma, centred=centred, sample=sample
    )
    state = rule.init(jax.random.key(6), p.params, p.batch)
    keys = jax.random.split(p.key, times)
    after = jax.jit(
        lambda s: jax.lax.scan(
            lambda s, k: (rule.grad(p.params, s, p.batch, k, gate)[1], None), s, keys
        )[0]
    )(state)
    return weights(state.feedback), weights(after.feedback)


def growth(
    factory: RuleFactory,
    p: Problem,
    *,
    sigma: float = SIGMA,
    centred: bool = True,
    sample: Callable[..., Array] = every_sign,
    times: int = 1,
    gate: Gates = None,
) -> PyTree:
    """The growth of the feedback weights at rate 1, without decay."""
    before, after = mirrored(
        factory,
        p,
        rate=1.0,
        decay=0.0,
        sigma=sigma,
        centred=centred,
        sample=sample,
        times=times,
        gate=gate,
    )
    return [b - a for a, b in zip(before, after, strict=True)]
