"""Modulated time constants: closed forms, and gradients of a loop by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.net import fire

KEY, B, T, K = jax.random.key(0), 4, 6, 2


@pytest.mark.parametrize("dt", [1.0, 2.5])
def test_a_context_sets_the_pace(x64, dt):
    """v_t = 1 - exp(-t / (tau e^m)) at a constant drive of 1, m = 0 and m = ln 3, at any dt."""
    del x64
    moments = round(20 / dt)
    drive, pace = np.ones((2, moments, 1)), np.zeros((2, moments, 1))
    pace[1] = np.log(3)
    layer = bp.over_time(bp.basal(bp.dense(1, bp.paced(10.0))), dt=dt)
    v = fire(layer, jnp.asarray(np.stack([drive, pace], -1)), KEY)[..., 0]
    t = dt * np.arange(1, moments + 1)
    np.testing.assert_allclose(v[0], 1 - np.exp(-t / 10), rtol=1e-12)
    np.testing.assert_allclose(v[1], 1 - np.exp(-t / 30), rtol=1e-12)


NET = (
    bp.recurrent(bp.basal(bp.dense(4, bp.paced(5.0))), bp.apical(bp.contextual(bp.dense(4), K))),
    bp.after(bp.mean_over_time, bp.dense(3)),
)


def by_hand(params, x, z, y):
    (first, readout), v, total = params, jnp.zeros((B, 4)), 0.0
    own, gains = first["back"]["inner"], first["back"]["gains"]
    for t in range(T):
        pace = v @ own["w"] + own["b"]
        pace = (1 + z[:, t] @ gains["scale"]) * pace + z[:, t] @ gains["bias"]
        a = jnp.exp(-1 / (5 * jnp.exp(pace)))
        v = a * v + (1 - a) * (x[:, t] @ first["in"]["w"] + first["in"]["b"])
        total = total + v / T
    return bp.cross_entropy(total @ readout["w"] + readout["b"], y).mean()


def test_gradients_are_those_of_a_loop_by_hand(x64):
    """Of backprop, and of feedback alignment with the weights as feedback; not in another context,
    nor with random feedback."""
    del x64
    draw = np.random.default_rng(6)
    x, z = (jnp.asarray(draw.standard_normal((B, T, n))) for n in (3, K))
    y = jax.nn.one_hot(jnp.arange(B) % 3, 3, dtype=x.dtype)
    params = bp.init(NET, KEY, x)
    params = jax.tree.map(lambda a: a + 0.4 * jnp.asarray(draw.standard_normal(a.shape)), params)
    slope = jax.jit(jax.grad(by_hand))
    true, other = (slope(params, x, c, y) for c in (z, z[:, ::-1]))
    batch = bp.Batch(x, y, {"cue": z})

    def distance(grads):
        pairs = zip(jax.tree.leaves(grads), jax.tree.leaves(true), strict=True)
        return max(float(jnp.abs(u - v).max() / jnp.abs(v).max()) for u, v in pairs)

    backprop = bp.rules.backprop(NET, bp.cross_entropy)
    assert distance(jax.jit(backprop.grad)(params, (), batch, KEY)[0]) < 1e-12
    rule = bp.rules.feedback_alignment(NET, bp.cross_entropy)
    drawn = rule.init(KEY, params, batch)
    grad = jax.jit(rule.grad)
    assert distance(grad(params, drawn._replace(feedback=params), batch, KEY)[0]) < 1e-12
    assert distance(grad(params, drawn, batch, KEY)[0]) > 0.1
    assert distance(other) > 0.1


def test_other_currents_are_refused():
    net = (bp.over_time(bp.dense(3, bp.paced())),)
    with pytest.raises(ValueError, match=r"paced: the current is \(2, 3\), expected \[B, n, 2\]"):
        bp.init(net, KEY, jnp.ones((2, 4, 5)))
    with pytest.raises(ValueError, match="tau: expected a number above 0"):
        bp.paced(0.0)
