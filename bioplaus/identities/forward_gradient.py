"""Forward gradients and weight perturbation: identities and negative controls.

The mean over all sign vectors v, or over an orthogonal array of them, is exact: E[v v^T] = 1 has no
Monte Carlo error. The vectors v and -v together cancel every even order in sigma, so that the bias
of weight perturbation is O(sigma^2).
"""

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from bioplaus.identities.common import (
    LINEAR,
    Check,
    Family,
    equal,
    large,
    pose,
    problem,
    relative,
    slope,
    small,
    truth,
)
from bioplaus.identities.directions import average, energy, estimates, every, orthogonal, weighted
from bioplaus.identities.one_direction import afg_on_net, fg_on_net, wp_on_net
from bioplaus.layers import mlp
from bioplaus.neurons import gaussian, tanh
from bioplaus.rules import RULES
from bioplaus.types import RuleFactory

SIGMAS = [0.1, 0.03, 0.01]
TANH = tanh()


def fg_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the forward gradient."""
    p = problem((2, 2, 2), examples=3)
    want, rows = truth(p), every(12)
    draws = estimates(factory, p, rows)
    yield equal(
        "fg",
        "backprop in the mean over all sign vectors as directions",
        average(draws),
        want,
        1e-12,
    )
    yield equal(
        "fg", "E|grad|^2 = d |backprop|^2 for d parameters", energy(draws), 12 * energy(want), 1e-12
    )
    yield large(
        "fg",
        "one direction differs from backprop: relative difference",
        relative(jax.tree.map(lambda g: g[0], draws), want),
        0.5,
    )
    short = average(estimates(factory, p, rows / math.sqrt(12)))
    yield equal(
        "fg",
        "directions of length 1 give backprop / d in the mean",
        short,
        jax.tree.map(lambda g: g / 12, want),
        1e-12,
    )
    yield large(
        "fg", "directions of length 1: the mean differs from backprop", relative(short, want), 0.5
    )
    gate = jnp.array([0.5, 0.0, 2.0])
    gated = average(estimates(factory, p, orthogonal(12), gate=gate))
    yield equal("fg", "gates weight the examples, in the mean", gated, weighted(p, gate), 1e-12)
    alone = estimates(factory, p, orthogonal(36), gate=gate, shared=False)
    yield equal(
        "fg",
        "gates weight the examples, in the mean, one direction per example",
        average(alone),
        weighted(p, gate),
        1e-12,
    )
    yield from _fg_other_nets(factory)


def _fg_other_nets(factory: RuleFactory) -> Iterator[Check]:
    """Noisy neurons, and a net of more layers."""
    noisy = pose(mlp((2, 2, 2), gaussian(TANH, 0.5)), (2, 2), 2)
    for shared, size in ((True, 12), (False, 24)):
        mean = average(estimates(factory, noisy, orthogonal(size), shared=shared))
        yield equal(
            "fg",
            f"backprop in the mean at one sample of the neurons' noise, shared {shared}",
            mean,
            truth(noisy),
            1e-12,
        )
    yield large(
        "fg",
        "differs from backprop at another sample of the neurons' noise",
        relative(mean, truth(noisy._replace(key=jax.random.key(99)))),
        0.05,
    )
    yield from fg_on_net(factory, pose(mlp((5, 6, 4, 3), TANH), (4, 5), 3))


def wp_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be weight perturbation."""
    p = problem((2, 2, 2), examples=2)
    want, rows = truth(p), orthogonal(24)
    errors = [
        relative(average(estimates(factory, p, rows, sigma=s, shared=False)), want) for s in SIGMAS
    ]
    yield small(
        "wp", "backprop in the mean over an orthogonal array of signs, sigma 0.01", errors[-1], 1e-3
    )
    yield small(
        "wp", "bias of the mean is O(sigma^2): |order - 2|", abs(slope(SIGMAS, errors) - 2), 0.1
    )
    yield large("wp", "bias of the mean at sigma 0.1", errors[0], 1e-5)
    gate = jnp.array([0.5, 2.0])
    both = average(estimates(factory, p, orthogonal(12), gate=gate, sigma=1e-3))
    yield small(
        "wp",
        "one direction for the batch: gates weight the examples, in the mean",
        relative(both, weighted(p, gate)),
        1e-3,
    )

    noisy = pose(mlp((2, 2, 2), gaussian(TANH, 0.5)), (2, 2), 2)
    mean = average(estimates(factory, noisy, rows, sigma=1e-3, shared=False))
    yield equal(
        "wp", "backprop in the mean at one sample of the neurons' noise", mean, truth(noisy), 1e-3
    )
    yield large(
        "wp",
        "differs from backprop at another sample of the neurons' noise",
        relative(mean, truth(noisy._replace(key=jax.random.key(99)))),
        0.05,
    )

    line = problem((4, 3), examples=1, neuron=LINEAR)
    ours, theirs = (
        energy(estimates(f, line, rows, sigma=1e-6)) - energy(truth(line))
        for f, rows in ((factory, every(15)[::2]), (RULES["np"], every(3)))
    )
    yield small(
        "wp",
        "variance over that of np: |ratio / ((weights - 1) / (units - 1)) - 1|",
        abs(ours / theirs / 7 - 1),
        1e-4,
    )
    yield from wp_on_net(factory, pose(mlp((5, 6, 4, 3), TANH), (4, 5), 3))


def afg_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the activity-perturbed forward gradient."""
    p = problem((3, 3, 2), examples=2)
    want, rows = truth(p), every(10)
    draws = estimates(factory, p, rows)
    yield equal(
        "afg",
        "backprop in the mean over all sign vectors as directions",
        average(draws),
        want,
        1e-12,
    )
    yield large(
        "afg",
        "one direction differs from backprop: relative difference",
        relative(jax.tree.map(lambda g: g[0], draws), want),
        0.5,
    )
    gate = jnp.array([0.5, 2.0])
    gated = average(estimates(factory, p, orthogonal(10), gate=gate))
    yield equal("afg", "gates weight the examples, in the mean", gated, weighted(p, gate), 1e-12)
    short = average(estimates(factory, p, rows / math.sqrt(5)))
    yield equal(
        "afg",
        "directions of length 1 give backprop / d in the mean",
        short,
        jax.tree.map(lambda g: g / 5, want),
        1e-12,
    )
    yield large(
        "afg", "directions of length 1: the mean differs from backprop", relative(short, want), 0.5
    )

    near = estimates(RULES["np"], p, rows[:1], sigma=1e-5)
    yield equal(
        "afg",
        "one direction: equals node perturbation at sigma 1e-5",
        jax.tree.map(lambda g: g[:1], draws),
        near,
        1e-3,
    )
    line = problem((4, 3), examples=1, neuron=LINEAR)
    drawn = estimates(factory, line, every(3))
    yield equal(
        "afg",
        "one linear layer of n units: E|grad|^2 = n |backprop|^2",
        energy(drawn),
        3 * energy(truth(line)),
        1e-12,
    )
    yield from _afg_other_nets(factory)


def _afg_other_nets(factory: RuleFactory) -> Iterator[Check]:
    """Noisy neurons, and a net of more layers."""
    noisy = pose(mlp((3, 3, 2), gaussian(TANH, 0.5)), (2, 3), 2)
    mean = average(estimates(factory, noisy, orthogonal(10)))
    yield equal(
        "afg", "backprop in the mean at one sample of the neurons' noise", mean, truth(noisy), 1e-12
    )
    yield large(
        "afg",
        "differs from backprop at another sample of the neurons' noise",
        relative(mean, truth(noisy._replace(key=jax.random.key(99)))),
        0.05,
    )
    yield from afg_on_net(factory, pose(mlp((5, 6, 4, 3), TANH), (4, 5), 3))


FAMILIES = {
    "wp": Family(
        wp_checks,
        wp_on_net,
        credit="one scalar: the change of the loss",
        equals="in expectation, as sigma -> 0",
        spiking="it estimates the slope of the step function, and the checks take the surrogate's",
    ),
    "fg": Family(
        fg_checks,
        fg_on_net,
        credit="one scalar: the slope along a random direction",
        equals="in expectation",
    ),
    "afg": Family(
        afg_checks,
        afg_on_net,
        credit="one scalar: the slope along a random direction",
        equals="in expectation",
    ),
}
