"""Accuracy of answers at each moment: which moments count, and what y may be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.measure import accuracy, evaluate
from bioplaus.outputs import correct, moment_loss

KEY = jax.random.key(0)
B, T, C = 5, 4, 3
NET = (bp.over_time(bp.dense(C, bp.leaky(2.0))),)
LOSS = bp.at_each_moment(bp.cross_entropy)
X = jax.random.normal(KEY, (B, T, 6))
PARAMS = bp.init(NET, KEY, X)
RULE = bp.rules.backprop(NET, LOSS)
OUTPUTS = np.asarray(bp.forward(NET, PARAMS, X, KEY).output)
LABELS = jax.random.randint(jax.random.key(1), (B, T), 0, C)
ASKED = jnp.asarray(np.random.default_rng(0).random((B, T)) < 0.6).at[:, 1].set(True)


def predict(x, key, **asked):
    return RULE.predict(PARAMS, (), x, key, **asked)


def by_hand(labels, asked):
    right = (OUTPUTS.argmax(-1) == np.asarray(labels)) & np.asarray(asked)
    return (right.sum(1) / np.asarray(asked).sum(1)).mean()


@pytest.mark.parametrize("size", [None, 2, 5])
def test_right_at_each_asked_moment(size):
    """Of targets of each moment, as labels or as rows; whole, and in chunks with a rest."""
    rows = jax.nn.one_hot(LABELS, C)
    expected = by_hand(LABELS, ASKED)
    assert expected not in (by_hand(LABELS, ASKED | True), 0, 1)
    for y in (LABELS, rows):
        batch = bp.Batch(X, y, asked=ASKED)
        assert evaluate(predict, batch, KEY, size=size, loss=LOSS) == pytest.approx(expected)
    every = evaluate(predict, bp.Batch(X, LABELS), KEY, size=size, loss=LOSS)
    assert every == pytest.approx(by_hand(LABELS, ASKED | True))


@pytest.mark.parametrize("size", [None, 2])
def test_one_answer_is_the_mean_of_the_asked_moments(size):
    labels = LABELS[:, 0]
    asked = np.asarray(ASKED)[..., None]
    mean = (OUTPUTS * asked).sum(1) / asked.sum(1)
    expected = (mean.argmax(-1) == np.asarray(labels)).mean()
    found = evaluate(predict, bp.Batch(X, labels, asked=ASKED), KEY, size=size, loss=LOSS)
    assert found == pytest.approx(expected)
    assert not np.allclose(mean, OUTPUTS.mean(1))


def test_accuracy_of_outputs_at_each_moment():
    y = jnp.where(ASKED[..., None], jax.nn.one_hot(LABELS, C), jnp.nan)
    assert accuracy(OUTPUTS, y, LOSS) == pytest.approx(by_hand(LABELS, ASKED))
    none = correct(jnp.asarray(OUTPUTS), jnp.full_like(y, jnp.nan), LOSS)
    np.testing.assert_array_equal(none, np.zeros(B))
    with pytest.raises(ValueError, match=r"expected \[B, C\]"):
        accuracy(
            OUTPUTS, jax.nn.one_hot(LABELS, C), bp.cross_entropy
        )  # only a loss at each moment has such answers
    with pytest.raises(ValueError, match="targets of each moment"):
        accuracy(OUTPUTS, y[:, 0], LOSS)


def test_outputs_of_independent_sigmoids():
    """Moments that are not asked have no say in how the others are judged."""
    loss = bp.at_each_moment(bp.binary_cross_entropy)
    y = jnp.where(ASKED[..., None], jax.nn.one_hot(LABELS, C), jnp.nan)
    assert accuracy(OUTPUTS, y, loss) == pytest.approx(by_hand(LABELS, ASKED))


def test_the_loss_of_one_moment():
    assert moment_loss(LOSS) is bp.cross_entropy
    assert moment_loss(bp.cross_entropy) is None
