"""Nets: forward, init, excitability, noise modes."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.local import spread
from bioplaus.net import current_shapes, feedback_init, layer_key
from bioplaus.types import Batch

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (4, 5))
NET = bp.mlp((5, 6, 3))
PARAMS = bp.init(NET, KEY, X)


def by_hand(params, x):
    return np.tanh(x @ params[0]["w"] + params[0]["b"]) @ params[1]["w"] + params[1]["b"]


def test_forward_keeps_the_inputs_of_each_layer():
    trace = bp.forward(NET, PARAMS, X, KEY)
    assert trace.inputs[0] is X
    np.testing.assert_allclose(trace.currents[0], X @ PARAMS[0]["w"], atol=1e-6)
    np.testing.assert_allclose(trace.inputs[1], np.tanh(trace.currents[0]), atol=1e-6)
    np.testing.assert_array_equal(trace.currents[1], trace.output)  # linear readout
    np.testing.assert_allclose(trace.output, by_hand(PARAMS, np.asarray(X)), atol=1e-6)
    assert np.abs(trace.output).min() > 0


def test_forward_refuses_another_depth():
    with pytest.raises(ValueError, match="1 entries for a net of 2 layers"):
        bp.forward(NET, PARAMS[:1], X, KEY)


def test_init_has_a_tree_a_layer_and_fresh_weights():
    assert jax.tree.map(jnp.shape, PARAMS) == ({"b": (6,), "w": (5, 6)}, {"b": (3,), "w": (6, 3)})
    same, other = bp.init(NET, KEY, X), bp.init(NET, jax.random.key(7), X)
    np.testing.assert_array_equal(same[0]["w"], PARAMS[0]["w"])
    assert np.abs(other[0]["w"] - PARAMS[0]["w"]).min() > 0


def test_init_scale():
    """Var W = 0.25 / fan_in; layers of equal shape do not share weights."""
    net = bp.mlp((200, 200, 200))
    a, b = (p["w"] for p in bp.init(net, KEY, jnp.zeros((1, 200))))
    assert float(a.var()) * 200 == pytest.approx(0.25, rel=0.03)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.03


def test_feedback_is_independent_of_the_weights():
    net = bp.mlp((200, 200, 200))
    x = jnp.zeros((1, 200))
    params = bp.init(net, KEY, x)
    first, second = feedback_init(net, KEY, params, x)
    assert first == ()
    assert second["w"].shape == params[1]["w"].shape
    assert float(second["w"].std()) == pytest.approx(float(params[1]["w"].std()), rel=0.03)
    assert abs(np.corrcoef(second["w"].ravel(), params[1]["w"].ravel())[0, 1]) < 0.03


def test_layer_keys_differ_and_repeat():
    keys = [jax.random.key_data(layer_key(KEY, l)).tolist() for l in (0, 1, 0)]
    assert keys[0] == keys[2] != keys[1]


def test_current_shapes():
    batch = Batch(X, jnp.zeros((4, 3)))
    assert [(a.shape, a.dtype) for a in current_shapes(NET, PARAMS, batch, KEY)] == [
        ((4, 6), X.dtype),
        ((4, 3), X.dtype),
    ]


def test_gain_by_hand():
    """output = out * f(scale * current + offset), in each of the allowed shapes."""
    gains = [
        bp.Gain(2.0, jnp.arange(6.0), 0.5),
        bp.Gain(out=jnp.arange(1.0, 5.0)[:, None] * jnp.ones((4, 3))),
    ]
    hidden = 0.5 * np.tanh(2.0 * np.asarray(X @ PARAMS[0]["w"]) + np.arange(6.0))
    want = np.arange(1.0, 5.0)[:, None] * (hidden @ PARAMS[1]["w"])
    got = bp.forward(bp.with_gain(NET, gains), PARAMS, X, KEY).output
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert np.abs(got - bp.forward(NET, PARAMS, X, KEY).output).max() > 0.1


IMAGES = jax.random.normal(jax.random.key(2), (4, 6, 6, 1))
CONV = (
    bp.conv(3, 3, bp.tanh()),
)  # its current is [4, 4, 4, 3]: examples, rows and columns, 4 each


def convolved(g):
    params = bp.init(CONV, KEY, IMAGES)
    return bp.forward(bp.with_gain(CONV, [bp.Gain(out=g)]), params, IMAGES, KEY).output


def test_gains_of_channels_and_of_places():
    """Each array in the place where it belongs, although examples, rows and columns are as many."""
    free, g = convolved(1.0), jnp.arange(1.0, 13.0).reshape(4, 3)
    channels, places = g[:, None, None, :], jnp.arange(1.0, 17.0).reshape(1, 4, 4, 1)
    for gain in (g[0], channels, places, channels * places):
        np.testing.assert_allclose(convolved(gain), free * np.asarray(gain), rtol=1e-6)
    assert not np.allclose(convolved(channels), free * g, rtol=1e-2)  # columns for examples


@pytest.mark.parametrize("shape", [(4, 3), (4, 1), (4, 4, 3), (4,), (2, 1, 1, 3), (1, 4, 4, 4, 3)])
def test_a_gain_is_a_scalar_or_of_units_or_has_all_axes(shape):
    message = (
        rf"gain: got shape {re.escape(str(shape))} where a layer's output is \(4, 4, 4, 3\); give"
        r" a scalar, \[n\] = \(3,\), or all axes, each 1 or as in \(4, 4, 4, 3\)$"
    )
    with pytest.raises(ValueError, match=message):
        convolved(jnp.ones(shape))
    net, params = bp.with_gain(CONV, [bp.Gain(jnp.ones(shape))]), bp.init(CONV, KEY, IMAGES)
    with pytest.raises(ValueError, match="where a layer's current is"):
        bp.forward(net, params, IMAGES, KEY)


@pytest.mark.parametrize("shape", [(4, 3), (3,), (4, 1), (2, 4, 4, 3), (4, 4, 3)])
def test_a_gate_is_a_scalar_or_of_examples_or_has_all_axes(shape):
    with pytest.raises(ValueError, match=r"gate: got shape .* \[B\] = \(4,\), or all axes, each"):
        spread(jnp.ones(shape), jnp.ones((4, 4, 4, 3)))


def test_default_gain_changes_nothing():
    same = bp.forward(bp.with_gain(NET, [bp.Gain()] * 2), PARAMS, X, KEY).output
    np.testing.assert_array_equal(same, bp.forward(NET, PARAMS, X, KEY).output)
    with pytest.raises(ValueError, match="1 gains for a net of 2 layers"):
        bp.with_gain(NET, [bp.Gain()])


def test_gain_by_tracer():
    out = jax.vmap(
        lambda g: bp.forward(bp.with_gain(NET, [bp.Gain(g), bp.Gain()]), PARAMS, X, KEY).output
    )(jnp.array([0.0, 1.0]))
    np.testing.assert_allclose(out[0], 0.0, atol=1e-7)  # biases are zero
    np.testing.assert_allclose(out[1], bp.forward(NET, PARAMS, X, KEY).output, atol=1e-6)


@pytest.mark.parametrize("gained", [False, True])
def test_noise_modes(gained):
    """Noise mode off is the noiseless net, on depends on the key, mean is the mean over samples.

    This holds with gains as well.
    """
    noisy = tuple(l._replace(neuron=bp.gaussian_current(l.neuron, 0.8)) for l in NET)
    if gained:
        noisy = bp.with_gain(noisy, [bp.Gain(1.5, 0.1, 2.0)] * 2)
    quiet = bp.with_gain(NET, [bp.Gain(1.5, 0.1, 2.0)] * 2) if gained else NET

    def run(net, key=KEY):
        return bp.forward(net, PARAMS, X, key).output

    np.testing.assert_array_equal(run(bp.noise_mode(noisy, "off")), run(quiet))
    np.testing.assert_array_equal(run(bp.noise_mode(noisy, "on")), run(noisy))
    assert np.abs(run(noisy) - run(quiet)).max() > 0.1
    assert np.abs(run(noisy) - run(noisy, jax.random.key(5))).max() > 0.1
    samples = jax.jit(jax.vmap(lambda k: run(noisy, k)))(jax.random.split(KEY, 4000))
    gap = np.abs(samples.mean(0) - run(bp.noise_mode(noisy, "mean"))) / (samples.std(0) / 4000**0.5)
    assert gap.max() < 5  # the readout is linear: the mean output is exact
    assert (np.abs(samples.mean(0) - run(quiet)) / (samples.std(0) / 4000**0.5)).max() > 5


def test_noise_mode_refuses_other_words():
    with pytest.raises(ValueError, match="expected 'on', 'off' or 'mean'"):
        bp.noise_mode(NET, "quiet")  # pyright: ignore[reportArgumentType]
