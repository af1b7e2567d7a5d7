"""Neurons with a basal and an apical dendrite: closed forms, and the layers that reach each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.layers.time import in_steps_of
from bioplaus.net import fire
from bioplaus.neurons import RESETS, two_compartment

KEY = jax.random.key(0)
LEAK, BASAL, APICAL = 0.1, 0.6, 0.05
G = LEAK + BASAL + APICAL


def test_the_soma_is_integrated_exactly_at_any_step(x64):
    """u(t) = k (1 - exp(-g t)), from rest, below the threshold."""
    held = jnp.array([0.7, 0.3])
    k = (BASAL * 0.7 + APICAL * 0.3) / G
    for dt in (0.25, 1.0, 2.0):
        neuron = in_steps_of(bp.dense(1, two_compartment(LEAK, BASAL, APICAL)), dt).neuron
        current = jnp.broadcast_to(held, (1, 1, 2))
        u = neuron.init(current)
        for _ in range(round(4 / dt)):
            u, z = neuron.step(u, current, KEY)
            assert z.item() == 0
        np.testing.assert_allclose(u, k * (1 - np.exp(-G * 4)), rtol=1e-12)


@pytest.mark.parametrize("drive", [(2.0, 0.0), (1.5, 3.0)])
def test_its_rate_is_that_of_a_leaky_integrate_and_fire_neuron(drive):
    """1 / (tau ln(k / (k - 1))) per ms with tau = 1 / g, as dt goes to 0; reset to 0."""
    k = (BASAL * drive[0] + APICAL * drive[1]) / G
    rate = G / np.log(k / (k - 1))
    neuron = two_compartment(LEAK, BASAL, APICAL, reset=RESETS["to_zero"])
    current = jnp.broadcast_to(jnp.array(drive), (1, 40_000, 1, 2))
    z = fire(bp.over_time(bp.dense(1, neuron), dt=0.005), current, KEY)
    np.testing.assert_allclose(z.sum() / 200, rate, rtol=0.02)


def net_of(apical=0.05):
    neuron = two_compartment(apical=apical, threshold=0.1)
    return (
        bp.recurrent(bp.basal(bp.dense(5, neuron)), bp.apical(bp.dense(5))),
        bp.after(bp.mean_over_time, bp.dense(3)),
    )


def test_backprop_crosses_both_dendrites(x64):
    x = jax.random.normal(KEY, (4, 6, 3))
    batch = bp.Batch(x, jax.nn.one_hot(jnp.arange(4) % 3, 3, dtype=x.dtype))
    net = net_of()
    params = jax.tree.map(lambda w: 3 * w, bp.init(net, KEY, x))
    trace = bp.forward(net, params, x, KEY)
    assert trace.currents[0].shape == (4, 6, 5, 2)
    w = params[0]
    np.testing.assert_allclose(trace.currents[0][..., 0], x @ w["in"]["w"] + w["in"]["b"])
    np.testing.assert_allclose(
        trace.currents[0][..., 1], trace.heard[0] @ w["back"]["w"] + w["back"]["b"], atol=1e-12
    )
    grads = bp.rules.backprop(net, bp.cross_entropy).grad(params, (), batch, KEY)[0]

    def loss(params):
        return bp.cross_entropy(bp.forward(net, params, x, KEY).output, batch.y).mean()

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14),
        grads,
        jax.grad(loss)(params),
    )
    assert all(jnp.abs(g).max() > 1e-6 for g in jax.tree.leaves(grads))
    # negative control: without the conductance no credit reaches the apical synapses
    deaf = bp.rules.backprop(net_of(0.0), bp.cross_entropy).grad(params, (), batch, KEY)[0]
    assert all(jnp.abs(g).max() == 0 for g in jax.tree.leaves(deaf[0]["back"]))


def test_wrong_layers_are_refused():
    with pytest.raises(ValueError, match=r"expected \[B, n, 2\].*bp.basal"):
        bp.init((bp.over_time(bp.dense(5, two_compartment())),), KEY, jnp.ones((4, 6, 3)))
    with pytest.raises(ValueError, match=r"basal: the layer runs over time"):
        bp.basal(bp.over_time(bp.dense(5, two_compartment())))
