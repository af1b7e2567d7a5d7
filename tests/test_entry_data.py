"""Batches and data that a rule accepts, and those that it refuses with a message."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from entries import BATCH, KEY, LABELS, NET, PARAMS, X, Y, grad
from flax import nnx

import bioplaus as bp
from bioplaus.rules import of_labels


def test_a_sequence_is_refused():
    net = (
        bp.dense(4)._replace(
            init=lambda key, x: {}, synapse=lambda p, s, x, k: (s, x), credit=lambda *a: ({}, a[-1])
        ),
    )
    with pytest.raises(ValueError, match="at each moment"):
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
        (bp.Batch(X, Y, {"cue": jnp.zeros((5, 2))}), r"context\['cue'\] 5"),
        (bp.Batch(X, Y, jnp.zeros((6, 2))), r"context is ArrayImpl; expected \(\), or a dict"),
        (bp.Batch(X, Y[:, 0]), r"integer labels \[B\]"),
        (bp.Batch(np.ma.masked_array(X, X > 0), Y), "masked array"),  # type: ignore[arg-type]
        (bp.Batch([[1.0], [1.0, 2.0]] * 3, Y), "expected an array of numbers"),  # type: ignore[arg-type]
        (bp.Batch(X, Y, {"task": "first"}), r"context\['task'\] is str, expected an array of"),
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
        ((X, Y, {"task": 3.0}), "no axis of examples"),
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


@pytest.mark.parametrize("key", of_labels(over_time=False))
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


def test_bfloat16_has_no_complex_numbers():
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), BATCH)
    with pytest.raises(ValueError, match="bfloat16 has no complex numbers"):
        grad("hep", half, params=bp.init(NET, KEY, half.x))
