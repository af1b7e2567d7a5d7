"""`by_layer`: each layer learns by its rule, costs are those of that rule, the contract holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.measure import cost
from bioplaus.modulators import dopamine, modulate
from bioplaus.rules import RULES, backprop, equilibrium_propagation, feedback_alignment, softhebb
from bioplaus.testing import CONTRACT, perceptron

pytestmark = pytest.mark.thorough

NET = bp.mlp((6, 5, 4, 3))
BATCH = bp.Batch(jax.random.normal(jax.random.key(1), (7, 6)), jnp.eye(3)[jnp.arange(7) % 3])
MIXED = bp.by_layer((softhebb, feedback_alignment, backprop))


def test_each_layer_learns_by_its_rule():
    params, key = bp.init(NET, jax.random.key(0), BATCH.x), jax.random.key(2)
    rule = MIXED(NET, bp.cross_entropy)
    state = rule.init(key, params, BATCH)
    grads = rule.grad(params, state, BATCH, key)[0]
    by_rule = [f(NET, bp.cross_entropy).grad for f in (backprop, feedback_alignment, softhebb)]
    alone = [g(params, s, BATCH, key)[0] for g, s in zip(by_rule, state, strict=True)]
    for l, i in enumerate((2, 1, 0)):
        jax.tree.map(np.testing.assert_array_equal, grads[l], alone[i][l])
    assert not np.allclose(grads[0]["w"], alone[0][0]["w"])  # control: backprop differs in the body


@pytest.mark.parametrize("item", ["shapes", "one_trace", "gates", "mean", "refusals"])
def test_keeps_the_contract(x64, item):
    CONTRACT[item](perceptron(MIXED))


def test_under_a_modulator():
    rule = modulate(MIXED, dopamine())(NET, bp.cross_entropy)
    params, key = bp.init(NET, jax.random.key(0), BATCH.x), jax.random.key(2)
    grads, _, info = rule.grad(params, rule.init(key, params, BATCH), BATCH, key)
    assert jax.tree.structure(grads) == jax.tree.structure(params)
    assert "gate" in info
    assert np.isfinite(info["gate"])


def test_unused_gradients_cost_nothing():
    """Under a backprop head, a Hebbian body costs what it costs alone: no error is sent to it."""
    phases = cost(
        bp.by_layer((softhebb, softhebb, backprop))(NET, bp.cross_entropy), NET, BATCH
    ).phases
    alone = cost(softhebb(NET, bp.cross_entropy), NET, BATCH).phases
    assert not phases.get("credit") or not phases["credit"].macs
    assert phases["update"].macs == alone["update"].macs
    # control
    assert cost(RULES["bp"](NET, bp.cross_entropy), NET, BATCH).phases["credit"].macs == 20 + 12


def test_predicts_like_the_rule_of_the_last_layer():
    params, key = bp.init(NET, jax.random.key(0), BATCH.x), jax.random.key(2)
    rule = bp.by_layer((softhebb, softhebb, equilibrium_propagation))(NET, bp.cross_entropy)
    got = rule.predict(params, rule.init(key, params, BATCH), BATCH.x, key)
    want = equilibrium_propagation(NET, bp.cross_entropy).predict(params, (), BATCH.x, key)
    np.testing.assert_array_equal(got, want)


def test_refuses_another_depth():
    with pytest.raises(ValueError, match="2 rules for a net of 3"):
        bp.by_layer((softhebb, backprop))(NET, bp.cross_entropy)
