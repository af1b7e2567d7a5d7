"""XdG: masks, what they protect, and what happens without a usable context."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus.layers import conv, dense, flattened, mlp
from bioplaus.losses import cross_entropy
from bioplaus.modulators import compose, context_gating, modulate
from bioplaus.net import init
from bioplaus.neurons import gaussian, relu, sigmoid
from bioplaus.rules import RULES
from bioplaus.types import Batch

KEY, B, N = jax.random.key(0), 6, 20


@functools.cache
def start():
    net = mlp((4, N, N, 3), gaussian(sigmoid(), 0.3))  # a sigmoid unit is never silent by itself
    batch = Batch(
        jax.random.normal(KEY, (B, 4)),
        jax.nn.one_hot(jnp.arange(B) % 3, 3),
        {"task": jnp.full(B, 1)},
    )
    return net, init(net, KEY, batch.x), batch


def problem(factory):
    net, params, batch = start()
    rule = modulate(factory, context_gating(3, keep=0.5))(net, cross_entropy)
    return rule, params, rule.init(KEY, params, batch), batch


def updates(name):
    """The largest update of units that are off and the smallest of units that are on, [off, on].

    For each layer in turn: of the weights into these units, of their biases, of the weights out of
    them.
    """
    rule, params, state, batch = problem(RULES[name])
    grads = jax.jit(rule.grad)(params, state, batch, KEY)[0]
    result = []
    for l, mask in enumerate(state.modulator.masks):
        on = np.asarray(mask[1], bool)
        assert 0 < on.sum() < N
        each = (
            jnp.abs(grads[l]["w"]).max(0),
            jnp.abs(grads[l]["b"]),
            jnp.abs(grads[l + 1]["w"]).max(1),
        )
        result += [(float(g[~on].max()), float(g[on].min())) for g in each]
    return np.array(result)


@pytest.mark.parametrize("name", ["bp", "fa", "dfa", "ep"])
def test_units_that_are_off_learn_nothing_on_either_side(name):
    off, on = updates(name).T
    assert (on > 0).all()
    assert (off == 0).all()


@pytest.mark.parametrize("name", ["np", "pc"])
def test_rules_that_move_silent_units_are_not_protected(name):
    assert (updates(name)[:, 0] > 0).any()


def test_two_contexts_share_keep_squared_of_the_units():
    n, keep = 40_000, 0.2
    wide = jax.ShapeDtypeStruct((B, n), "float32")
    mask, above = context_gating(2, keep=keep).init(KEY, (wide, wide, wide)).masks
    shared = [(mask[0] * mask[1], keep**2), (mask[0] * above[0], keep**2)]  # and so do two layers
    for units, expected in [(mask[0], keep), (mask[1], keep), *shared]:
        assert abs(float(units.mean()) - expected) < 4 * np.sqrt(expected * (1 - expected) / n)
    assert abs(float(mask[0].mean()) - keep**2) > 0.1


def test_each_example_has_its_own_context():
    rule, params, state, batch = problem(RULES["bp"])
    contexts = jnp.array([0, 1, 2, 2, 1, 0])
    predict = jax.jit(rule.predict)
    mixed = predict(params, state, batch.x, KEY, {"task": contexts})
    for c in range(3):
        alone = predict(params, state, batch.x, KEY, {"task": jnp.full(B, c)})
        np.testing.assert_allclose(mixed[contexts == c], alone[contexts == c], rtol=1e-5)
        assert not np.allclose(mixed[contexts != c], alone[contexts != c], rtol=1e-3)


def test_a_channel_is_one_unit():
    net = (conv(8, 2, relu()), flattened(dense(2)))
    batch = Batch(
        jax.random.normal(KEY, (B, 3, 3, 1)),
        jax.nn.one_hot(jnp.arange(B) % 2, 2),
        {"task": jnp.zeros(B, jnp.int32)},
    )
    rule = modulate(RULES["bp"], context_gating(2, keep=0.5))(net, cross_entropy)
    params = init(net, KEY, batch.x)
    state = rule.init(KEY, params, batch)
    on = np.asarray(state.modulator.masks[0][0, 0, 0], bool)
    assert 0 < on.sum() < 8
    moved = jnp.abs(jax.jit(rule.grad)(params, state, batch, KEY)[0][0]["w"]).max((0, 1, 2))
    np.testing.assert_array_equal(moved > 0, on)


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ((), r"context_gating: the batch's context has no entries, and 'task' is read"),
        ({"cue": jnp.zeros(B, jnp.int32)}, "context has 'cue', and 'task' is read"),
        ({"task": jnp.zeros(B)}, r"context\['task'\] is float32\[6\]; expected integers \[B\]"),
        ({"task": jnp.zeros((B, 1), jnp.int32)}, r"is int32\[6, 1\]; expected integers \[B\]"),
        ({"task": 1}, r"is int32\[\]; expected integers \[B\]"),
        (jnp.zeros(B, jnp.int32), r"batch: context is ArrayImpl; expected \(\), or a dict"),
    ],
)
def test_no_usable_context_is_an_error(context, message):
    rule, params, state, batch = problem(RULES["bp"])
    for call in (
        functools.partial(rule.grad, params, state, batch._replace(context=context), KEY),
        functools.partial(rule.predict, params, state, batch.x, KEY, context),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_several_readers_share_a_context():
    """Each reads under its own name, and an entry that nothing reads changes nothing."""
    net, params, batch = start()
    parts = (context_gating(3, keep=0.5), context_gating(3, keep=0.5, key="place"))
    rule = modulate(RULES["bp"], compose(*parts))(net, cross_entropy)
    state = rule.init(KEY, params, batch)

    def predict(task, place):
        context = {"task": jnp.full(B, task), "place": jnp.full(B, place), "cue": jnp.ones((B, 2))}
        return rule.predict(params, state, batch.x, KEY, context)

    one = modulate(RULES["bp"], parts[0])(net, cross_entropy)
    alone = one.predict(params, one.init(KEY, params, batch), batch.x, KEY, batch.context)
    np.testing.assert_array_equal(predict(1, 1), alone)  # the same masks twice
    assert not np.allclose(predict(1, 2), alone, rtol=1e-2)
    assert not np.allclose(predict(2, 1), predict(2, 2), rtol=1e-2)


def test_a_context_out_of_range_is_not_silent():
    modulator = context_gating(3)
    hidden, _ = modulator.gain(
        modulator.init(KEY, (jax.ShapeDtypeStruct((B, N), "float32"),) * 2),
        {"task": jnp.array([-1, 0, 2, 3])},
    )
    np.testing.assert_array_equal(np.isnan(hidden.out).all(-1), [True, False, False, True])
    np.testing.assert_array_equal(np.isnan(hidden.out).any(-1), [True, False, False, True])


def test_contexts_must_be_positive():
    with pytest.raises(ValueError, match="at least 1"):
        context_gating(0)
