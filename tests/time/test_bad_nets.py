"""Nets over time that are refused, each in one clear line."""

import numpy as np
import pytest
from test_bad_inputs import EACH, KEY, ONE, OVER, POOLED, READ, X, untyped

import bioplaus as bp
from bioplaus.neurons import RESETS, surrogate


def over(neuron, dt):
    return (bp.over_time(bp.dense(4, neuron), dt=dt),)


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
    "a reset that divides by a decay of nothing": (
        lambda: bp.init(over(bp.lif(0.1, reset=RESETS["subtract_undecayed"]), 9.0), KEY, X),
        "lif: reset: subtract_undecayed divides .* dt / tau is 90, expected at most 80",
        "give a shorter dt, a longer tau, or another reset",
    ),
    "another neuron for a layer over time": (
        lambda: bp.init((OVER._replace(neuron=bp.tanh()), READ), KEY, X),
        "the neuron of layer 0, which runs over time, was replaced",
        r"layer.time.lift\(lambda m: m._replace\(neuron=...\)\)",
    ),
    "another neuron for a layer of a rule's net": (
        lambda: bp.rules.backprop((OVER, READ._replace(neuron=OVER.neuron)), EACH),
        "the neuron of layer 1, which runs over time, was replaced",
        "replace that of one moment",
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


@pytest.mark.parametrize("name", NETS)
def test_refused_in_one_line(name):
    act, wrong, remedy = NETS[name]
    with pytest.raises(ValueError, match=wrong) as raised:
        act()
    raised.match(remedy.replace("()", r"\(\)"))
    assert "\n" not in str(raised.value)


def test_what_the_errors_advise_is_right():
    """The neuron of one moment acts; a reset works with other lengths of a moment."""
    assert OVER.time is not None
    lifted = OVER.time.lift(lambda m: m._replace(neuron=bp.tanh()))
    params = bp.init((lifted,), KEY, X)
    trace = bp.forward((lifted,), params, X, KEY)
    np.testing.assert_allclose(trace.output, np.tanh(trace.currents[0]), rtol=1e-6)
    spikes = bp.forward((OVER,), params, X, KEY).output
    assert not np.allclose(spikes, trace.output)  # control
    undecayed = bp.lif(0.1, reset=RESETS["subtract_undecayed"])
    bp.init(over(undecayed, 7.9), KEY, X)
    bp.init(over(bp.lif(0.1), 9.0), KEY, X)
