"""What enters a rule: losses, batches, states, inputs and optimisers that do not fit are said in
words of the library.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import bioplaus as bp
from bioplaus.losses import per_example
from bioplaus.rules import RULES
from bioplaus.training.program import TrainState

KEY = jax.random.key(0)
NET = bp.mlp([5, 4, 3])
X = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)), jnp.float32)
LABELS = np.arange(6) % 3
Y = jax.nn.one_hot(LABELS, 3)
PARAMS = bp.init(NET, KEY, X)
BATCH = bp.Batch(X, Y)


def grad(key, batch: Any = BATCH, loss=bp.cross_entropy, net=NET, params=PARAMS, **hyper):
    """Traced with the batch as it is, and run as one program: op by op it would take ten times as
    long.
    """

    def traced(params):
        rule = RULES[key](net, loss, **hyper)
        return rule.grad(params, rule.init(KEY, params, batch), batch, KEY)[0]

    return jax.jit(traced)(params)


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


def test_a_loss_that_insists_on_its_batch_is_taken():
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
def test_what_no_answer_is_right_for_is_trained_outside_jit_as_inside(loss, y):
    net = bp.mlp([5, 4, y.shape[1]])
    params, rule = bp.init(net, KEY, X), bp.rules.backprop(net, loss)
    for grad in (rule.grad, jax.jit(rule.grad)):
        grads, _, info = grad(params, (), bp.Batch(X, y), KEY)
        want = jax.grad(lambda p: loss(bp.forward(net, p, X, KEY).output, y).mean())(params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), grads, want)
        assert np.isnan(info["signals"].correct).all()


def test_a_sequence_is_refused():
    net = (
        bp.dense(4)._replace(
            init=lambda key, x: {}, synapse=lambda p, s, x, k: (s, x), credit=lambda *a: ({}, a[-1])
        ),
    )
    with pytest.raises(ValueError, match="sequences"):
        bp.rules.backprop(net, bp.mse).grad(
            ({},), (), bp.Batch(jnp.ones((2, 3, 4)), jnp.ones((2, 4))), KEY
        )


@pytest.mark.parametrize("key", ["bp", "ff", "drtp", "dtp", "phsic"])
def test_numpy_tuples_and_labels_are_a_batch(key):
    want = grad(key)
    lists: Any = (X.tolist(), LABELS.tolist())
    small: Any = bp.Batch(X, LABELS.astype(np.uint8))  # type: ignore[arg-type]
    arrays: Any = bp.Batch(np.asarray(X), np.asarray(Y))  # type: ignore[arg-type]
    for batch in (arrays, (X, Y), (np.asarray(X), LABELS), lists, small):
        # of programs that hold the batch as constants
        same = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7)
        jax.tree.map(same, grad(key, batch), want)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (bp.Batch(X, Y[:4]), "x 6, y 4"),
        (bp.Batch(X, Y, jnp.zeros((5, 2))), r"context\[0\] 5"),
        (bp.Batch(X, Y[:, 0]), r"integer labels \[B\]"),
        (bp.Batch(np.ma.masked_array(X, X > 0), Y), "masked array"),  # type: ignore[arg-type]
        (bp.Batch([[1.0], [1.0, 2.0]] * 3, Y), "expected an array of numbers"),  # type: ignore[arg-type]
        (bp.Batch(X, Y, "task"), "expected an array of numbers"),
        (bp.Batch(X, LABELS + 1), "label 3 for 3"),  # type: ignore[arg-type]
        (bp.Batch(X[:0], Y[:0]), "1 example or more"),
        (bp.Batch(X.at[2, 1].set(jnp.nan), Y), "x holds NaN"),
        (bp.Batch(X, Y.at[2, 1].set(jnp.nan)), "y holds NaN"),
        (bp.Batch(X.astype(jnp.float16), Y), "float16"),
        (bp.Batch(X[:, 0], Y), "examples first"),
        (X, "expected bp.Batch"),
    ],
)
def test_a_batch_that_does_not_fit(batch, message):
    for key in ("bp", "ep"):
        with pytest.raises(ValueError, match=message):
            grad(key, batch)


def test_make_train_compares_numbers_of_examples():
    """Gathers clamp: x of 6 with y of 3 would train on the last label again and again."""
    rule = bp.rules.backprop(NET, bp.cross_entropy)
    with pytest.raises(ValueError, match="x 6, y 3"):
        bp.make_train(NET, rule, optax.sgd(0.1), bp.Batch(X, Y[:3]), batch_size=2)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X, LABELS + 1), "label 3 for 3"),
        ((X, LABELS.astype(np.int64) + 2**32), "holds 4294967298"),
        ((X.at[2, 1].set(jnp.nan), Y), "x holds NaN"),
        ((X, Y.at[2, 1].set(jnp.nan)), "y holds NaN"),
        ((X, Y, 3.0), "no axis of examples"),
        ({"x": X, "y": Y}, "expected bp.Batch"),
    ],
)
def test_make_train_says_what_its_program_could_not_see(data, message):
    with pytest.raises(ValueError, match=message):
        bp.make_train(
            NET, bp.rules.backprop(NET, bp.cross_entropy), optax.sgd(0.1), data, batch_size=2
        )


def test_data_of_labels_and_lists_train_and_measure_as_rows_do():
    rule = bp.rules.backprop(NET, bp.cross_entropy)
    losses = []
    for data in (BATCH, (X, LABELS), (X.tolist(), LABELS.tolist())):
        train = bp.make_train(NET, rule, optax.sgd(0.1), data, batch_size=3)  # type: ignore
        losses.append(train.advance(train.init(KEY), 1)[1]["loss"])
        evaluated = functools.partial(
            bp.measure.evaluate, lambda x, key: rule.predict(PARAMS, (), x, key)
        )
        assert evaluated(data, KEY) == evaluated(BATCH, KEY)  # type: ignore
    assert losses[0] == losses[1] == losses[2]


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


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float16])
def test_init_says_to_cast_and_scale(dtype):
    images = np.zeros((2, 28, 28, 1), dtype)
    for net, x in ((NET, np.zeros((2, 5), dtype)), (bp.cnn(10), images)):
        with pytest.raises(ValueError, match=r"cast it, and scale"):
            bp.init(net, KEY, x)  # type: ignore[arg-type]


def ids_net():
    linear = functools.partial(nnx.Linear, 4)
    return bp.from_flax(
        functools.partial(nnx.Embed, 7, 4),
        bp.tanh(),
        functools.partial(linear, 4),
        bp.tanh(),
        functools.partial(linear, 3),
    )


# they add to inputs, write into them, draw their like, or glimpse at parts
CHANGES_INPUTS = ("pepita", "ff", "sigprop", "clapp")


@pytest.mark.parametrize("key", RULES)
def test_token_ids_are_learned_from_or_refused_in_words(key):
    ids, net = jnp.array([0, 3, 6, 2, 2, 5]), ids_net()
    params = bp.init(net, KEY, ids)

    def shapes():
        # nothing is compiled
        return jax.eval_shape(lambda p: grad(key, bp.Batch(ids, Y), net=net, params=p), params)

    if key in CHANGES_INPUTS:
        with pytest.raises(ValueError, match="real numbers"):
            shapes()
    else:
        assert jax.tree.structure(shapes()) == jax.tree.structure(params)


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


def test_bfloat16_has_no_complex_numbers():
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), BATCH)
    with pytest.raises(ValueError, match="bfloat16 has no complex numbers"):
        grad("hep", half, params=bp.init(NET, KEY, half.x))


def test_one_buffer_twice_in_a_state():
    """Its buffers are donated: an array that is params and rule state at once could be given away
    only once.
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


def test_an_error_that_says_nothing_is_passed_on():
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
