"""Hand counts of deep feedback control."""

import jax
import jax.numpy as jnp
import pytest

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.cost import cost
from bioplaus.rules import RULES
from bioplaus.types import Batch

F, X, UNITS, CLASSES = 30 + 20 + 12, 20 + 12, 5 + 4 + 3, 3


@pytest.mark.parametrize("steps", [1, 6])
def test_deep_feedback_control_by_hand(steps):
    """Deep feedback control: T + 1 controlled passes, with the current of x held, and learning Q.

    Learning Q takes a noisy pass, the signal that Q sends back, and an outer product.
    """
    net, batch = (
        mlp((6, 5, 4, 3)),
        jax.eval_shape(lambda: Batch(jnp.zeros((7, 6)), jnp.zeros((7, 3)))),
    )
    counted = cost(RULES["dfc"](net, cross_entropy, steps=steps), net, batch)
    controlled = X + CLASSES * UNITS
    assert {name: p.macs for name, p in counted.phases.items() if p.macs} == {
        "forward": F,
        "credit": (steps + 1) * controlled,
        "update": F,
        "auxiliary": X + 2 * CLASSES * UNITS,
    }
    assert counted.inference_macs == F
