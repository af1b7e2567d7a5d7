"""`modulate`: rules under a modulator against the rule itself and gates and gains by hand."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.modulators import (
    MODULATORS,
    acetylcholine,
    dopamine,
    modulate,
    threshold,
    unmodulated,
)
from bioplaus.net import init, with_gain
from bioplaus.rules import RULES, backprop, feedback_alignment
from bioplaus.study.comparison import CORE
from bioplaus.types import Batch, Gain, Modulator

B, LR = 6, 0.5
# rules with weights of their own train them by plain gradient descent: a closed gate leaves nothing
# to do
FACTORIES = {
    name: functools.partial(rule, tx=optax.sgd(LR))
    if "tx" in inspect.signature(rule).parameters
    else rule
    for name, rule in RULES.items()
    if name in CORE  # one of each family; gates of every rule are tested with its contract
}
KEY = jax.random.key(0)


def problem():
    sizes = (4, 5, 3)
    net = mlp(sizes)
    x = jax.random.normal(jax.random.key(1), (B, sizes[0]))
    batch = Batch(x, jax.nn.one_hot(jnp.arange(B) % sizes[-1], sizes[-1]))
    return net, init(net, KEY, x), batch


def constant(gains=None):
    """A modulator whose state is its gate, so that one compiled step serves every gate."""

    def gain(state, context):
        return gains or (Gain(), Gain())

    return Modulator(
        lambda key, currents: jnp.ones(B, currents[-1].dtype),
        gain,
        lambda state, signals: (state, state),
    )


def train(factory, tx, steps=4):
    net, params, batch = problem()
    rule = factory(net, cross_entropy)

    @jax.jit
    def step(params, state, opt, key):
        grads, state, _ = rule.grad(params, state, batch, key)
        updates, opt = tx.update(grads, opt, params)
        return optax.apply_updates(params, updates), state, opt

    state, opt = rule.init(KEY, params, batch), tx.init(params)
    for t in range(steps):
        params, state, opt = step(params, state, opt, jax.random.fold_in(KEY, t))
    return params, state


def all_equal(a, b):
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))


def alive(tree):
    return all(jax.tree.leaves(jax.tree.map(lambda x: bool(jnp.abs(x).max() > 0), tree)))


@pytest.mark.parametrize("name", FACTORIES)
def test_the_identity_trains_bit_for_bit_as_the_rule_alone(name):
    start = problem()[1]
    plain, state = train(FACTORIES[name], optax.sgd(LR))
    same, modulated = train(modulate(FACTORIES[name], unmodulated()), optax.sgd(LR))
    assert alive(jax.tree.map(jnp.subtract, plain, start))
    assert all_equal(plain, same)
    assert all_equal(state, modulated.rule)


def test_another_modulator_does_not_train_as_the_rule_alone():
    plain = train(backprop, optax.sgd(LR))[0]
    assert not all_equal(plain, train(modulate(backprop, acetylcholine()), optax.sgd(LR))[0])


@pytest.mark.parametrize("name", FACTORIES)
def test_gates_scale_the_update_of_every_rule(name):
    net, params, batch = problem()
    plain, rule = (
        FACTORIES[name](net, cross_entropy),
        modulate(FACTORIES[name], constant())(net, cross_entropy),
    )
    state = rule.init(KEY, params, batch)
    step = jax.jit(lambda gate: rule.grad(params, state._replace(modulator=gate), batch, KEY))
    manual = jax.jit(lambda gate: plain.grad(params, state.rule, batch, KEY, gate=gate))

    full, _, info = step(jnp.ones(B))
    assert alive(full)
    assert float(info["gate"]) == 1.0

    closed, after, _ = step(jnp.zeros(B))  # gate 0: nothing moves under SGD
    assert not any(bool((g != 0).any()) for g in jax.tree.leaves(closed))
    assert all_equal(
        optax.apply_updates(params, optax.sgd(LR).update(closed, optax.sgd(LR).init(params))[0]),
        params,
    )
    assert all_equal(after.rule, state.rule)

    quarter = step(jnp.full(B, 0.25))[0]  # a power of two is exact
    assert all_equal(quarter, jax.tree.map(lambda g: 0.25 * g, full))
    assert not all_equal(step(jnp.full(B, 0.5))[0], quarter)

    gate = jnp.linspace(0.1, 1.5, B)  # per example
    ours, state_ours, info = step(gate)
    theirs, state_theirs, _ = manual(gate)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), ours, theirs)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7),
        state_ours.rule,
        state_theirs,
    )
    assert "gate" in info
    np.testing.assert_allclose(info["gate"], gate.mean(), rtol=1e-6)
    backwards = jax.tree.leaves(manual(gate[::-1])[0])
    assert not all(
        np.allclose(a, b, rtol=1e-5, atol=1e-7)
        for a, b in zip(jax.tree.leaves(ours), backwards, strict=True)
    )


def test_a_gate_does_not_scale_the_update_of_adam():
    net, params, batch = problem()
    rule = modulate(backprop, constant())(net, cross_entropy)
    state = rule.init(KEY, params, batch)

    grad = jax.jit(
        lambda gate: rule.grad(params, state._replace(modulator=jnp.full(B, gate)), batch, KEY)[0]
    )

    def update(tx, gate):
        grads = grad(gate)
        return jax.tree.leaves(tx.update(grads, tx.init(params), params)[0])

    for tx, scales in ((optax.sgd(LR), True), (optax.adam(LR), False)):
        pairs = zip(update(tx, 1.0), update(tx, 0.25), strict=True)
        assert all(np.allclose(b, 0.25 * a, rtol=1e-6) for a, b in pairs) is scales


def test_gains_equal_scaled_currents_written_by_hand(x64):
    del x64
    net, params, batch = problem()
    scale, offset, out = (
        jnp.linspace(0.5, 2, 5),
        jnp.linspace(-1, 1, B * 5).reshape(B, 5),
        jnp.linspace(2, 0, 5),
    )
    gains = (Gain(scale, offset, out), Gain(scale=1.5))

    def by_hand(params, x):
        h = out * jnp.tanh(scale * (x @ params[0]["w"] + params[0]["b"]) + offset)
        return 1.5 * (h @ params[1]["w"] + params[1]["b"])

    rule = modulate(backprop, constant(gains))(net, cross_entropy)
    state = rule.init(KEY, params, batch)
    np.testing.assert_allclose(
        rule.predict(params, state, batch.x, KEY), by_hand(params, batch.x), rtol=1e-12
    )
    truth = jax.jit(jax.grad(lambda p: cross_entropy(by_hand(p, batch.x), batch.y).mean()))(params)
    grads = jax.jit(rule.grad)(params, state, batch, KEY)[0]
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-10), grads, truth)
    plain = jax.jit(backprop(net, cross_entropy).grad)(params, (), batch, KEY)[0]
    assert not np.allclose(grads[0]["w"], plain[0]["w"], rtol=1e-2)


@pytest.mark.parametrize(
    "outer", [0.5, (None, 0.5), lambda signals: (None, signals.loss), np.arange(B) / B]
)
def test_a_gate_given_to_grad_multiplies_the_modulators(outer):
    net, params, batch = problem()
    rule = modulate(feedback_alignment, threshold(1.1))(net, cross_entropy)
    state = rule.init(KEY, params, batch)
    grads, _, info = rule.grad(params, state, batch, KEY, gate=outer)
    loss = info["signals"].loss
    own = (loss > 1.1).astype(loss.dtype)
    assert 0 < own.sum() < B
    given: Any = outer(info["signals"]) if callable(outer) else outer
    both = tuple(
        own if g is None else own * g
        for g in (given if isinstance(given, tuple) else (given, given))
    )
    truth = feedback_alignment(net, cross_entropy).grad(params, state.rule, batch, KEY, gate=both)[
        0
    ]
    assert all_equal(grads, truth)
    assert "gate" in info
    np.testing.assert_allclose(info["gate"], np.mean([np.mean(g) for g in both]), rtol=1e-6)
    assert not all_equal(grads, rule.grad(params, state, batch, KEY)[0])


def test_modulating_twice_applies_both():
    net, params, batch = problem()
    once = modulate(backprop, constant((Gain(2.0), Gain())))
    twice = modulate(once, constant((Gain(offset=0.5), Gain())))(net, cross_entropy)
    state = twice.init(KEY, params, batch)
    state = state._replace(
        modulator=jnp.full(B, 0.5), rule=state.rule._replace(modulator=jnp.full(B, 0.25))
    )
    grads, _, info = twice.grad(params, state, batch, KEY)
    gained = with_gain(net, (Gain(2.0, 0.5), Gain()))
    truth = backprop(gained, cross_entropy).grad(params, (), batch, KEY, gate=0.125)[0]
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), grads, truth)
    assert "gate" in info
    assert float(info["gate"]) == 0.125


@pytest.mark.parametrize("name", MODULATORS)
def test_labels_do_not_reach_a_modulator_at_evaluation(name):
    net, params, batch = problem()
    batch = batch._replace(context={"task": jnp.arange(B) % 2})
    modulator = MODULATORS[name](2) if name == "context_gating" else MODULATORS[name]()
    rule = modulate(backprop, modulator)(net, cross_entropy)
    state = rule.init(KEY, params, batch)
    _, trained, _ = rule.grad(params, state, batch, KEY)
    before = jax.tree.map(np.array, trained)

    closed = jax.make_jaxpr(rule.predict)(params, trained, batch.x, KEY, batch.context)
    assert len(closed.jaxpr.invars) == len(
        jax.tree.leaves((params, trained, batch.x, KEY, batch.context))
    )
    assert not any(c.shape == batch.y.shape for c in closed.consts if hasattr(c, "shape"))
    answers = rule.predict(params, trained, batch.x, KEY, batch.context)
    assert answers.shape == batch.y.shape
    assert all_equal(before, trained)

    # a step whose state is thrown away
    rule.grad(params, trained, batch._replace(y=jnp.roll(batch.y, 1, -1)), KEY)
    assert all_equal(answers, rule.predict(params, trained, batch.x, KEY, batch.context))


def test_labels_do_reach_a_modulator_in_training():
    net, params, batch = problem()
    rule = modulate(backprop, acetylcholine())(net, cross_entropy)
    state = rule.init(KEY, params, batch)

    def answers(y):
        after = rule.grad(params, state, batch._replace(y=y), KEY)[1]
        return rule.predict(params, after, batch.x, KEY)

    right = jax.nn.one_hot(answers(batch.y).argmax(-1), 3)
    assert not all_equal(answers(right), answers(jnp.roll(right, 1, -1)))


def test_jit_scan_and_vmap_change_nothing(x64):
    del x64
    net, params, batch = problem()
    rule = modulate(feedback_alignment, dopamine())(net, cross_entropy)
    state = rule.init(KEY, params, batch)

    def step(carry, _):
        params, state = carry
        grads, state, info = rule.grad(params, state, batch, KEY)
        return (jax.tree.map(lambda p, g: p - LR * g, params, grads), state), info.get("gate")

    carry, gates, compiled = (params, state), [], jax.jit(step)
    for _ in range(5):
        carry, gate = compiled(carry, None)
        gates.append(gate)
    scanned = jax.jit(lambda c: jax.lax.scan(step, c, length=5))((params, state))
    doubled = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), (params, state))
    mapped = jax.vmap(lambda c: jax.lax.scan(step, c, length=5))(doubled)
    assert float(carry[1].modulator.expected) > 0
    for (p, s), g in (scanned, jax.tree.map(lambda leaf: leaf[1], mapped)):
        jax.tree.map(
            functools.partial(np.testing.assert_allclose, rtol=1e-12, atol=1e-14),
            (p, s, g),
            (*carry, jnp.stack(gates)),
        )
    assert not np.allclose(carry[0][0]["w"], params[0]["w"])
