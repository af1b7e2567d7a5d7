"""Predictive coding: identities and negative controls.

F is the energy of predictive coding, z the activities. Strict predictive coding, at the minimum of
F over z, differs from backprop.
"""

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
    slope,
    small,
    sweep,
    truth,
)
from bioplaus.losses import mse
from bioplaus.types import Batch, PyTree, RuleFactory


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be predictive coding."""
    p = problem()
    for steps, precision in ((7, 1.0), (7, 0.3)):
        name = f"jax.grad of F after {steps} steps of gradient descent on F, precision {precision}"
        got = gradient(factory, p, steps=steps, precision=precision, rate=0.1)[0]
        yield equal("pc", name, got, descended(p, steps, 0.1, precision), 1e-12)
    images = convolutional()
    name = "jax.grad of F after 3 steps of descent on F, convolutions and pooling"
    yield equal(
        "pc",
        name,
        gradient(factory, images, steps=3, rate=0.1)[0],
        descended(images, 3, 0.1, 1.0),
        1e-12,
    )

    # With W of the order of one, the difference to backprop is one in direction as well.
    p = pose(p.net, (8, 12), 5, gain=1.2)
    strict, _, info = gradient(factory, p, steps=1000)
    backprop = truth(p)
    yield small("pc", "settles: residual after 1000 steps", info["residual"], 1e-8)
    yield equal(
        "pc", "jax.grad of F at its minimum over z", strict, descended(p, 1000, 0.2, 1.0), 1e-8
    )
    yield large(
        "pc",
        "settled: differs from backprop: relative difference",
        relative(strict, backprop),
        0.05,
    )
    yield large(
        "pc",
        "settled: 1 - cosine to backprop, first layer",
        1 - cosine(strict[0], backprop[0]),
        1e-3,
    )

    precisions = [0.1, 0.03, 0.01]
    errors = [relative(g, backprop) for g in sweep(factory, p, "precision", precisions, steps=200)]
    yield small("pc", "precision 0.01: relative error to backprop", errors[-1], 0.05)
    yield small(
        "pc",
        "error to backprop is O(precision): |order - 1|",
        abs(slope(precisions, errors) - 1),
        0.2,
    )
    yield from _linear_nets(factory)


def _linear_nets(factory: RuleFactory) -> Iterator[Check]:
    """Linear nets, whose equilibrium is known in closed form."""
    linear = problem((12, 20, 16, 8, 5), neuron=LINEAR, loss=mse)
    exact = jax.jit(jax.grad(equilibrium_energy))
    precisions = [1.0, 0.25]
    for precision, got in zip(
        precisions, sweep(factory, linear, "precision", precisions, steps=600), strict=True
    ):
        name = (
            f"linear net: jax.grad of the equilibrium energy 1/2 r^T S^-1 r, precision {precision}"
        )
        yield equal("pc", name, got, exact(linear.params, linear.batch, precision), 1e-9)
        other = exact(linear.params, linear.batch, 2 * precision)
        yield large(
            "pc",
            f"linear net, precision {precision}: differs from that at {2 * precision}",
            relative(got, other),
            0.1,
        )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Predictive coding on a net of the caller's, with its noise, at the factory's settings."""
    grads, hyper = gradient(factory, p)[0], settings(factory)
    name = f"jax.grad of F after {hyper['steps']} steps of gradient descent on F"
    yield same("pc", name, grads, descended(p, hyper["steps"], hyper["rate"], hyper["precision"]))
    yield from apart("pc", p, grads, 1e-6)


def energy(p: Problem, params: PyTree, z: tuple[jax.Array, ...], precision: float) -> jax.Array:
    """F summed over the batch."""
    total, below = 0.0, p.batch.x
    for l, above in enumerate(z):
        total += 0.5 * jnp.sum((above - output_of(p, l, params[l], below)) ** 2)
        below = above
    return total + precision * p.loss(output_of(p, len(z), params[-1], below), p.batch.y).sum()


def descended(p: Problem, steps: int, rate: float, precision: float) -> PyTree:
    """(1 / (B pi)) dF/dW at the activities z after gradient descent on F from the forward pass.

    pi: the precision of the output. The derivative is taken at fixed z.
    """

    def gradients(params):
        z, h = [], p.batch.x
        for l, w in enumerate(params[:-1]):
            z.append(h := output_of(p, l, w, h))

        def body(z, _):
            return jax.tree.map(
                lambda a, d: a - rate * d, z, jax.grad(energy, argnums=2)(p, params, z, precision)
            ), None

        z = jax.lax.scan(body, tuple(z), length=steps)[0]
        return jax.tree.map(
            lambda g: g / (precision * len(p.batch.y)),
            jax.grad(energy, argnums=1)(p, params, z, precision),
        )

    return jax.jit(gradients)(p.params)


def equilibrium_energy(params: PyTree, batch: Batch, precision: float) -> jax.Array:
    """The minimum of F over z, of a linear net under half the squared error.

    Divided by B pi it is the mean over examples of 1/2 r^T S^-1 r / pi, with r = y - f(x) and the
    covariance of the output under the model,

        S = I / pi + sum_{l>=2} (W_l ... W_L)^T (W_l ... W_L)
    """
    output = batch.x
    for w in params:
        output = output @ w["w"] + w["b"]
    classes = output.shape[-1]
    s, product = jnp.eye(classes) / precision, jnp.eye(classes)
    for w in reversed(params[1:]):
        product = w["w"] @ product
        s = s + product.T @ product
    r = batch.y - output
    return 0.5 * jnp.sum(r * jnp.linalg.solve(s, r.T).T, -1).mean() / precision


FAMILIES = {
    "pc": Family(
        checks,
        on_net,
        credit="relaxation of prediction errors",
        equals="never in strict form; as the output's precision -> 0",
    )
}
