"""Target propagation: hand counts of MAC operations an example."""

import jax
import jax.numpy as jnp
import pytest

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.cost import cost
from bioplaus.rules import RULES
from bioplaus.types import Batch

W1, W2, W3 = 30, 20, 12
F, X = W1 + W2 + W3, W2 + W3
ROUND = W2 + 2 * W3  # from each hidden layer to the output


@pytest.mark.parametrize("steps", [0, 1, 3])
@pytest.mark.parametrize(
    ("name", "credit", "lesson"),
    [
        ("tp", X, 3 * X),  # f, g and its pull
        ("dtp", 2 * X, 3 * X),  # credit: g at the target and at the activity
        # to the output, back through all inverses, the readings at h, two pulls
        ("drl", 2 * X, 2 * ROUND + X + 2 * X),
        ("ldrl", 2 * X, 7 * X),  # f, three readings, three pulls
    ],
)
def test_by_hand(name, credit, lesson, steps):
    net = mlp((6, 5, 4, 3))
    batch = jax.eval_shape(lambda: Batch(jnp.zeros((7, 6)), jnp.zeros((7, 3))))
    phases = cost(RULES[name](net, cross_entropy, feedback_steps=steps), net, batch).phases
    counted = {phase: p.macs for phase, p in phases.items() if p.macs}
    assert counted == {"forward": F, "credit": credit, "update": F} | (
        {"auxiliary": steps * lesson} if steps else {}
    )
