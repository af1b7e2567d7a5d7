"""`synaptic` around a rate neuron is the unit of a continuous-time recurrent network.

tau dv/dt = -v + I,    output f(v)
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.net import fire

KEY = jax.random.key(0)
TAU = 10.0


@pytest.mark.parametrize("dt", [0.25, 1.0, 5.0])
def test_a_held_input_is_approached_with_the_time_constant(x64, dt):
    """tanh(I (1 - exp(-t / tau))), at any dt."""
    layer = bp.over_time(bp.dense(1, bp.synaptic(bp.tanh(), TAU)), dt=dt)
    t = dt * np.arange(1, round(30 / dt) + 1)
    output = fire(layer, jnp.full((1, len(t), 1), 0.8), KEY)[0, :, 0]
    np.testing.assert_allclose(output, np.tanh(0.8 * (1 - np.exp(-t / TAU))), rtol=1e-12)
    # negative control: of another time constant
    assert np.abs(output - np.tanh(0.8 * (1 - np.exp(-t / (2 * TAU))))).max() > 0.1


def test_around_the_identity_it_is_a_leaky_integrator(x64):
    current = jax.random.normal(KEY, (2, 7, 3))
    rnn, integrator = (
        bp.over_time(bp.dense(3, neuron), dt=2.0)
        for neuron in (bp.synaptic(bp.identity(), TAU), bp.leaky(TAU))
    )
    np.testing.assert_allclose(
        fire(rnn, current, KEY), fire(integrator, current, KEY), rtol=1e-12, atol=1e-14
    )


def test_backprop_through_a_continuous_time_network(x64):
    """bp = jax.grad of the recurrence written by hand."""
    net = (
        bp.recurrent(bp.dense(4, bp.synaptic(bp.tanh(), TAU)), bp.dense(4), dt=2.0),
        bp.after(bp.mean_over_time, bp.dense(3)),
    )
    x = jax.random.normal(KEY, (5, 6, 3))
    batch = bp.Batch(x, jax.nn.one_hot(jnp.arange(5) % 3, 3, dtype=x.dtype))
    params = jax.tree.map(lambda w: 2 * w, bp.init(net, KEY, x))

    def loss(params, tau=TAU):
        w, back = params[0]["in"], params[0]["back"]
        a, v, outputs = jnp.exp(-2.0 / tau), jnp.zeros((5, 4)), [jnp.zeros((5, 4))]
        for t in range(6):
            drive = x[:, t] @ w["w"] + w["b"] + outputs[-1] @ back["w"] + back["b"]
            v = a * v + (1 - a) * drive
            outputs.append(jnp.tanh(v))
        mean = jnp.stack(outputs[1:], 1).mean(1)
        return bp.cross_entropy(mean @ params[1]["w"] + params[1]["b"], batch.y).mean()

    grads = bp.rules.backprop(net, bp.cross_entropy).grad(params, (), batch, KEY)[0]
    for tau, close in ((TAU, True), (2 * TAU, False)):
        true = jax.tree.leaves(jax.grad(loss)(params, tau))
        same = [
            np.allclose(a, b, rtol=1e-9, atol=1e-14)
            for a, b in zip(jax.tree.leaves(grads), true, strict=True)
        ]
        assert all(same) is close
