"""Wrong nets, sequences, targets and pasts: each is refused in one line, which says what to do."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

import bioplaus as bp
from bioplaus import local
from bioplaus.neurons import RESETS, surrogate

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
NETS = {
    "tau of 0": (lambda: bp.lif(tau=0.0), "lif: tau: .*got 0.0", "expected a number above 0"),
    "tau_adapt below 0": (lambda: bp.alif(tau_adapt=-1.0), "tau_adapt: .*got -1.0", "above 0"),
    "tau of synapses of 0": (lambda: bp.synaptic(bp.lif(), 0.0), "tau: .*got 0.0", "above 0"),
    "threshold of 0": (lambda: bp.lif(threshold=0.0), "threshold: .*got 0.0", "above 0"),
    "refractory below 0": (lambda: bp.lif(refractory=-1.0), "refractory: .*got -1.0", "least 0"),
    "beta below 0": (lambda: bp.alif(beta=-0.1), "beta: .*got -0.1", "at least 0"),
    "gamma of 0": (lambda: surrogate.triangle(0.0), "gamma: .*got 0.0", "above 0"),
    "a reset by its name": (
        lambda: untyped.lif(reset="to_zero"),
        "lif: reset: got 'to_zero'",
        f"a function; bioplaus.neurons.RESETS has {', '.join(RESETS)}",
    ),
    "a surrogate by its name": (
        lambda: untyped.alif(surrogate="atan"),
        "alif: surrogate: got 'atan'",
        "a function; bioplaus.neurons.SURROGATES has triangle",
    ),
    "a surrogate that was not made": (
        lambda: untyped.lif(surrogate=surrogate.atan),
        "lif: surrogate: got the factory atan",
        "call it, bioplaus.neurons.atan()",
    ),
    "a function for a layer": (
        lambda: untyped.rules.backprop((OVER, bp.mean_over_time), bp.cross_entropy),
        "net: got mean_over_time as layer 1",
        "expected a tuple of layers",
    ),
    "a readout that pools no moments": (
        lambda: bp.init((OVER, bp.dense(4)), KEY, X),
        r"dense: the input is \(2, 5, 4\)",
        r"after\(mean_over_time, dense\(...\)\) for one answer",
    ),
    "an encoder that was not made": (
        lambda: untyped.encoders.in_front(POOLED, bp.encoders.bernoulli),
        "in_front: got bernoulli",
        "expected an encoder, as bp.encoders.bernoulli",
    ),
    "an encoder by its name": (
        lambda: untyped.encoders.in_front(POOLED, "bernoulli"),
        "in_front: got 'bernoulli'",
        "expected an encoder",
    ),
    "a rule for a factory": (
        lambda: untyped.rate_regularised(bp.rules.backprop(POOLED, bp.cross_entropy)),
        "rate_regularised: got Rule",
        "expected a rule's factory",
    ),
    "dt of 0": (lambda: bp.over_time(ONE, dt=0.0), "over_time: dt: .*got 0.0", "above 0"),
    "dt below 0": (lambda: bp.recurrent(ONE, ONE, dt=-1), "recurrent: dt: .*got -1", "above 0"),
    "horizon of 0": (lambda: bp.over_time(ONE, horizon=0), "horizon: .*got 0", "1, or None"),
    "half a moment": (lambda: untyped.over_time(ONE, horizon=2.5), "got 2.5", "a whole number"),
    "unroll of 0": (lambda: bp.over_time(ONE, unroll=0), "unroll: .*got 0", "at least 1"),
    "lifted twice": (
        lambda: bp.over_time(OVER),
        "over_time: the layer runs over time already",
        "give it the layer inside",
    ),
    "recurrent of a lifted layer": (
        lambda: bp.recurrent(OVER, bp.dense(4)),
        "recurrent: the layer runs over time already",
        "give it the layer inside",
    ),
    "back over time": (
        lambda: bp.recurrent(ONE, READ),
        "recurrent: the layer runs over time already",
        "give it the layer inside",
    ),
    "neurons of `back`": (
        lambda: bp.recurrent(ONE, ONE),
        "the neurons of `back` are not used",
        r"give bp.dense\(n\) without them",
    ),
    "a neuron for a layer": (
        lambda: untyped.over_time(bp.lif()),
        "over_time: got Neuron",
        "expected a layer of one moment, as bp.dense",
    ),
    "a net for a layer": (
        lambda: untyped.over_time((ONE,)),
        "over_time: got tuple",
        "expected a layer",
    ),
    "a layer for a neuron": (
        lambda: untyped.gaussian(OVER, 0.1),
        "gaussian: got Layer",
        "expected a neuron, as bp.tanh()",
    ),
    "a factory for a neuron": (
        lambda: untyped.dense(4, bp.lif),
        "dense: got lif",
        "expected a neuron",
    ),
    "back of a wrong width": (
        lambda: bp.init((bp.recurrent(ONE, bp.dense(5)),), KEY, X),
        r"`back` maps .* to \(2, 5\)",
        "expected the shape of its current",
    ),
    "layers of different dt": (
        lambda: bp.rules.backprop((OVER, bp.over_time(ONE, dt=2.0)), EACH),
        "steps of 1.0 and 2.0 ms",
        "give all layers over time the same dt",
    ),
    "parameters for layers of different dt": (
        lambda: bp.init((OVER, bp.over_time(ONE, dt=2.0)), KEY, X),
        "steps of 1.0 and 2.0 ms",
        "give all layers over time the same dt",
    ),
    "a memoryless layer among lifted ones": (
        lambda: bp.init((OVER, bp.dense(3), READ), KEY, X),
        "layer 1 is one of a single moment",
        "wrap it too",
    ),
    "spiking neurons in a layer of one moment": (
        lambda: bp.init((ONE,), KEY, X[:, 0]),
        "neurons of a layer have a state",
        "give bp.over_time",
    ),
    "synapses with a state in a layer of one moment": (
        lambda: bp.init((bp.synaptic_release(bp.dense(4), 0.5, each_moment=True),), KEY, X[:, 0]),
        "synapses of a layer have a state",
        "give bp.over_time",
    ),
    "a loss at each moment of one": (lambda: bp.at_each_moment(EACH), "already", "give it the"),
}

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
        r"give a scalar, \[B\] = \(2,\), or all axes, \(2, 5, 4\)",
    ),
    "a gain of examples and units": (
        lambda: gained(bp.Gain(jnp.ones((2, 4)))),
        r"gain: got shape \(2, 4\)",
        r"\[B, 1, n\] or \[B, T, n\]",
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


@pytest.mark.parametrize("name", [*NETS, *DATA])
def test_refused_in_one_line(name):
    act, wrong, remedy = (NETS | DATA)[name]
    with pytest.raises(ValueError, match=wrong) as raised:
        act()
    raised.match(remedy.replace("()", r"\(\)"))
    assert "\n" not in str(raised.value)


def test_what_is_right_is_not_refused():
    """The same calls with nothing wrong."""
    grad()
    grad(MOMENTS, EACH, y=jnp.zeros((2, 5), int), asked=jnp.ones((2, 5)))
    grad(gate=(jnp.ones((2, 5, 1)), None))
    predict(MOMENTS, asked=jnp.ones((2, 5)))
    advanced(MOMENTS, pasts_of(MOMENTS), X[:, :2])
    advanced(POOLED, pasts_of(POOLED))
    gained(bp.Gain(jnp.ones((2, 1, 4)), out=jnp.ones(4)))


def test_wrong_arguments_name_the_function():
    with pytest.raises(TypeError, match="lif: too many positional arguments; it takes tau, thresh"):
        untyped.lif(20.0, 1.5)
    with pytest.raises(TypeError, match="bernoulli: missing a required argument: 'steps'"):
        untyped.encoders.bernoulli()
