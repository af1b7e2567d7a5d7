"""Wrong nets, sequences, targets and pasts: each is refused in one line, which says what to do."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus import local

untyped: Any = bp  # for arguments that a type checker would refuse
KEY = jax.random.key(0)
X = jnp.ones((2, 5, 3))
Y = jax.nn.one_hot(jnp.array([0, 1]), 4)
ONE = bp.dense(4, bp.lif())
OVER = bp.over_time(ONE)
READ = bp.over_time(bp.dense(4, bp.leaky()))
POOLED = (OVER, bp.after(bp.mean_over_time, bp.dense(4)))
MOMENTS = (OVER, READ)
LOOP = (bp.recurrent(ONE, bp.dense(4)), READ)
EACH = bp.at_each_moment(bp.cross_entropy)
PARAMS = {id(net): bp.init(net, KEY, X) for net in (POOLED, MOMENTS, LOOP)}


def grad(net=POOLED, loss=bp.cross_entropy, x=X, y=Y, asked=None, gate=None):
    batch = bp.Batch(x, y, (), asked)
    return bp.rules.backprop(net, loss).grad(PARAMS[id(net)], (), batch, KEY, gate)


def predict(net, **given):
    return bp.rules.backprop(net, bp.cross_entropy).predict(PARAMS[id(net)], (), X, KEY, **given)


def advanced(net, pasts=None, x=X):
    return bp.advance(net, PARAMS[id(net)], pasts, x, KEY)


def pasts_of(net):
    return bp.advance(net, bp.init(net, KEY, X), None, X, KEY)[0]


def gained(gain):
    return bp.forward(bp.with_gain(MOMENTS, (gain, bp.Gain())), PARAMS[id(MOMENTS)], X, KEY)


# name -> (what is done, what was wrong, what to do)
DATA = {
    "images": (
        lambda: bp.init(POOLED, KEY, X[:, 0]),
        r"the input is \(2, 3\)",
        "expected sequences",
    ),
    "images for a trained net": (
        lambda: grad(x=X[:, 0]),
        r"x is \(2, 3\), and the net runs over time",
        "expected sequences",
    ),
    "no moments": (lambda: grad(x=X[:, :0]), r"x is \(2, 0, 3\)", "of 1 moment or more"),
    "no moments to go on with": (
        lambda: advanced(MOMENTS, pasts_of(MOMENTS), X[:, :0]),
        r"the input is \(2, 0, 3\)",
        "of 1 moment or more",
    ),
    "NaN": (lambda: grad(x=X.at[0, 1, 0].set(jnp.nan)), "x holds NaN", "remove those examples"),
    "a mean over time of images": (
        lambda: bp.mean_over_time(X[:, 0]),
        r"mean_over_time: the input is \(2, 3\)",
        "expected sequences",
    ),
    "the last moment of images": (lambda: bp.last_moment(X[0]), "last_moment: .*3", "sequences"),
    "labels of the wrong T": (
        lambda: grad(MOMENTS, EACH, y=jnp.zeros((2, 4), int)),
        r"y is \(2, 4, 4\) where the net answers at each moment, \(2, 5, 4\)",
        r"expected y \(2, 5, 4\), integer labels \(2, 5\)",
    ),
    "asked of the wrong T": (
        lambda: grad(MOMENTS, EACH, asked=jnp.ones((2, 4))),
        r"asked \(2, 4\)",
        r"asked \(2, 5\)",
    ),
    "asked of no moments": (
        lambda: grad(MOMENTS, EACH, asked=jnp.ones(2)),
        r"asked is \(2,\)",
        r"expected \[B, T\]",
    ),
    "asked nowhere": (
        lambda: grad(MOMENTS, EACH, asked=jnp.zeros((2, 5))),
        "asked is false at every moment",
        "or give None for all",
    ),
    "training data that are asked nowhere": (
        lambda: bp.make_train(
            MOMENTS,
            bp.rules.backprop(MOMENTS, EACH),
            optax.sgd(0.1),
            bp.Batch(X, Y, (), jnp.zeros((2, 5), bool)),
            batch_size=2,
        ),
        "asked is false at every moment",
        "make it true at the moments whose answers count",
    ),
    "truth values for spikes": (
        lambda: bp.init(POOLED, KEY, X.astype(bool)),
        "the input is bool",
        "cast spikes to float32",
    ),
    "integers for spikes": (
        lambda: bp.init(POOLED, KEY, X.astype(int)),
        "the input is int32",
        "cast spikes to float32",
    ),
    "truth values for spikes of a trained net": (
        lambda: bp.rules.forward_forward(POOLED, bp.cross_entropy).grad(
            PARAMS[id(POOLED)], (), bp.Batch(X.astype(bool), Y), KEY
        ),
        "x is bool",
        "cast spikes to float32",
    ),
    "floats of two axes that are no rows of classes": (
        lambda: grad(MOMENTS, EACH, y=jnp.zeros((2, 5))),
        r"y is \(2, 5\) where the net answers at each moment",
        r"integer labels \(2, 5\), or \(2, 4\) for all moments",
    ),
    "asked of one answer": (
        lambda: grad(asked=jnp.ones((2, 5))),
        "the loss takes one answer",
        "give bp.at_each_moment",
    ),
    "asked of a prediction": (
        lambda: predict(POOLED, asked=jnp.ones((2, 5))),
        r"predict: got asked \(2, 5\)",
        "a net that answers at each moment",
    ),
    "at_each_moment on a pooled net": (
        lambda: grad(POOLED, EACH),
        "the last layer of the net is one of a single moment",
        "or give the loss itself",
    ),
    "answers at each moment under a plain loss": (
        lambda: grad(MOMENTS),
        r"outputs are \(2, 5, 4\), expected \[B, C\]",
        "take bp.at_each_moment",
    ),
    "a gate of moments without all axes": (
        lambda: grad(gate=(jnp.ones((2, 5)), None)),
        r"gate: got shape \(2, 5\)",
        r"give a scalar, \[B\] = \(2,\), or all axes, each 1 or as in \(2, 5, 4\)",
    ),
    "a gain of examples and units": (
        lambda: gained(bp.Gain(jnp.ones((2, 4)))),
        r"gain: got shape \(2, 4\)",
        r"give a scalar, \[n\] = \(4,\), or all axes, each 1 or as in \(2, 5, 4\)",
    ),
    "a gain of other units": (lambda: gained(bp.Gain(out=jnp.ones(3))), r"got shape \(3,\)", "n"),
    "the pasts of another net": (
        lambda: advanced(LOOP, pasts_of(MOMENTS)),
        "pasts: layer 0 got Past",
        "give what the last bp.advance returned first",
    ),
    "the pasts of other neurons": (
        lambda: advanced(MOMENTS, pasts_of((bp.over_time(bp.dense(4, bp.alif())), READ))),
        r"layer 0 got .*Adaptive\(v=",
        "give what the last bp.advance returned first",
    ),
    "the pasts of another batch size": (
        lambda: advanced(MOMENTS, pasts_of(MOMENTS), X[:1]),
        r"got .*float32\[2, 4\]\) where this net and 1 examples have .*float32\[1, 4\]",
        "give what the last bp.advance returned first",
    ),
    "the past of a layer of one moment": (
        lambda: advanced(POOLED, pasts_of(MOMENTS)),
        "layer 1 got Past, expected None",
        "give what the last bp.advance returned first",
    ),
    "too few pasts": (
        lambda: advanced(MOMENTS, pasts_of(MOMENTS)[:1]),
        "got 1 entries, expected a tuple of one entry for each of 2 layers",
        "or None at rest",
    ),
    "pasts and trace": (
        lambda: advanced(MOMENTS, advanced(MOMENTS)),
        "layer 0 got tuple, expected a Past",
        "give what the last bp.advance returned first",
    ),
    "params of a layer that does not hear itself": (
        lambda: bp.forward(LOOP, PARAMS[id(MOMENTS)], X, KEY),
        "params are not those of a recurrent layer",
        "make them with bp.init",
    ),
    "a rule that does not tell what was heard": (
        lambda: local.pull(LOOP[0], PARAMS[id(LOOP)][0], X, KEY, jnp.ones((2, 5, 4))),
        "was not told what the layer heard",
        r"pass heard=trace.heard\[l\]",
    ),
}


@pytest.mark.parametrize("name", DATA)
def test_refused_in_one_line(name):
    act, wrong, remedy = DATA[name]
    with pytest.raises(ValueError, match=wrong) as raised:
        act()
    raised.match(remedy.replace("()", r"\(\)"))
    assert "\n" not in str(raised.value)


def test_what_is_right_is_not_refused():
    """The same calls with nothing wrong."""
    grad()
    grad(MOMENTS, EACH, y=jnp.zeros((2, 5), int), asked=jnp.ones((2, 5)))
    grad(MOMENTS, EACH, asked=jnp.zeros((2, 5)).at[0, 1].set(1))
    grad(gate=(jnp.ones((2, 5, 1)), None))
    predict(MOMENTS, asked=jnp.ones((2, 5)))
    advanced(MOMENTS, pasts_of(MOMENTS), X[:, :2])
    advanced(POOLED, pasts_of(POOLED))
    gained(bp.Gain(jnp.ones((2, 1, 4)), out=jnp.ones(4)))


def test_integers_are_labels_where_there_are_as_many_moments_as_classes():
    """T = C: integers [B, C] are labels of moments, and floats [B, C] one row for all of them."""
    x, rows = X[:, :4], jnp.eye(4)[jnp.array([0, 1])]

    def learned(y):
        return jax.tree.leaves(grad(MOMENTS, EACH, x=x, y=y)[0])

    for integers in (jnp.array([[3, 1, 0, 2], [0, 0, 2, 1]]), rows.astype(int)):
        for a, b in zip(learned(integers), learned(jax.nn.one_hot(integers, 4)), strict=True):
            np.testing.assert_array_equal(a, b)
    at_all = learned(jnp.broadcast_to(rows[:, None], (2, 4, 4)))
    for a, b in zip(learned(rows), at_all, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.allclose(learned(rows.astype(int))[-1], at_all[-1])  # control


def test_wrong_arguments_name_the_function():
    with pytest.raises(TypeError, match="lif: too many positional arguments; it takes tau, thresh"):
        untyped.lif(20.0, 1.5)
    with pytest.raises(TypeError, match="bernoulli: missing a required argument: 'steps'"):
        untyped.encoders.bernoulli()
