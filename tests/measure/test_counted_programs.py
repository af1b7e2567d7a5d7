"""Counts of programs: against XLA where it counts right, and by hand where it does not."""

import re

import jax
import jax.numpy as jnp
import pytest
from counting import ARRAY, SIZES, images

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.cost import cost, total_macs
from bioplaus.measure.program import trace
from bioplaus.measure.program.operations import NotCountable, arithmetic, times
from bioplaus.net import init
from bioplaus.rules import RULES
from bioplaus.types import Batch, Rule


def flops(function, *args):
    return (jax.jit(function).lower(*args).cost_analysis() or {})["flops"]


def ours(function, *args):
    p = trace(function, *args)
    return 2 * total_macs(p) + sum(arithmetic(op, p.shapes) * times(op) for op in p.ops)


def test_agrees_with_xla_without_loops():
    """Counts of a dense update and of a convolution's gradient are within 1 % of XLA's own."""
    net, batch = mlp([64, 128, 10]), images(32, 64, classes=10)
    rule = RULES["bp"](net, cross_entropy)
    key, params = jax.random.key(0), init(net, jax.random.key(0), jnp.ones(batch.x.shape))

    def update(params, x, y, key):
        return rule.grad(params, (), Batch(x, y), key)[0]

    def conv(k, x):
        return jax.grad(lambda k: (jax.lax.conv(x, k, (2, 2), "SAME") ** 2).sum())(k)

    for function, *args in (
        (update, params, *batch[:2], key),
        (conv, ARRAY((32, 16, 3, 3), jnp.float32), ARRAY((2, 16, 12, 12), jnp.float32)),
    ):
        assert ours(function, *args) == pytest.approx(flops(function, *args), rel=0.01)
        assert 0.5 * ours(function, *args) != pytest.approx(flops(function, *args), rel=0.01)


def test_grouped_and_dilated_convolutions():
    """A grouped convolution counts its group's channels; zeros of holes and padding are free."""

    def conv(x, k, groups=1, dilation=(1,), padding=0):
        pad = [(padding, padding)]
        return jax.lax.conv_general_dilated(
            x, k, (1,), pad, feature_group_count=groups, lhs_dilation=dilation
        )

    x = ARRAY((2, 4, 10), jnp.float32)
    assert total_macs(trace(conv, x, ARRAY((6, 4, 3), jnp.float32))) == 2 * 8 * 6 * 4 * 3
    assert (
        total_macs(trace(lambda x, k: conv(x, k, 2), x, ARRAY((6, 2, 3), jnp.float32)))
        == 2 * 8 * 6 * 2 * 3
    )
    holes = total_macs(trace(lambda x, k: conv(x, k, 1, (2,)), x, ARRAY((6, 4, 3), jnp.float32)))
    padded = total_macs(trace(lambda x, k: conv(x, k, padding=1), x, ARRAY((6, 4, 3), jnp.float32)))
    # the first and the last position of the kernel each miss one input
    assert padded == 2 * 6 * 4 * (9 + 10 + 9)
    hits = sum((o + k) % 2 == 0 for o in range(17) for k in range(3))
    assert holes == 2 * 6 * 4 * hits


def test_a_scan_counts_its_length_and_xla_does_not():
    w, x = ARRAY((8, 8), jnp.float32), ARRAY((4, 8), jnp.float32)

    def settle(length):
        return lambda w, x: jax.lax.scan(lambda h, _: (jnp.tanh(h @ w), None), x, length=length)[0]

    one, ten = (total_macs(trace(settle(n), w, x)) for n in (1, 10))
    assert one == 4 * 8 * 8
    assert ten == 10 * one
    assert flops(settle(100), w, x) == flops(settle(10), w, x)


def test_nested_loops_branches_and_calls():
    w, x = ARRAY((8, 8), jnp.float32), ARRAY((4, 8), jnp.float32)
    one = 4 * 8 * 8

    def nested(w, x):
        def inner(h):
            return jax.lax.fori_loop(0, 3, lambda i, h: jax.jit(lambda h: h @ w)(h), h)

        return jax.lax.scan(lambda h, _: (jax.checkpoint(inner)(h), None), x, length=5)[0]

    def branches(w, x):
        return jax.lax.cond(
            x[0, 0] > 0,
            lambda h: h @ w,
            lambda h: jax.lax.fori_loop(0, 2, lambda i, h: h @ w, h),
            x,
        )

    def custom(w, x):
        product = jax.custom_vjp(lambda w, x: x @ w)
        product.defvjp(
            lambda w, x: (x @ w, (w, x)), lambda saved, g: (saved[1].T @ g, g @ saved[0].T)
        )
        return product(w, x), jax.grad(lambda w: product(w, x).sum())(w)

    def dead(w, x):
        def body(carry, _):
            h, unused = carry
            return (h @ w, unused @ w @ w), unused

        return jax.lax.scan(body, (x, x), length=5)[0][0]

    assert total_macs(trace(nested, w, x)) == 15 * one
    assert total_macs(trace(branches, w, x)) == 2 * one
    assert total_macs(trace(custom, w, x)) == 2 * one
    assert total_macs(trace(dead, w, x)) == 5 * one


def test_a_while_with_products_is_refused():
    net = mlp(SIZES)
    rule = RULES["bp"](net, cross_entropy)

    def predict(params, state, x, key, context=()):
        return jax.lax.while_loop(lambda h: h.sum() < 1, lambda h: h @ h.T @ h, x)

    with pytest.raises(NotCountable, match=re.escape("use jax.lax.scan")):
        cost(Rule(rule.init, rule.grad, predict), net, images(7, 6))
    counts = trace(
        lambda x: jax.lax.while_loop(lambda h: h.sum() < 1, lambda h: h * 2, x),
        ARRAY((4,), jnp.float32),
    )
    assert total_macs(counts) == 0
    assert any(op.name == "mul" for op in counts.ops)


def test_what_hides_its_work_is_stated_or_refused():
    """A factorisation and a `while` loop need a stated count, or they raise NotCountable."""
    a, x = ARRAY((8, 8), jnp.float32), ARRAY((8,), jnp.float32)

    def search(a, x):
        return jax.lax.while_loop(lambda v: v[0] < 1, lambda v: a @ v, x)

    for function, what, stated, expected in (
        (lambda a, x: jax.lax.linalg.cholesky(a) * x, "macs", 170, 170),
        (search, "trips", 5, 5 * 64),
    ):
        with pytest.raises(NotCountable, match=f"{what}="):
            total_macs(trace(function, a, x))
        assert total_macs(trace(jax.named_scope(f"{what}={stated}")(function), a, x)) == expected


def test_phases_survive_transformations_and_do_not_leak():
    """What jax.grad makes of code in the scope 'forward' is not forward computation."""
    w, x = ARRAY((8, 3), jnp.float32), ARRAY((4, 8), jnp.float32)

    def loss(w, x):
        with jax.named_scope("forward"):
            return jnp.tanh(x @ w).sum()

    scopes = [op.scope for op in trace(jax.grad(loss), w, x).ops if op.name == "dot_general"]
    assert scopes == [("forward",), ()]
    with_scope = trace(lambda w, x: jax.named_scope("credit")(jax.grad(loss))(w, x), w, x)
    assert [op.scope[0] for op in with_scope.ops if op.name == "dot_general"] == [
        "credit",
        "credit",
    ]
