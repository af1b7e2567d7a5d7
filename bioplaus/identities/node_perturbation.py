"""Node perturbation: identities and negative controls.

The mean over all sign vectors xi in {-1, 1}^N has no Monte Carlo error. It differs from the
gradient by the bias alone, which is O(sigma^2).
"""

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import by_layer, directional, drawn, given, pulled, quiet, same
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    equal,
    large,
    pose,
    problem,
    relative,
    slope,
    small,
    sweep,
    truth,
)
from bioplaus.layers import mlp
from bioplaus.neurons import gaussian, tanh
from bioplaus.types import PyTree, RuleFactory

SIGMAS = [0.1, 0.03, 0.01]


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be node perturbation."""
    p = problem((3, 3, 2), examples=2)
    want = truth(p)
    errors = [relative(mean, want) for mean in enumerated(factory, p, SIGMAS)]
    yield small("np", "backprop in the mean over all sign vectors, sigma 0.01", errors[-1], 1e-3)
    yield small(
        "np", "bias of the mean is O(sigma^2): |order - 2|", abs(slope(SIGMAS, errors) - 2), 0.1
    )
    yield large("np", "bias of the mean at sigma 0.1", errors[0], 1e-5)

    noisy = pose(mlp((3, 3, 2), gaussian(tanh(), 0.5)), (2, 3), 2)
    (mean,) = enumerated(factory, noisy, [1e-3])
    yield equal(
        "np", "backprop in the mean at one sample of the neurons' noise", mean, truth(noisy), 1e-3
    )
    other = truth(noisy._replace(key=jax.random.key(99)))
    yield large(
        "np",
        "differs from backprop at another sample of the neurons' noise",
        relative(mean, other),
        0.05,
    )

    wide = problem((4, 4, 4, 4))
    draws, want = monte_carlo(factory, wide, 4000), jax.tree.leaves(truth(wide))
    z = max(
        np.abs((d.mean(0) - t) / (d.std(0) / len(d) ** 0.5)).max()
        for d, t in zip(draws, want, strict=True)
    )
    yield small("np", "4000 Gaussian draws: |mean - backprop| in standard errors, largest", z, 5.0)
    near, far = sweep(factory, wide, "sigma", [1e-5, 1e-4])
    yield equal(
        "np", "one draw is a directional derivative: equal at sigma 1e-5 and 1e-4", far, near, 1e-2
    )
    yield large(
        "np",
        "one draw differs from backprop: relative difference, default sampler",
        relative([d[0] for d in draws], want),
        0.5,
    )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Node perturbation on a net of the caller's: the mean of the draws xi and -xi.

    The only noise is that of the rule.
    """
    p = quiet(p)
    xi = drawn(p)

    def at(sign):
        rule = factory(p.net, p.loss, sigma=1e-5, sample=given([sign * x for x in xi]))
        return rule.grad(p.params, (), p.batch, p.key)[0]

    def signals():
        slopes = directional(p, xi)[0]
        return [slopes.reshape(-1, *(1,) * (x.ndim - 1)) * x for x in xi]

    one, mean = jax.jit(
        lambda: (at(1.0), jax.tree.map(lambda a, b: (a + b) / 2, at(1.0), at(-1.0)))
    )()
    yield same(
        "np",
        "mean of draws xi and -xi: by the signals xi times dL/dxi",
        mean,
        pulled(p, signals),
        1e-4,
    )
    yield large(
        "np",
        "one draw differs from backprop: relative difference",
        relative(by_layer(one), by_layer(truth(p))),
        0.1,
    )


def enumerated(factory: RuleFactory, p: Problem, sigmas: list[float]) -> list[PyTree]:
    """The mean of `grad` over all sign vectors at each sigma.

    A vector has one sign for every unit of every example.
    """
    total = sum(len(w["b"]) for w in p.params) * len(p.batch.y)

    def one(signs, sigma):
        position = 0

        def sample(key, shape, dtype):
            nonlocal position
            del key
            position += (size := math.prod(shape))
            return signs[position - size : position].reshape(shape).astype(dtype)

        return factory(p.net, p.loss, sigma=sigma, sample=sample).grad(
            p.params, (), p.batch, p.key
        )[0]

    signs = 2.0 * ((jnp.arange(2**total)[:, None] >> jnp.arange(total)) & 1) - 1
    at = jax.jit(
        lambda sigma: jax.tree.map(lambda g: g.mean(0), jax.vmap(one, (0, None))(signs, sigma))
    )
    return [at(sigma) for sigma in sigmas]


def monte_carlo(factory: RuleFactory, p: Problem, n: int) -> list[np.ndarray]:
    """n draws of `grad` with the default sampler: one array [n, ...] per leaf."""
    rule = factory(p.net, p.loss, sigma=1e-3)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    keys = jax.random.split(jax.random.key(10), n)
    draws = jax.jit(jax.vmap(lambda k: rule.grad(p.params, state, p.batch, k)[0]))(keys)
    return [np.asarray(d) for d in jax.tree.leaves(draws)]


FAMILIES = {
    "np": Family(
        checks,
        on_net,
        credit="one scalar: the change of the loss",
        equals="in expectation, as sigma -> 0",
        spiking="it estimates the slope of the step function, and the checks take the surrogate's",
    )
}
