"""Hebbian and competitive rules: hand counts of MAC operations an example."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import pytest

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.cost import cost
from bioplaus.rules import RULES
from bioplaus.types import Batch

B, W1, W2, W3 = 7, 30, 20, 12
F, SQUARES, AGAINST = W1 + W2 + W3, 5**2 + 4**2, W1 * 5 + W2 * 4  # u^T u, and W (u^T u)


@pytest.mark.parametrize("name", ["hebb", "oja", "sanger", "bcm", "softhebb", "krotov"])
def test_by_hand(name):
    net = mlp((6, 5, 4, 3))
    batch = jax.eval_shape(lambda: Batch(jnp.zeros((B, 6)), jnp.zeros((B, 3))))
    phases = cost(RULES[name](net, cross_entropy), net, batch).phases
    mean = Fraction(W1 + W2, B)  # the mean input is one more row of the batch
    want = {"forward": F, "update": F + mean, "other": mean}
    if name in ("hebb", "oja", "sanger"):
        want["update"] += SQUARES + Fraction(AGAINST, B)
    assert {phase: p.macs for phase, p in phases.items() if p.macs} == want
