"""Contrastive Hebbian and coupled learning: identities and negative controls.

For a tanh perceptron the references settle by plain iteration in numpy and correlate the two phases
by outer products.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from bioplaus.identities.any_net import quiet, same
from bioplaus.identities.common import (
    LINEAR,
    TANH,
    Check,
    Family,
    Problem,
    convolutional,
    equal,
    gradient,
    large,
    pose,
    problem,
    relative,
    slope,
    small,
    squashed,
    sweep,
    truth,
)
from bioplaus.identities.contrastive_by_hand import SWEEPS, contrasted, crossed, stiffened
from bioplaus.layers import dense, mlp
from bioplaus.losses import bernoulli, mse
from bioplaus.types import RuleFactory

LONG: dict[str, Any] = {"free_steps": 80, "clamped_steps": 80}
GAINS, BETAS = [0.1, 0.03, 0.01], [0.3, 0.1, 0.03]


def chl_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be contrastive Hebbian learning."""
    yield from both("chl", factory, {"gain": 0.5}, beta=1.0, gain=0.5)
    p = problem(loss=mse)
    errors = [relative(g, truth(p)) for g in sweep(factory, p, "gain", GAINS, **LONG)]
    yield small("chl", "linear outputs: relative error to backprop at gain 0.01", errors[-1], 0.05)
    yield small(
        "chl",
        "linear outputs: error to backprop is O(gain): |order - 1|",
        abs(slope(GAINS, errors) - 1),
        0.2,
    )
    yield large("chl", "linear outputs: relative error to backprop at gain 0.1", errors[0], 0.05)
    values, probabilities = (
        gradient(factory, squashed(loss), gain=0.003, **LONG)[0] for loss in (mse, bernoulli)
    )
    yield equal(
        "chl",
        "sigmoid outputs: dW is the same under mse and Bernoulli loss",
        values,
        probabilities,
        1e-9,
    )
    yield equal(
        "chl",
        "sigmoid outputs: backprop of the Bernoulli loss at gain 0.003",
        values,
        truth(squashed(bernoulli)),
        0.05,
    )
    yield large(
        "chl",
        "sigmoid outputs: differs from backprop of half the squared error",
        relative(values, truth(squashed(mse))),
        0.5,
    )


def cpl_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be coupled learning."""
    yield from both("cpl", factory, {"beta": 0.5, "gain": 1.0}, beta=0.5, gain=1.0)
    p = pose(mlp((12, 10, 8, 5), LINEAR), (8, 12), 5, mse, gain=0.3)
    want, plain = (stiffened(p, weighted=weighted) for weighted in (True, False))
    swept = sweep(factory, p, "beta", BETAS, gain=1.0, **LONG)
    errors = [relative(g, want) for g in swept]
    yield small(
        "cpl",
        "linear net: error to the gradient of o . (K e) is O(beta): |order - 1|",
        abs(slope(BETAS, errors) - 1),
        0.1,
    )
    yield large(
        "cpl",
        "linear net: differs from the gradient of the loss at equilibrium",
        relative(swept[-1], plain),
        0.1,
    )


def both(
    key: str, factory: RuleFactory, hyper: dict[str, Any], beta: float, gain: float
) -> Iterator[Check]:
    """Checks of both rules. hyper: beta and gain by the names that the rule gives them."""
    net = (*mlp((12, 20, 16, 5), TANH)[:-1], dense(5, TANH))
    p = pose(net, (8, 12), 5, mse, gain=0.4)
    rule = factory(p.net, p.loss, **hyper, **LONG)
    learn = jax.jit(lambda y: rule.grad(p.params, (), p.batch._replace(y=y), p.key))
    grads, _, info = learn(p.batch.y)
    yield small(key, "settles: residual after 80 sweeps", info["residual"], 1e-10)
    early = gradient(factory, p, **hyper, free_steps=1, clamped_steps=1)[2]["residual"]
    yield large(key, "has not settled after one sweep: residual", early, 0.01)
    free, want = contrasted(p, beta, gain)
    yield equal(key, "dW equals two phases in numpy, tanh outputs", grads, want, 1e-9)
    yield large(
        key,
        "dW differs from two phases in numpy at another gain",
        relative(grads, contrasted(p, beta, 0.7 * gain)[1]),
        0.02,
    )
    output = jax.jit(rule.predict)(p.params, (), p.batch.x, p.key)
    yield equal(key, "predict returns the output of the free phase", output, free, 1e-9)
    yield equal(
        key,
        "info['loss'] is the loss of the free phase",
        info["loss"],
        p.loss(jnp.asarray(free), p.batch.y).mean(),
        1e-9,
    )
    reached = max(jnp.abs(g).max() for g in jax.tree.leaves(learn(output)[0]))
    yield small(key, "target = free output: largest gradient", reached, 1e-9)
    images = convolutional()
    grads = gradient(factory, images, **hyper, **LONG)[0]
    yield equal(
        key,
        "dW equals two phases by each layer's credit, convolutions",
        grads,
        crossed(images, beta, gain),
        1e-8,
    )


def on_net(
    key: str, factory: RuleFactory, p: Problem, hyper: dict[str, Any], beta: float, gain: float
) -> Iterator[Check]:
    """A net of the caller's, without noise.

    A net that does not settle fails the first check: its weights are too large, or its neurons
    unbounded.
    """
    p = quiet(p)
    grads, _, info = gradient(factory, p, **hyper, free_steps=SWEEPS, clamped_steps=SWEEPS)
    yield small(key, f"settles: residual after {SWEEPS} sweeps", info["residual"], 1e-6)
    yield same(
        key,
        "dW equals two phases by each layer's credit and jax.grad of E",
        grads,
        crossed(p, beta, gain),
        1e-6,
    )
    if len(p.net) > 1:
        yield large(
            key,
            "dW differs from two phases at another gain: relative difference",
            relative(grads[:-1], crossed(p, beta, 0.5 * gain)[:-1]),
            1e-3,
        )


def chl_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Contrastive Hebbian learning on a net of the caller's, at gain 0.1."""
    yield from on_net("chl", factory, p, {"gain": 0.1}, 1.0, 0.1)


def cpl_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Coupled learning on a net of the caller's, at beta 0.2 and gain 0.1."""
    yield from on_net("cpl", factory, p, {"beta": 0.2, "gain": 0.1}, 0.2, 0.1)


FAMILIES = {
    "chl": Family(
        chl_checks,
        chl_on_net,
        credit="a clamped and a free equilibrium",
        equals="as the gain of the way back -> 0",
    ),
    "cpl": Family(
        cpl_checks,
        cpl_on_net,
        credit="a clamped and a free equilibrium",
        equals="as the gain of the way back -> 0",
    ),
}
