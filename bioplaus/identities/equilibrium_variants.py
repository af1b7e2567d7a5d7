"""One-sided and holomorphic equilibrium propagation: identities and negative controls.

The reference is that of `equilibrium_propagation`.
"""

import functools
from collections.abc import Iterator

import jax
import numpy as np

from bioplaus.identities.any_net import apart, quiet, same
from bioplaus.identities.common import (
    LINEAR,
    TANH,
    Check,
    Family,
    Problem,
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
)
from bioplaus.identities.equilibrium_energy import linear_checks
from bioplaus.identities.equilibrium_propagation import (
    BETAS,
    LONG,
    SWEEPS,
    equilibrium,
    equilibrium_loss,
)
from bioplaus.identities.fresh_noise import fresh_acts
from bioplaus.layers import conv, dense, flattened, mlp, pooled
from bioplaus.losses import cross_entropy, mse
from bioplaus.neurons import hard_sigmoid, relu, sigmoid, softplus
from bioplaus.rules import (
    equilibrium_propagation,
    negative_equilibrium_propagation,
    positive_equilibrium_propagation,
)
from bioplaus.types import Loss, Neuron, RuleFactory

CENTRED, POSITIVE, NEGATIVE = (
    equilibrium_propagation,
    positive_equilibrium_propagation,
    negative_equilibrium_propagation,
)


def pep_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to nudge towards the target."""
    yield from one_sided("pep", factory, NEGATIVE, 1)
    yield from fresh_acts("pep", factory)


def nep_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to nudge away from the target."""
    yield from one_sided("nep", factory, POSITIVE, -1)


def one_sided(key: str, factory: RuleFactory, opposite: RuleFactory, sign: int) -> Iterator[Check]:
    """Checks of both one-sided rules. opposite: the rule whose nudge has the other sign."""
    yield from linear_checks(key, factory, [sign])
    p = problem()
    output = jax.jit(factory(p.net, p.loss, **LONG).predict)(p.params, (), p.batch.x, p.key)
    yield equal(
        key, "predict returns the output at equilibrium", output, equilibrium(p, p.params), 1e-10
    )
    want = jax.jit(jax.grad(lambda w: equilibrium_loss(p, w)))(p.params)
    swept = sweep(factory, p, "beta", BETAS, **LONG)
    errors, grads = [relative(g, want) for g in swept], swept[BETAS.index(0.2)]
    yield small(
        key,
        "error to the gradient at equilibrium is O(beta): |order - 1|",
        abs(slope(BETAS, errors) - 1),
        0.2,
    )
    centred, other = (gradient(rule, p, beta=0.2, **LONG)[0] for rule in (CENTRED, opposite))
    mean = jax.tree.map(lambda a, b: (a + b) / 2, grads, other)
    yield equal(
        key,
        "the mean with the nudge of the other sign equals the centred rule",
        mean,
        centred,
        1e-12,
    )
    bias, against = (jax.tree.map(np.subtract, g, want) for g in (grads, other))
    yield large(
        key, "-cosine between the errors at the two signs of the nudge", -cosine(bias, against), 0.9
    )
    yield large(
        key,
        "error over the error of the centred rule, beta 0.2",
        relative(grads, want) / relative(centred, want),
        3.0,
    )


def one_sided_on_net(key: str, factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """A net of the caller's, without noise. If it does not settle, the first check fails."""
    p = quiet(p)
    grads, _, info = gradient(factory, p, beta=1e-4, free_steps=SWEEPS, nudged_steps=SWEEPS)
    yield small(key, f"settles: residual after {SWEEPS} sweeps", info["residual"], 1e-6)
    predict = factory(p.net, p.loss, free_steps=SWEEPS).predict
    want = jax.jit(jax.grad(lambda w: p.loss(predict(w, (), p.batch.x, p.key), p.batch.y).mean()))(
        p.params
    )
    yield same(
        key, "jax.grad of the loss of predict through its sweeps, beta 0.0001", grads, want, 1e-3
    )
    # A single hidden layer gets no feedback: its equilibrium is the forward pass.
    if len(p.net) > 2:
        yield from apart(key, p, grads, 1e-4)


def pep_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """A positive nudge on a net of the caller's."""
    yield from one_sided_on_net("pep", factory, p)


def nep_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """A negative nudge on a net of the caller's."""
    yield from one_sided_on_net("nep", factory, p)


def hep_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be holomorphic equilibrium propagation."""
    yield from linear_checks("hep", factory, [1, 1j, -1, -1j], beta=1.0, points=4)
    net = (conv(2, 3, TANH), pooled(2, flattened(dense(6, TANH))), dense(3))
    p = pose(net, (4, 6, 6, 2), 3)
    two, centred = (
        gradient(functools.partial(f, beta=0.2), p)[0]
        for f in (functools.partial(factory, points=2), CENTRED)
    )
    yield equal(
        "hep", "two points equal the centred rule, convolutions and pooling", two, centred, 1e-11
    )

    p, points, inside, outside = problem(), [3, 6], 0.25, 4.0
    want = jax.jit(jax.grad(lambda w: equilibrium_loss(p, w)))(p.params)
    pairs = [sweep(factory, p, "beta", [inside, outside], points=n, **LONG) for n in points]
    near, far = ([relative(pair[i], want) for pair in pairs] for i in (0, 1))
    yield small(
        "hep",
        "six points, |beta| 0.25: relative error to the gradient at equilibrium",
        near[-1],
        1e-5,
    )
    rate = np.polyfit(points, np.log(near), 1)[0]
    yield small("hep", "|beta| 0.25: slope of the log error over the number of points", rate, -1.0)
    yield large(
        "hep",
        "six points, |beta| 4, beyond the radius of analyticity: relative error",
        far[-1],
        0.05,
    )

    yield from fresh_acts("hep", factory)
    for name, neuron in {"ReLU": relu(), "hard sigmoid": hard_sigmoid()}.items():
        yield small(
            "hep",
            f"refuses {name} neurons: number of nets accepted",
            accepts(factory, neuron, mse),
            0,
        )
    yield small(
        "hep",
        "refuses a loss with an absolute value: number of nets accepted",
        accepts(factory, sigmoid(), lambda o, y: abs(o - y).sum(-1)),
        0,
    )
    good = [
        accepts(factory, f, loss)
        for f in (sigmoid(), softplus(), LINEAR)
        for loss in (mse, cross_entropy)
    ]
    yield large(
        "hep",
        "accepts sigmoid, softplus and linear nets, two losses: number accepted",
        sum(good),
        6,
    )


def accepts(factory: RuleFactory, neuron: Neuron, loss: Loss) -> bool:
    """Whether the rule accepts a net of these neurons and this loss."""
    p = problem()
    try:
        factory(mlp((12, 20, 16, 5), neuron), loss).init(p.key, p.params, p.batch)
    except ValueError:
        return False
    return True


def hep_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """A net of the caller's, without noise, on a small circle of nudges."""
    p = quiet(p)
    grads, _, info = gradient(factory, p, beta=0.01, free_steps=SWEEPS, nudged_steps=SWEEPS)
    yield small("hep", f"settles: residual after {SWEEPS} sweeps", info["residual"], 1e-6)
    predict = factory(p.net, p.loss, free_steps=SWEEPS).predict
    want = jax.jit(jax.grad(lambda w: p.loss(predict(w, (), p.batch.x, p.key), p.batch.y).mean()))(
        p.params
    )
    yield same(
        "hep", "jax.grad of the loss of predict through its sweeps, |beta| 0.01", grads, want, 1e-4
    )
    if len(p.net) > 2:
        yield from apart("hep", p, grads, 1e-4)


FAMILIES = {
    "pep": Family(
        pep_checks,
        pep_on_net,
        credit="the difference of equilibria",
        equals="it is the gradient at equilibrium, as beta -> 0",
    ),
    "nep": Family(
        nep_checks,
        nep_on_net,
        credit="the difference of equilibria",
        equals="it is the gradient at equilibrium, as beta -> 0",
    ),
    "hep": Family(
        hep_checks,
        hep_on_net,
        credit="equilibria at complex nudges",
        equals="the gradient at equilibrium, exponentially in their number",
    ),
}
