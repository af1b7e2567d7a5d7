"""Counts: against hand counts, against XLA where XLA counts right, and where it does not."""

import re
from fractions import Fraction

import jax
import jax.numpy as jnp
import optax
import pytest

from bioplaus.layers import cnn, dense, mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure import total
from bioplaus.measure.cost import changed, cost, total_macs
from bioplaus.measure.program import trace
from bioplaus.measure.program.operations import NotCountable, arithmetic, times
from bioplaus.net import init
from bioplaus.neurons import gaussian, multiplicative, synaptic_release, tanh
from bioplaus.rules import BASELINES, RULES
from bioplaus.types import Batch, Rule

ARRAY = jax.ShapeDtypeStruct
SIZES = (6, 5, 4, 3)
F1, F2, F3 = 30, 20, 12
F, X = F1 + F2 + F3, F2 + F3


def images(n, *shape, classes=3):
    return jax.eval_shape(lambda: Batch(jnp.zeros((n, *shape)), jnp.zeros((n, classes))))


def counted(name, net=None, batch=None, **hyper):
    net, batch = net or mlp(SIZES), batch or images(7, 6)
    rule = (RULES | BASELINES)[name](net, cross_entropy, **hyper)
    return cost(rule, net, batch)


def by_phase(c):
    return {name: p.macs for name, p in c.phases.items() if p.macs}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bp", {"forward": F, "credit": X, "update": F}),
        ("fa", {"forward": F, "credit": X, "update": F}),
        ("kp", {"forward": F, "credit": X, "update": F}),
        ("usf", {"forward": F, "credit": X, "update": F}),
        ("dfa", {"forward": F, "credit": 3 * (5 + 4), "update": F}),
        ("np", {"forward": 2 * F, "update": F}),
        ("frozen", {"forward": F, "update": F3}),
    ],
)
def test_dense_rules_by_hand(name, expected):
    c = counted(name)
    assert by_phase(c) == expected
    assert c.inference_macs == F
    assert total(c).macs == sum(expected.values())


@pytest.mark.parametrize("steps", [1, 6])
def test_predictive_coding_by_hand(steps):
    """Forward without the readout, which nothing needs; T sweeps of predictions X and errors X; the
    errors once more.
    """
    c = counted("pc", steps=steps)
    assert by_phase(c) == {"forward": F - F3, "credit": steps * 2 * X + X, "update": F}


def test_equilibrium_propagation_by_hand():
    """Free sweeps leave the readout out; the current of x is computed once; two nudged phases,
    readouts and pulls, of the input one.
    """
    free, nudged = 5, 3
    c = counted("ep", free_steps=free, nudged_steps=nudged)
    settle = (F - F3) + free * 2 * F2 + 2 * nudged * 2 * X + 2 * F3
    assert by_phase(c) == {"forward": settle, "update": F + F2 + F3}
    assert c.inference_macs == (F - F3) + free * 2 * F2 + F3


def test_convolutions_by_hand():
    """LeNet on 28 x 28: output positions x kernel x channels, layer by layer; the zeros of a
    padding are left out.
    """
    # along one axis, of 28 positions of 5 columns; 3 stick out at either end
    inside = 28 * 5 - 2 * (2 + 1)
    layers = [inside**2 * 6, 10 * 10 * 16 * 25 * 6, 400 * 120, 120 * 84, 84 * 10]
    c = counted("bp", cnn(10), images(2, 28, 28, 1, classes=10))
    assert by_phase(c) == {"forward": sum(layers), "credit": sum(layers[1:]), "update": sum(layers)}
    assert c.inference_macs == sum(layers)


def test_the_worked_example():
    """784-512-512-10: the table that other libraries' numbers are compared with."""
    net, batch = mlp([784, 512, 512, 10]), images(128, 784, classes=10)
    macs = {
        name: total(counted(name, net, batch)).macs
        for name in ("bp", "fa", "dfa", "pepita", "np", "frozen", "ff")
    }
    forward_forward = macs.pop("ff")
    assert macs == {
        "bp": 1_604_608,
        "fa": 1_604_608,
        "dfa": 1_347_584,
        "pepita": 2_013_856,
        "np": 2_006_016,
        "frozen": 673_792,
    }
    # forward-forward, all of whose layers learn by goodness: here the hidden ones, 784-512-512-10,
    # below a readout of its own
    hidden, readout = 784 * 512 + 512 * 512 + 512 * 10, 10 * 10
    deeper = total(counted("ff", mlp([784, 512, 512, 10, 10]), batch)).macs
    # less the readout's pass and its update
    assert deeper - (hidden + readout) - readout == 2_674_688
    assert forward_forward == 5 * (784 * 512 + 512 * 512) + 2 * 512 * 10


def test_counts_are_per_example():
    assert by_phase(counted("bp", batch=images(2, 6))) == by_phase(
        counted("bp", batch=images(30, 6))
    )
    one, two = (counted("bp", batch=images(n, 6)).phases["forward"] for n in (1, 2))
    assert (one.weight_reads, two.weight_reads) == (F, Fraction(F, 2))  # shared by the batch
    assert one.activation_reads == two.activation_reads == 6 + 5 + 4
    assert one.activation_writes == two.activation_writes == 5 + 4 + 3


def test_random_numbers():
    assert total(counted("np")).random == 5 + 4 + 3
    assert total(counted("bp")).random == 0
    # additive noise has no derivative
    assert total(counted("bp", mlp(SIZES, gaussian(tanh(), 0.1)))).random == 5 + 4
    # drawn again from its key
    assert total(counted("bp", mlp(SIZES, multiplicative(tanh(), 0.1)))).random == 2 * (5 + 4)
    # one a synapse and batch
    assert total(counted("bp", (synaptic_release(dense(3), 0.5),))).random == Fraction(2 * 6 * 3, 7)


def test_state_is_charged_where_it_changes():
    """Kolen-Pollack's Adam: B, its mean and its square, each read and written, and a counter."""
    words = X + 4 + 3  # weights and biases of the layers that send back
    c = counted("kp", tx=optax.adam(1e-3))
    assert c.state_words == Fraction(2 * (3 * words + 1), 7)
    assert c.phases["auxiliary"].ops > 0
    assert c.phases["auxiliary"].weight_writes == c.state_words / 2
    t = total(c)
    assert (
        sum(t.words for t in c.traffic)
        == t.weight_reads + t.weight_writes + t.activation_reads + t.activation_writes
    )
    assert counted("fa").state_words == counted("bp").state_words == 0


def test_state_that_a_scan_hands_on_does_not_change():
    def update(params, state):
        kept, moved = jax.lax.scan(lambda c, _: ((c[0], c[1] + c[0]), None), state, length=3)[0]
        return params, (kept, moved)

    program = trace(
        update, ARRAY((2,), jnp.float32), (ARRAY((3,), jnp.float32), ARRAY((3,), jnp.float32))
    )
    assert changed(program) == [program.inputs[1][1]]


def test_telemetry_is_free():
    net = mlp(SIZES)
    rule = RULES["bp"](net, cross_entropy)

    def grad(params, state, batch, key, gate=None):
        grads, state, info = rule.grad(params, state, batch, key, gate)
        gram = batch.x @ batch.x.T
        return (
            (jax.tree.map(lambda g: g + gram.sum(), grads) if charged else grads),
            state,
            info | {"gram": gram},
        )

    charged = False
    assert total(cost(rule._replace(grad=grad), net, images(7, 6))).macs == 2 * F + X
    charged = True
    assert total(cost(rule._replace(grad=grad), net, images(7, 6))).macs == 2 * F + X + 7 * 6


def flops(function, *args):
    return (jax.jit(function).lower(*args).cost_analysis() or {})["flops"]


def ours(function, *args):
    p = trace(function, *args)
    return 2 * total_macs(p) + sum(arithmetic(op, p.shapes) * times(op) for op in p.ops)


def test_agrees_with_xla_without_loops():
    """A rule's update, dense, and the gradient of a convolution: within 1 % of XLA's own count of
    the same function.
    """
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
    """Grouped: in-channels of one group. The holes of strided transposes and the padding are not
    products.
    """

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
    """A factorisation and a `while` count as the scope around them says; without one, they
    raise.
    """
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
