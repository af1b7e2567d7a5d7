"""A small net and batch, and the gradient of a rule on them, for the tests of arguments."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import bioplaus as bp
from bioplaus.rules import RULES

KEY = jax.random.key(0)
NET = bp.mlp([5, 4, 3])
X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)), jnp.float32)
LABELS = np.arange(6) % 3
Y = jax.nn.one_hot(LABELS, 3)
PARAMS = bp.init(NET, KEY, X)
BATCH = bp.Batch(X, Y)


def grad(key, batch: Any = BATCH, loss=bp.cross_entropy, net=NET, params=PARAMS, **hyper):
    """The gradient of a rule, compiled as one program that holds the batch as constants."""

    def traced(params):
        rule = RULES[key](net, loss, **hyper)
        return rule.grad(params, rule.init(KEY, params, batch), batch, KEY)[0]

    return jax.jit(traced)(params)
