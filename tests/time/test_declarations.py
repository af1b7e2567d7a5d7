"""What neurons and layers declare for rules on streams, `Neuron.leak` and `Layer.affine`, is so."""

import jax
import jax.numpy as jnp
import pytest
from nets import wide

import bioplaus as bp
from bioplaus.net import play
from bioplaus.neurons import NEURONS
from bioplaus.neurons.resets import RESETS

pytestmark = pytest.mark.usefixtures("x64")

CURRENT = jnp.linspace(-0.5, 3.0, 8)[None]  # some neurons fire, others do not
LEAKING = {
    "leaky": bp.leaky(7.0),
    "lif": bp.lif(7.0),
    "lif, reset as in the paper": bp.lif(7.0, reset=RESETS["subtract_undecayed"]),
    "lif with a gain": bp.lif(jnp.linspace(2.0, 9.0, 8)),
}
OTHERS = {
    "reset to zero": bp.lif(7.0, reset=RESETS["to_zero"]),
    "a reset that errors pass": bp.lif(7.0, detached=False),
    "alif": bp.alif(7.0),
    "a refractory period": bp.lif(7.0, refractory=2.0),
    "synapses with a state": bp.synaptic(bp.lif(7.0)),
    "izhikevich": NEURONS["izhikevich"](),
    "noise": bp.gaussian(bp.lif(7.0), 0.3),
    "no state": bp.tanh(),
}


def over_moments(neuron, dt=1.0):
    time = bp.over_time(bp.dense(8, neuron), dt=dt).time
    assert time is not None
    return time.moment.neuron


def by_state(neuron):
    """The derivative of each unit's state by the state a moment before."""
    current = CURRENT.astype(float)

    def step(v):
        return neuron.step(v, current, jax.random.key(0))[0]

    return jnp.diagonal(jax.jacobian(step)(0.5 * jnp.ones_like(current))[0, :, 0])


@pytest.mark.parametrize("name", LEAKING)
@pytest.mark.parametrize("dt", [1.0, 0.25])
def test_the_leak_is_the_derivative_of_the_state_by_the_state(name, dt):
    neuron = over_moments(LEAKING[name], dt)
    assert jnp.allclose(
        by_state(neuron), (neuron.leak or jnp.zeros_like)(CURRENT.astype(float)), rtol=0, atol=1e-15
    )


@pytest.mark.parametrize("name", OTHERS)
def test_all_other_neurons_declare_none(name):
    assert OTHERS[name].leak is None
    assert over_moments(OTHERS[name]).leak is None


def test_the_derivative_of_a_reset_to_zero_is_no_leak():
    """The control: it depends on whether the neuron has fired."""
    found = by_state(OTHERS["reset to zero"])
    assert float(found.min()) == 0
    assert float(found.max()) > 0.5


X = jax.random.normal(jax.random.key(1), (3, 6, 6, 2), float)
FLAT = X[:, 0, :, 0]
LAYERS = {
    "dense": (bp.dense(5), FLAT, True),
    "conv": (bp.conv(4, 3), X, True),
    "flattened": (bp.flattened(bp.dense(5)), X, True),
    "over time": (bp.over_time(bp.dense(5, bp.lif())), X[..., 0], True),
    "recurrent": (bp.recurrent(bp.dense(5, bp.lif()), bp.dense(5)), X[..., 0], True),
    "after a map": (bp.after(jnp.tanh, bp.dense(5)), FLAT, False),
    "flattened after a map": (bp.flattened(bp.after(jnp.tanh, bp.dense(5))), X, False),
    "group norm": (bp.group_normed(1, bp.dense(4)), FLAT, False),
    "a recurrent layer with other synapses of its own": (
        bp.recurrent(bp.dense(4, bp.lif()), bp.group_normed(1, bp.dense(4))),
        X[..., 0],
        None,  # linear in x, as what it heard is held; its own synapses are not
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_affine_layers_are_linear_but_for_a_part_that_no_input_changes(name):
    layer, x, linear = LAYERS[name]
    assert layer.affine == bool(linear)
    x = x.astype(float)
    params = layer.init(jax.random.key(0), x)
    params = jax.tree.map(lambda w: w + 0.3, params)
    heard = play(layer, params, None, x, jax.random.key(2)).heard if layer.time else ()

    def current(x):
        return layer.synapse(params, heard, x, jax.random.key(2))[1]

    gap = current(2 * x) - 2 * current(x) + current(0 * x)
    if linear is not None:
        assert (float(jnp.abs(gap).max()) < 1e-12) == linear


def test_short_term_synapses_and_released_ones_are_not_affine():
    for layer in (
        bp.short_term(bp.dense(4, bp.lif())),
        bp.synaptic_release(bp.dense(4, bp.lif()), 0.5),
        bp.encoders.in_front(
            (bp.over_time(bp.dense(4, bp.lif(), weights=wide)),), bp.encoders.bernoulli(steps=3)
        )[0],
    ):
        assert not layer.affine
