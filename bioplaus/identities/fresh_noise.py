"""Noise that an equilibrium rule draws anew in every sweep, or once for both of its phases.

Noise drawn once drops out of the difference of the two phases; fresh noise is divided by beta.
"""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import optax

from bioplaus.identities.common import (
    Check,
    equal,
    gradient,
    large,
    problem,
    relative,
    small,
    sweep,
)
from bioplaus.neurons import gaussian_current, tanh
from bioplaus.types import RuleFactory

BETAS = [0.1, 0.01]
SHORT: dict[str, Any] = {"free_steps": 30, "nudged_steps": 10}


def fresh_acts(key: str, factory: RuleFactory) -> Iterator[Check]:
    """The check of a rule that passes the option `fresh` on to the phases of another."""
    p = problem(neuron=gaussian_current(tanh(), 0.1))
    fresh, once = (gradient(factory, p, fresh=f, **SHORT)[0] for f in (True, False))
    yield large(
        key,
        "fresh noise gives another dW than noise drawn once: relative difference",
        relative(fresh, once),
        0.1,
    )


def fresh_checks(key: str, factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory with the option `fresh`."""
    p, still = problem(neuron=gaussian_current(tanh(), 0.1)), problem()
    fresh, once = (sweep(factory, p, "beta", BETAS, fresh=f, **SHORT) for f in (True, False))
    left = [
        optax.tree.norm(jax.tree.map(np.subtract, f, o)) for f, o in zip(fresh, once, strict=True)
    ]
    yield small(
        key,
        "fresh noise: |dW| is O(1 / beta): |order + 1|",
        abs(np.log10(left[0] / left[1]) + 1),
        0.1,
    )
    yield small(
        key,
        "noise drawn once: |dW| does not depend on beta: |order|",
        abs(np.log10(optax.tree.norm(once[0]) / optax.tree.norm(once[1]))),
        0.05,
    )
    residuals = [gradient(factory, p, fresh=f, **SHORT)[2]["residual"] for f in (True, False)]
    yield large(key, "fresh noise: the network does not settle: residual", residuals[0], 0.05)
    yield small(key, "noise drawn once: the network settles: residual", residuals[1], 0.01)
    drawn, shared = (gradient(factory, still, fresh=f, **SHORT)[0] for f in (True, False))
    yield equal(key, "net without noise: the option fresh changes nothing", drawn, shared, 1e-12)
