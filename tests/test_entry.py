"""Losses, states, nets and optimisers that a rule refuses, each with a message."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from entries import BATCH, KEY, NET, PARAMS, X, grad
from flax import nnx

import bioplaus as bp
from bioplaus.losses import per_example
from bioplaus.rules import RULES
from bioplaus.training.program import TrainState


@pytest.mark.parametrize("key", ["bp", "dfa", "ff", "np", "pc", "ep", "threefactor", "local_pred"])
@pytest.mark.parametrize(
    "loss",
    [
        lambda o, y: bp.cross_entropy(o, y).mean(),
        lambda o, y: bp.cross_entropy(o, y).sum(),
        lambda o, y: (o - y) ** 2,
        lambda o, y: bp.cross_entropy(o, y)[:, None],
    ],
    ids=["mean", "sum", "[B, C]", "[B, 1]"],
)
def test_a_loss_that_is_not_one_number_an_example(key, loss):
    with pytest.raises(ValueError, match="one number per example"):
        grad(key, loss=loss)


def test_a_loss_that_sums_over_examples_where_there_are_as_many_outputs():
    square = jax.tree.map(lambda a: a[:3], BATCH)
    with pytest.raises(ValueError, match="one number per example"):
        grad("bp", square, lambda o, y: ((o - y) ** 2).sum(0))
    weights = jnp.array([1.0, 2.0, 0.0])
    # a weight per example is no such sum
    grad("bp", square, lambda o, y: weights * bp.cross_entropy(o, y))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda o, y: o.argmax(-1) != y.argmax(-1), "gave bool"),  # its gradient would be 0
        (lambda o, y: (o.argmax(-1) != y.argmax(-1)).astype(int), "gave int32"),
        (lambda o, y: (bp.mse(o, y), o), "gave tuple"),
        ("mse", "expected a function"),
    ],
)
def test_a_loss_that_gives_no_floats(loss, message):
    with pytest.raises(ValueError, match=message):
        grad("bp", loss=loss)


def test_a_loss_that_needs_the_batch_size_is_accepted():
    square = jax.tree.map(lambda a: a[:3], BATCH)

    def insists(o, y):
        assert o.shape == (3, 3)
        return bp.mse(o, y)

    jax.tree.map(
        np.testing.assert_array_equal, grad("bp", square, insists), grad("bp", square, bp.mse)
    )


def test_what_wraps_a_checked_loss_or_rule_is_checked():
    """`functools.wraps` copies the marks of what is checked already."""
    checked = per_example(bp.mse)
    with pytest.raises(ValueError, match="one number per example"):
        grad("bp", loss=functools.wraps(checked)(lambda o, y: checked(o, y).mean()))
    rule = bp.learning_rule(
        functools.wraps(bp.rules.backprop)(lambda net, loss: bp.rules.backprop(net, loss))
    )
    with pytest.raises(ValueError, match="expected a function"):
        rule(NET, "mse")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        (bp.mse, np.full((6, 3), 0.5, np.float32)),
        (bp.cross_entropy, np.full((6, 3), 1 / 3, np.float32)),
        (bp.mse, X[:, :1]),
    ],
    ids=["values", "soft labels", "regression"],
)
def test_targets_without_a_right_answer_train_alike_outside_jit(loss, y):
    net = bp.mlp([5, 4, y.shape[1]])
    params, rule = bp.init(net, KEY, X), bp.rules.backprop(net, loss)
    for call in (rule.grad, jax.jit(rule.grad)):
        grads, _, info = call(params, (), bp.Batch(X, y), KEY)
        want = jax.grad(lambda p: loss(bp.forward(net, p, X, KEY).output, y).mean())(params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), grads, want)
        assert np.isnan(info["signals"].correct).all()


@pytest.mark.parametrize("key", ["fa", "kp", "dfa", "dfc", "threefactor", "local_losses", "ipc"])
def test_a_state_that_is_not_the_rules(key):
    rule = RULES[key](NET, bp.cross_entropy, **({"decay": 0.9} if key == "threefactor" else {}))
    wide = bp.mlp([5, 7, 3])
    other = RULES[key](wide, bp.cross_entropy).init(KEY, bp.init(wide, KEY, X), BATCH)
    for state in ((), other):
        with pytest.raises(ValueError, match=r"make it with\s+rule.init"):
            rule.grad(PARAMS, state, BATCH, KEY)


def test_a_net_that_is_no_tuple_of_layers():
    with pytest.raises(ValueError, match="expected a tuple of layers"):
        bp.rules.backprop(nnx.Linear(5, 3, rngs=nnx.Rngs(0)), bp.mse)  # type: ignore[arg-type]


WITH_WEIGHTS = (
    "kp",
    "tp",
    "dtp",
    "drl",
    "ldrl",
    "dendritic_microcircuit",
    "dfc",
    "local_pred",
    "local_sim",
    "local_losses",
    "clapp",
)


@pytest.mark.parametrize("key", WITH_WEIGHTS)
def test_an_optimiser_with_labels_of_the_nets_tree(key):
    labels = tuple(jax.tree.map(lambda w: "a", p) for p in PARAMS)
    tx = optax.multi_transform({"a": optax.sgd(0.1)}, labels)
    with pytest.raises(
        ValueError, match="tx: does not fit the weights that this rule keeps itself"
    ):
        grad(key, tx=tx)


def test_a_buffer_may_occur_twice_in_a_state():
    """Training accepts a state in which params and rule state share a buffer.

    Buffers are donated, and each can be donated only once.
    """
    rule = bp.rules.feedback_alignment(NET, bp.cross_entropy)
    train = bp.make_train(NET, rule, optax.sgd(0.1), BATCH, batch_size=3)
    state = train.init(KEY)
    shared = state._replace(rule=state.rule._replace(feedback=((), *state.params[1:])))
    apart = jax.tree.map(jnp.copy, shared)
    (a, _), (b, _) = train.advance(shared, 3), train.advance(apart, 3)
    jax.tree.map(np.testing.assert_array_equal, a.params, b.params)
    assert isinstance(a, TrainState)
    with pytest.raises(ValueError, match="n = 0"):
        train.advance(a, 0)


def test_a_neuron_with_a_state_needs_time():
    leaky = bp.Neuron(
        lambda current: jnp.zeros_like(current), lambda v, a, key: (0.9 * v + a, 0.9 * v + a)
    )
    net = (bp.dense(4, leaky), bp.dense(3))
    with pytest.raises(ValueError, match="needs time"):
        bp.forward(net, PARAMS, X, KEY)
    with pytest.raises(ValueError, match="needs time"):
        grad("ep", net=net)


def test_an_error_without_a_message_is_passed_on():
    def gate(signals):
        raise ValueError

    rule = RULES["fa"](NET, bp.cross_entropy)
    with pytest.raises(ValueError, match=r"^$"):
        rule.grad(PARAMS, rule.init(KEY, PARAMS, BATCH), BATCH, KEY, gate)
    with pytest.raises(
        ValueError, match=r"make it with rule.init\(key, params, batch\) \(ValueError\)"
    ):
        rule.grad(
            PARAMS,
            rule.init(KEY, PARAMS, BATCH)._replace(feedback=((), PARAMS[0])),
            BATCH,
            KEY,
            gate,
        )
