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
    """T controlled passes and one more, the current of x held; Q: a noisy pass, what it sends back,
    and its outer product.
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
