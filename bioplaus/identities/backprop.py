"""Backprop, and frozen hidden layers: identities and negative controls.

The references are `jax.grad` and central differences of the forward pass.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from bioplaus.identities.any_net import apart, by_layer, same
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    by_hand,
    convolutional,
    equal,
    gradient,
    large,
    pose,
    problem,
    relative,
    small,
    truth,
)
from bioplaus.layers import dense, group_normed
from bioplaus.losses import mse
from bioplaus.net import forward
from bioplaus.neurons import gaussian, multiplicative, synaptic_release, tanh
from bioplaus.types import Batch, RuleFactory


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be backprop."""
    p = problem()
    grads, _, info = gradient(factory, p)
    yield equal(
        "bp",
        "hand-coded backprop",
        grads,
        by_hand(p, lambda l, s, e: s @ p.params[l + 1]["w"].T),
        1e-12,
    )
    yield equal("bp", "jax.grad of the mean loss", grads, truth(p), 1e-12)
    yield equal(
        "bp", "central differences of the mean loss", ravel_pytree(grads)[0], differences(p), 1e-6
    )
    mean = p.loss(forward(p.net, p.params, p.batch.x, p.key).output, p.batch.y).mean()
    yield equal("bp", "info['loss'] is the mean loss", info["loss"], mean, 1e-12)

    squared = p._replace(loss=mse)
    yield equal(
        "bp",
        "jax.grad of half the squared error",
        gradient(factory, squared)[0],
        truth(squared),
        1e-12,
    )
    tiled = p._replace(batch=Batch(jnp.tile(p.batch.x, (3, 1)), jnp.tile(p.batch.y, (3, 1))))
    yield equal(
        "bp",
        "a batch tiled three times gives the same gradient",
        gradient(factory, tiled)[0],
        grads,
        1e-12,
    )
    shuffled = p._replace(batch=Batch(p.batch.x, jnp.roll(p.batch.y, 1, axis=1)))
    yield large(
        "bp",
        "differs at other labels: relative difference",
        relative(gradient(factory, shuffled)[0], grads),
        0.1,
    )

    images = convolutional()
    yield equal(
        "bp",
        "jax.grad with convolutions and pooling",
        gradient(factory, images)[0],
        truth(images),
        1e-12,
    )
    noisy = noisy_problem()
    grads = gradient(factory, noisy)[0]
    yield equal("bp", "jax.grad with noise, at the same key", grads, truth(noisy), 1e-12)
    other = truth(noisy._replace(key=jax.random.key(99)))
    yield large(
        "bp",
        "differs from jax.grad at another noise sample: relative difference",
        relative(grads, other),
        0.05,
    )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Backprop on a net of the caller's, with its noise."""
    grads, want = gradient(factory, p)[0], truth(p)
    yield same("bp", "jax.grad of the mean loss", grads, want)
    other = jnp.roll(p.batch.y, 1, -1) if p.batch.y.shape[-1] > 1 else p.batch.y + 1
    shuffled = truth(p._replace(batch=p.batch._replace(y=other)))
    yield large(
        "bp",
        "differs from jax.grad at other labels: relative difference",
        relative(by_layer(grads), by_layer(shuffled)),
        1e-3,
    )


def noisy_problem() -> Problem:
    """A net with synaptic release, noisy neurons and group normalisation."""
    net = (
        synaptic_release(dense(12, gaussian(tanh(), 0.3)), 0.7),
        group_normed(2, dense(8, multiplicative(tanh(), 0.3))),
        dense(5),
    )
    return pose(net, (6, 10), 5)


def differences(p: Problem, step: float = 1e-5) -> jax.Array:
    """Central differences of the mean loss, as one vector."""
    flat, unravel = ravel_pytree(p.params)

    def loss(w):
        return p.loss(forward(p.net, unravel(w), p.batch.x, p.key).output, p.batch.y).mean()

    return jax.jit(lambda d: jax.vmap(lambda d: (loss(flat + d) - loss(flat - d)) / (2 * step))(d))(
        step * jnp.eye(len(flat))
    )


def readout_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to train the readout alone."""
    p = problem()
    grads, want = gradient(factory, p)[0], truth(p)
    yield equal("frozen", "the last layer equals backprop", grads[-1], want[-1], 1e-12)
    yield small(
        "frozen",
        "hidden layers do not learn: largest gradient",
        max(abs(g).max() for g in jax.tree.leaves(grads[:-1])),
        0.0,
    )
    single = problem((12, 5))
    yield equal(
        "frozen",
        "backprop on a net of one layer",
        gradient(factory, single)[0],
        truth(single),
        1e-12,
    )
    yield large(
        "frozen",
        "differs from backprop on a deep net: relative difference",
        relative(grads, want),
        0.9,
    )


def readout_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """The readout alone on a net of the caller's, with its noise."""
    grads = gradient(factory, p)[0]
    yield same("frozen", "the last layer equals backprop", grads[-1:], truth(p)[-1:])
    still = max((abs(g).max() for g in jax.tree.leaves(grads[:-1])), default=0.0)
    yield small("frozen", "hidden layers do not learn: largest gradient", still, 0.0)
    yield from apart("frozen", p, grads)


FAMILIES = {
    "bp": Family(checks, on_net, credit="the transposes of the forward weights", equals="always"),
    "frozen": Family(readout_checks, readout_on_net),
}
