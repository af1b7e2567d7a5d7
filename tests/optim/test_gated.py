"""Gates behind the optimiser, against optimisers with another learning rate."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus.modulators import modulate
from bioplaus.optim import economy, gated
from bioplaus.rules import RULES
from bioplaus.study.build import build
from bioplaus.study.settings import Arm
from bioplaus.types import Gain, Modulator

KEY, B = jax.random.key(0), 6
NET = bp.mlp((4, 5, 3))
X, Y = jax.random.normal(KEY, (B, 4)), jnp.eye(3)[jnp.arange(B) % 3]
DATA = bp.Batch(X, Y)
ADAM = optax.adam(0.05)


def modulator(gate):
    """The same gates at each step."""
    return Modulator(lambda k, c: (), lambda s, c: (Gain(), Gain()), lambda s, signals: (s, gate))


@functools.cache
def steps(gate, name, behind, metered=False):
    """Params after 8 steps of backprop in `make_train`, under a gate for all examples."""
    tx = {"sgd": optax.sgd(0.5), "adam": ADAM, "slow adam": optax.adam(0.05 / 4)}[name]
    tx = gated(tx) if behind else tx
    rule = modulate(RULES["bp"], modulator(gate))(NET, bp.cross_entropy)
    tx = economy.metered(optax.chain(optax.identity(), tx)) if metered else tx
    train = bp.make_train(NET, rule, tx, DATA, batch_size=B)
    return train.advance(train.init(KEY), 8)[0].params


def same(a, b, rtol=1e-5):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.allclose(x, y, rtol=rtol, atol=1e-6) for x, y in pairs)


def test_a_gate_behind_adam_is_a_learning_rate():
    want = steps(1.0, "slow adam", False)
    assert same(steps(0.25, "adam", True), want)
    assert same(steps(0.25, "adam", True, metered=True), want)  # through a chain and a meter
    assert same(steps(0.25, "adam", False), steps(1.0, "adam", False), rtol=1e-3)  # normalised away
    assert not same(steps(0.25, "adam", False), want, rtol=1e-2)


def test_gradient_descent_is_what_it_was():
    assert same(steps(0.25, "sgd", True), steps(0.25, "sgd", False))
    assert not same(steps(0.25, "sgd", True), steps(1.0, "sgd", True), rtol=1e-2)


def test_which_examples_count_more_is_left_to_the_gradient():
    gates = jnp.array([2.0, 0, 0, 1.0, 0, 0])

    def first_update(gate):
        rule = modulate(RULES["bp"], modulator(gate))(NET, bp.cross_entropy)
        params = bp.init(NET, KEY, X)
        grads, _, info = rule.grad(params, rule.init(KEY, params, DATA), DATA, KEY)
        plain = RULES["bp"](NET, bp.cross_entropy).grad(params, (), DATA, KEY, gate / gate.mean())[
            0
        ]
        tx = gated(ADAM)
        ours = tx.update(grads, tx.init(params), params, gate=info.get("gate"))[0]
        return ours, ADAM.update(plain, ADAM.init(params), params)[0]

    ours, weighted = first_update(gates)
    assert same(ours, jax.tree.map(lambda u: 0.5 * u, weighted))
    assert not same(ours, first_update(gates[::-1])[0], rtol=1e-2)


def test_closed_gates_change_nothing_and_no_gate_is_open():
    tx, params = gated(ADAM), {"w": jnp.ones(3)}
    grads, state = {"w": jnp.array([1.0, -2.0, 3.0])}, tx.init(params)
    _, state = tx.update(grads, state, params, gate=1.0)
    closed: Any = tx.update(jax.tree.map(jnp.zeros_like, grads), state, params, gate=0.0)
    assert not np.any(closed[0]["w"])
    assert same(closed[1], state, rtol=0)
    free, ungated = tx.update(grads, state, params), ADAM.update(grads, state, params)
    assert same(free, ungated, rtol=0)
    assert not same(free[1], state, rtol=1e-2)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_study_sets_it(kind):
    """optimiser.gated = true halves the first update of Adam at a gate of 1/2, and not of sgd."""

    def update(behind):
        arm = {"kind": kind, "gated": behind, "weight_decay": 0.0}
        tx = build(Arm.model_validate({"optimiser": arm}), X[:1], 3).tx
        params = {"w": jnp.ones(3)}
        give: Any = optax.with_extra_args_support(tx).update
        return give({"w": jnp.ones(3)}, tx.init(params), params, gate=0.5)[0]["w"]

    assert np.allclose(update(True) / update(False), {"sgd": 1.0, "adam": 0.5}[kind], rtol=1e-4)
