"""Nets over time in bfloat16: states and time constants are float32, numbers may be traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.training.precision import bfloat16

KEY = jax.random.key(0)
B, T, N, C = 2, 8, 4, 3
X = (jax.random.uniform(KEY, (B, T, N)) < 0.5).astype(jnp.float32)
ONE = jnp.ones((1, T, 1), jnp.bfloat16)


def test_long_times_decay():
    """exp(-1 / 1000) is 1 in bfloat16: a leaky integrator would hear nothing."""

    def answer(tau):
        net = (bp.over_time(bp.dense(1, bp.leaky(tau))),)
        params = ({"w": jnp.ones((1, 1), jnp.bfloat16), "b": jnp.zeros(1, jnp.bfloat16)},)
        (past,), trace = bp.advance(net, params, None, ONE, KEY)
        assert trace.output.dtype == jnp.bfloat16
        assert past is not None
        assert past.neurons.dtype == jnp.float32
        return np.asarray(trace.output[0, :, 0], float)

    want = 1 - np.exp(-np.arange(1, T + 1) / 1000)
    assert np.allclose(answer(1000.0), want, rtol=0.01)
    assert not np.allclose(answer(900.0), want, rtol=0.01)  # control


def test_synapses_recover_from_many_spikes():
    """Resources at rest take exp(-1 / 1000) too: in bfloat16 none would come back."""

    def left(tau):
        layer = bp.short_term(bp.dense(1), tau_recover=tau)
        params = ({"w": jnp.ones((1, 1), jnp.bfloat16), "b": jnp.zeros(1, jnp.bfloat16)},)
        spike_first = ONE.at[:, 1:].set(0)
        (past,), trace = bp.advance((bp.over_time(layer),), params, None, spike_first, KEY)
        assert trace.output.dtype == jnp.bfloat16
        assert past is not None
        return float(past.synapses.r[0, 0])

    assert abs(left(1000.0) - (1 - 0.5 * np.exp(-T / 1000))) < 1e-5
    assert abs(left(900.0) - (1 - 0.5 * np.exp(-T / 1000))) > 1e-4  # control


def test_traced_numbers_do_not_change_dtypes():
    """Numbers of neurons and synapses may be float32 tracers, as in a program of many seeds."""

    def run(threshold, sigma):
        neuron = bp.gaussian_current(bp.alif(threshold=threshold), sigma)
        net = (
            bp.recurrent(bp.dense(5, neuron), bp.short_term(bp.dense(5), use=sigma)),
            bp.after(bp.mean_over_time, bp.dense(C)),
        )
        net = bp.with_gain(net, (bp.Gain(1 + sigma, sigma, 1 - sigma), bp.Gain()))
        rule = bfloat16(bp.rules.feedback_alignment(net, bp.cross_entropy))
        batch = bp.Batch(X, jnp.arange(B))
        params = bp.init(net, KEY, X)
        return params, rule.grad(params, rule.init(KEY, params, batch), batch, KEY)[0]

    check_dtypes(*jax.eval_shape(run, jnp.float32(1.0), jnp.float32(0.1)))


def check_dtypes(params, grads):
    same = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), params, grads)
    assert all(jax.tree.leaves(same))


@pytest.mark.parametrize("over_time", [False, True])
def test_node_perturbation_takes_a_traced_size(over_time):
    """A float32 tracer gives the gradient that the number gives."""
    hidden = bp.over_time(bp.dense(5, bp.lif())) if over_time else bp.dense(5, bp.tanh())
    net = (hidden, bp.after(bp.mean_over_time, bp.dense(C)) if over_time else bp.dense(C))
    x = X if over_time else X[:, 0]
    params, batch = bp.init(net, KEY, x), bp.Batch(x, jnp.arange(B))

    def run(sigma):
        rule = bfloat16(bp.rules.node_perturbation(net, bp.cross_entropy, sigma=sigma))
        return rule.grad(params, (), batch, KEY)[0]

    traced, other = (jax.jit(run)(jnp.float32(sigma)) for sigma in (0.5, 1.0))
    check_dtypes(params, traced)
    known = run(0.5)
    for a, b, c in zip(*map(jax.tree.leaves, (traced, known, other)), strict=True):
        np.testing.assert_allclose(a, b, atol=0.02 * float(abs(b).max()))
        assert not np.allclose(a, c, atol=0.02 * float(abs(b).max()))  # control
