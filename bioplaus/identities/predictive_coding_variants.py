"""Variants of predictive coding: identities and negative controls.

Two of them, zil and fpa, equal backprop, which the strict form does not.
"""

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from bioplaus.identities.any_net import apart, output_of, same, settings
from bioplaus.identities.common import (
    LINEAR,
    Check,
    Family,
    Problem,
    convolutional,
    cosine,
    equal,
    gradient,
    large,
    pose,
    problem,
    relative,
    small,
    truth,
)
from bioplaus.identities.predictive_coding import energy, equilibrium_energy
from bioplaus.losses import mse
from bioplaus.rules import predictive_coding
from bioplaus.types import PyTree, RuleFactory


def zil_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be Z-IL."""
    p = pose(problem().net, (8, 12), 5, gain=1.2)
    backprop = truth(p)
    yield equal("zil", "backprop", gradient(factory, p)[0], backprop, 1e-12)
    deep = problem((6, 8, 7, 9, 5, 4), loss=mse)
    yield equal(
        "zil",
        "backprop, four hidden layers, half the squared error",
        gradient(factory, deep)[0],
        truth(deep),
        1e-12,
    )
    images = convolutional()
    yield equal(
        "zil",
        "backprop, convolutions and pooling",
        gradient(factory, images)[0],
        truth(images),
        1e-12,
    )

    slow = gradient(factory, p, rate=0.5)[0]
    scaled = [jax.tree.map(lambda g, l=l: 0.5 ** (2 - l) * g, backprop[l]) for l in range(3)]
    yield large(
        "zil",
        "rate 0.5: differs from backprop: relative difference",
        relative(slow, backprop),
        0.4,
    )
    yield equal("zil", "rate 0.5: backprop times 2^-(L-l) at layer l", list(slow), scaled, 1e-12)
    strict = gradient(predictive_coding, p, steps=2, rate=1.0)[0]
    name = "pc, which learns after the last of the same steps, differs from backprop"
    yield large("zil", name, relative(strict, backprop), 0.05)


def zil_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Checks on any net."""
    yield same("zil", "backprop", gradient(factory, p)[0], truth(p))
    yield from apart("zil", p, gradient(factory, p, rate=0.5)[0])


def fpa_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be predictive coding with fixed predictions."""
    p = pose(problem().net, (8, 12), 5, gain=1.2)
    backprop = truth(p)
    settled, _, info = gradient(factory, p, steps=80)
    yield small("fpa", "settles: residual after 80 steps", info["residual"], 1e-14)
    yield equal("fpa", "backprop at equilibrium", settled, backprop, 1e-12)
    yield equal(
        "fpa",
        "backprop after L - 1 steps of size 1",
        gradient(factory, p, steps=2, rate=1.0)[0],
        backprop,
        1e-12,
    )
    deep = problem((6, 8, 7, 9, 5, 4), loss=mse)
    name = "backprop, four hidden layers, half the squared error"
    yield equal("fpa", name, gradient(factory, deep, steps=4, rate=1.0)[0], truth(deep), 1e-12)
    images = convolutional()
    yield equal(
        "fpa",
        "backprop, convolutions and pooling",
        gradient(factory, images, steps=80)[0],
        truth(images),
        1e-12,
    )

    early, _, info = gradient(factory, p, steps=3, rate=0.3)
    yield large(
        "fpa",
        "3 steps at rate 0.3: differs from backprop: relative difference",
        relative(early, backprop),
        0.2,
    )
    yield large("fpa", "3 steps at rate 0.3: residual", info["residual"], 0.1)
    yield equal(
        "fpa",
        "3 steps at rate 0.3: backprop times P(L - l or more of 3 draws at 0.3)",
        early,
        arrived(backprop, 3, 0.3),
        1e-12,
    )
    strict = gradient(predictive_coding, p, steps=80, rate=0.5)[0]
    yield large(
        "fpa",
        "pc at equilibrium differs from backprop: relative difference",
        relative(strict, backprop),
        0.05,
    )


def arrived(backprop: PyTree, steps: int, rate: float) -> PyTree:
    """Backprop's gradient of layer l times a probability.

    It is that of at least L - l successes in `steps` draws, each with probability `rate`.
    """
    chances = [math.comb(steps, n) * rate**n * (1 - rate) ** (steps - n) for n in range(steps + 1)]
    last = len(backprop) - 1
    return tuple(
        jax.tree.map(lambda g, l=l: sum(chances[last - l :]) * g, layer)
        for l, layer in enumerate(backprop)
    )


def fpa_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Checks on any net."""
    got = gradient(factory, p, steps=max(len(p.net) - 1, 1), rate=1.0)[0]
    yield same("fpa", "backprop after L - 1 steps of size 1", got, truth(p))
    yield from apart("fpa", p, gradient(factory, p, steps=1, rate=0.5)[0])


def epc_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be predictive coding over errors."""
    p = problem()
    got = gradient(factory, p, steps=7, rate=0.2, precision=0.3)[0]
    yield equal(
        "epc",
        "jax.grad of F after 7 steps of descent on F over errors",
        got,
        by_errors(p, 7, 0.2, 0.3),
        1e-12,
    )
    images = convolutional()
    got = gradient(factory, images, steps=3, rate=0.2, precision=1.0)[0]
    yield equal(
        "epc",
        "jax.grad of F after 3 steps of descent over errors, convolutions",
        got,
        by_errors(images, 3, 0.2, 1.0),
        1e-12,
    )

    p = pose(p.net, (8, 12), 5, gain=1.2)
    backprop = truth(p)
    strict = gradient(predictive_coding, p, steps=1000)[0]
    settled, _, info = gradient(factory, p, steps=300, rate=0.1)
    yield small("epc", "settles: residual after 300 steps", info["residual"], 1e-10)
    yield equal("epc", "settled: equals pc at equilibrium", settled, strict, 1e-8)
    yield large(
        "epc",
        "settled: 1 - cosine to backprop, first layer",
        1 - cosine(settled[0], backprop[0]),
        1e-3,
    )

    once, _, info = gradient(factory, p, steps=1, rate=1e-3)
    yield large("epc", "one step of 1e-3: residual", info["residual"], 0.5)
    first = jax.tree.map(lambda g: 1e-3 * g, backprop[0])
    yield equal(
        "epc",
        "one step of 1e-3: the first layer's gradient is 1e-3 of backprop's",
        once[0],
        first,
        1e-12,
    )
    worst = min(map(cosine, once, backprop))
    yield small("epc", "one step of 1e-3: 1 - cosine to backprop, worst layer", 1 - worst, 3e-5)

    linear = problem((12, 20, 16, 8, 5), neuron=LINEAR, loss=mse)
    exact = jax.jit(jax.grad(equilibrium_energy))(linear.params, linear.batch, 0.25)
    got = gradient(factory, linear, steps=300, rate=0.1, precision=0.25)[0]
    yield equal(
        "epc",
        "linear net: jax.grad of the equilibrium energy 1/2 r^T S^-1 r, precision 0.25",
        got,
        exact,
        1e-9,
    )


def by_errors(p: Problem, steps: int, rate: float, precision: float) -> PyTree:
    """(1 / (B pi)) dF/dW after gradient descent on F over the errors, which start at zero.

    pi: the precision of the output. The derivative is taken at fixed activities.
    """

    def activities(params, eps):
        z = [p.batch.x]
        for l, e in enumerate(eps):
            z.append(output_of(p, l, params[l], z[l]) + e)
        return tuple(z[1:])

    def gradients(params):
        def free(eps):
            top = (p.batch.x, *activities(params, eps))[-1]
            output = output_of(p, len(eps), params[-1], top)
            return (
                sum(0.5 * jnp.sum(e**2) for e in eps) + precision * p.loss(output, p.batch.y).sum()
            )

        eps, h = [], p.batch.x
        for l, w in enumerate(params[:-1]):
            h = output_of(p, l, w, h)
            eps.append(jnp.zeros_like(h))

        def body(eps, _):
            return jax.tree.map(lambda e, d: e - rate * d, eps, jax.grad(free)(eps)), None

        eps = jax.lax.scan(body, eps, length=steps)[0]
        z = activities(params, eps)
        return jax.tree.map(
            lambda g: g / (precision * len(p.batch.y)),
            jax.grad(energy, argnums=1)(p, params, z, precision),
        )

    return jax.jit(gradients)(p.params)


def epc_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Predictive coding over errors on a net of the caller's, at the factory's settings."""
    grads, hyper = gradient(factory, p)[0], settings(factory)
    name = f"jax.grad of F after {hyper['steps']} steps of descent on F over errors"
    yield same("epc", name, grads, by_errors(p, hyper["steps"], hyper["rate"], hyper["precision"]))
    yield from apart("epc", p, grads)


FAMILIES = {
    "zil": Family(
        zil_checks,
        zil_on_net,
        credit="relaxation that passes backprop's errors on",
        equals="always: they are backprop by other means",
    ),
    "fpa": Family(
        fpa_checks,
        fpa_on_net,
        credit="relaxation that passes backprop's errors on",
        equals="always: they are backprop by other means",
    ),
    "epc": Family(
        epc_checks,
        epc_on_net,
        credit="relaxation of prediction errors",
        equals="never in strict form; as the output's precision -> 0",
    ),
}
