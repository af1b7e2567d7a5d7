"""Oracle: vectors whose angle is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus import net as nets
from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.alignment import angles, feedback_angle
from bioplaus.rules import RULES
from bioplaus.types import Batch

KEY = jax.random.key(0)


def _layer(w, b):
    return {"w": jnp.asarray(w, jnp.float32), "b": jnp.asarray(b, jnp.float32)}


def test_known_angles():
    u = _layer([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0])
    turned = _layer([[-2.0, 1.0], [-4.0, 3.0]], [-6.0, 5.0])  # each pair turned by a right angle
    got = angles(
        (u, u, u, u),
        (u, jax.tree.map(lambda a: -3 * a, u), turned, jax.tree.map(jnp.zeros_like, u)),
    )
    np.testing.assert_allclose(got[:3], [0.0, 180.0, 90.0], atol=1e-4)
    assert jnp.isnan(got[3])


def test_all_leaves_of_a_layer_are_one_vector():
    u, v = _layer([[1.0]], [1.0]), _layer([[1.0]], [0.0])
    np.testing.assert_allclose(angles((u,), (v,)), [45.0], rtol=1e-6)


@pytest.mark.parametrize("degrees", [1e-3, 0.1, 30.0, 179.9])
@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e25])
def test_accurate_in_float32(degrees, scale):
    t = np.radians(degrees)
    u, v = (
        scale * jnp.array([1.0, 0.0], jnp.float32),
        jnp.array([np.cos(t), np.sin(t)], jnp.float32),
    )
    np.testing.assert_allclose(angles((u,), (v,)), [degrees], rtol=1e-4)
    if degrees == 1e-3 and scale == 1.0:  # what the arc cosine gives
        assert abs(jnp.degrees(jnp.arccos(u @ v)) - degrees) > 5e-4


def test_grads_of_backprop_and_feedback_alignment():
    net = mlp([20, 60, 60, 5])
    x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 20)), jnp.float32)
    batch = Batch(x, jax.nn.one_hot(jnp.arange(16) % 5, 5))
    params = jax.jit(lambda: nets.init(net, KEY, x))()
    bp, fa = RULES["bp"](net, cross_entropy), RULES["fa"](net, cross_entropy)
    state = jax.jit(fa.init)(jax.random.key(1), params, batch)

    @jax.jit
    def angle(state):
        return angles(fa.grad(params, state, batch, KEY)[0], bp.grad(params, (), batch, KEY)[0])

    got = angle(state)
    assert got[-1] < 1e-3  # the readout needs no feedback
    assert (got[:-1] > 45).all()
    np.testing.assert_allclose(angle(state._replace(feedback=params)), 0, atol=1e-3)


def test_feedback_angle():
    net = mlp([20, 60, 60, 5])
    x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 20)), jnp.float32)
    batch = Batch(x, jnp.zeros((16, 5)))
    params = jax.jit(lambda: nets.init(net, KEY, x))()
    state = jax.jit(RULES["fa"](net, cross_entropy).init)(jax.random.key(1), params, batch)
    got = feedback_angle(params, state.feedback)
    assert got.shape == (3,)
    assert jnp.isnan(got[0])  # nothing goes back through the first layer
    for angle, n in zip(got[1:], (3600, 300), strict=True):
        assert abs(angle - 90) < 4 * 57.3 / np.sqrt(n)
    np.testing.assert_allclose(feedback_angle(params, ((), *params[1:]))[1:], 0, atol=1e-4)
    biased = jax.tree.map(lambda w: w if w.ndim == 2 else w + 100.0, params)
    # biases do not count here
    np.testing.assert_allclose(feedback_angle(params, biased), 0, atol=1e-4)
    assert (angles(params, biased) > 45).all()


def test_mismatches_are_refused():
    a = (jnp.ones((2, 3)),)
    with pytest.raises(ValueError, match="one entry per layer"):
        angles(a, a + a)
    with pytest.raises(ValueError, match="layer 0"):
        feedback_angle(a, (jnp.ones((3, 2)),))
