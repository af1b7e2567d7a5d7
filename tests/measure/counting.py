"""Counts of one update of a rule on a small net, for the tests of costs."""

import jax
import jax.numpy as jnp

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.cost import cost
from bioplaus.rules import BASELINES, RULES
from bioplaus.types import Batch

ARRAY = jax.ShapeDtypeStruct
SIZES = (6, 5, 4, 3)
F1, F2, F3 = 30, 20, 12
F, X = F1 + F2 + F3, F2 + F3


def images(n, *shape, classes=3):
    return jax.eval_shape(lambda: Batch(jnp.zeros((n, *shape)), jnp.zeros((n, classes))))


def counted(name, net=None, batch=None, **hyper):
    net, batch = net or mlp(SIZES), batch or images(7, 6)
    rule = (RULES | BASELINES)[name](net, cross_entropy, **hyper)
    return cost(rule, net, batch)


def by_phase(c):
    return {name: p.macs for name, p in c.phases.items() if p.macs}
