"""Equilibrium propagation: identities and negative controls.

The reference is the gradient of the loss at the equilibrium of the recurrent net, not that of a
forward pass. `jax.grad` takes it through a long relaxation of a tanh perceptron, written out here;
every step of it contracts.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from bioplaus.identities.any_net import apart, quiet, same
from bioplaus.identities.common import (
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
    truth,
)
from bioplaus.identities.equilibrium_energy import energy_checks, euler_checks, linear_checks
from bioplaus.identities.fresh_noise import fresh_checks
from bioplaus.layers import mlp
from bioplaus.losses import mse
from bioplaus.neurons import relu
from bioplaus.types import PyTree, RuleFactory

SWEEPS = 200
BETAS = [0.4, 0.2, 0.1, 0.05]
LONG: dict[str, Any] = {"free_steps": 100, "nudged_steps": 100}


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be equilibrium propagation."""
    p = problem()
    want = jax.jit(jax.grad(lambda w: equilibrium_loss(p, w)))(p.params)
    grads, _, info = gradient(factory, p, beta=0.01, **LONG)
    yield small("ep", "settles: residual after 100 sweeps", info["residual"], 1e-10)
    yield equal(
        "ep",
        "info['loss'] is the loss at equilibrium",
        info["loss"],
        equilibrium_loss(p, p.params),
        1e-10,
    )
    output = factory(p.net, p.loss, **LONG).predict(p.params, (), p.batch.x, p.key)
    yield equal(
        "ep", "predict returns the output at equilibrium", output, equilibrium(p, p.params), 1e-10
    )
    yield equal("ep", "gradient of the loss at equilibrium, beta 0.01", grads, want, 1e-3)
    yield large(
        "ep",
        "differs from backprop of a forward pass: relative difference",
        relative(grads, truth(p)),
        0.05,
    )
    errors = [relative(g, want) for g in sweep(factory, p, "beta", BETAS, **LONG)]
    yield small(
        "ep",
        "error to the gradient at equilibrium is O(beta^2): |order - 2|",
        abs(slope(BETAS, errors) - 2),
        0.2,
    )
    yield large("ep", "error to the gradient at equilibrium, beta 0.4", errors[0], 1e-4)

    squared = p._replace(loss=mse)
    want = jax.jit(jax.grad(lambda w: equilibrium_loss(squared, w)))(p.params)
    grads = gradient(factory, squared, beta=0.01, **LONG)[0]
    yield small(
        "ep",
        "half the squared error: 1 - cosine to the gradient at equilibrium, worst layer",
        1 - min(map(cosine, grads, want)),
        1e-6,
    )

    diverging = pose(mlp((12, 40, 40, 5), relu()), (8, 12), 5, gain=2**0.5)
    residual = gradient(factory, diverging)[2]["residual"]
    yield large(
        "ep",
        "info reports that a ReLU net of He's initialisation does not settle: residual",
        jnp.nan_to_num(residual, nan=jnp.inf),
        0.05,
    )
    yield from linear_checks("ep", factory, [1, -1])
    yield from energy_checks("ep", factory)
    yield from euler_checks("ep", factory)
    yield from fresh_checks("ep", factory)


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Equilibrium propagation on a net of the caller's, without noise.

    A net that does not settle fails the first check: its weights are too large, or its neurons
    unbounded.
    """
    p = quiet(p)
    grads, _, info = gradient(factory, p, beta=1e-3, free_steps=SWEEPS, nudged_steps=SWEEPS)
    yield small("ep", f"settles: residual after {SWEEPS} sweeps", info["residual"], 1e-6)
    predict = factory(p.net, p.loss, free_steps=SWEEPS).predict
    want = jax.jit(jax.grad(lambda w: p.loss(predict(w, (), p.batch.x, p.key), p.batch.y).mean()))(
        p.params
    )
    yield same(
        "ep", "jax.grad of the loss of predict through its sweeps, beta 0.001", grads, want, 1e-3
    )
    # A single hidden layer gets no feedback: its equilibrium is the forward pass.
    if len(p.net) > 2:
        yield from apart("ep", p, grads, 1e-4)


def equilibrium(p: Problem, params: PyTree) -> jax.Array:
    """The output after 200 sweeps of h_l = tanh(h_{l-1} W_l + b_l + h_{l+1} W_{l+1}^T).

    The readout has no effect on the hidden layers.
    """
    *hidden, readout = params

    def update(h, _):
        h = [p.batch.x, *h]
        for l, w in enumerate(hidden):
            back = h[l + 2] @ hidden[l + 1]["w"].T if l + 1 < len(hidden) else 0.0
            h[l + 1] = jnp.tanh(h[l] @ w["w"] + w["b"] + back)
        return h[1:], None

    start = [jnp.zeros((len(p.batch.x), len(w["b"]))) for w in hidden]
    return jax.lax.scan(update, start, length=200)[0][-1] @ readout["w"] + readout["b"]


def equilibrium_loss(p: Problem, params: PyTree) -> jax.Array:
    """The mean loss at equilibrium."""
    return p.loss(equilibrium(p, params), p.batch.y).mean()


FAMILIES = {
    "ep": Family(
        checks,
        on_net,
        credit="the difference of equilibria",
        equals="it is the gradient at equilibrium, as beta -> 0",
    )
}
