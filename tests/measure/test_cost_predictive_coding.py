"""Predictive coding's variants: hand counts of MAC operations an example."""

import jax
import jax.numpy as jnp
import pytest

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.cost import cost
from bioplaus.rules import RULES
from bioplaus.types import Batch

W1, W2, W3, W4 = 30, 20, 12, 9
F, X = W1 + W2 + W3 + W4, W2 + W3 + W4


def by_phase(key, **hyper):
    net, batch = (
        mlp((6, 5, 4, 3, 3)),
        jax.eval_shape(lambda: Batch(jnp.zeros((7, 6)), jnp.zeros((7, 3)))),
    )
    counted = cost(RULES[key](net, cross_entropy, **hyper), net, batch)
    assert counted.inference_macs == F
    return {name: p.macs for name, p in counted.phases.items() if p.macs}


def test_zil_by_hand():
    """Z-IL: predictions and errors of all layers, then without the last one, then the last two.

    The current of x is computed once and held.
    """
    sweeps = 2 * (W2 + W3 + W4) + 2 * (W2 + W3) + 2 * W2
    assert by_phase("zil") == {"forward": F - W4, "credit": sweeps, "update": F}


@pytest.mark.parametrize("steps", [1, 6])
def test_fixed_predictions_by_hand(steps):
    """No prediction is made again."""
    assert by_phase("fpa", steps=steps) == {"forward": F, "credit": steps * X, "update": F}


@pytest.mark.parametrize("steps", [1, 6])
def test_error_predictive_coding_by_hand(steps):
    """Each step is a pass from the held current of x, and backprop; the activities once more."""
    assert by_phase("epc", steps=steps) == {"forward": W1, "credit": steps * 2 * X + X, "update": F}


def test_incremental_predictive_coding_by_hand():
    """A call: the forward pass of a new batch; predictions and errors once."""
    assert by_phase("ipc") == {"forward": F - W4, "credit": 2 * X, "update": F}
