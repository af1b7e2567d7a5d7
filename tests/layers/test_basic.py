"""Synapses against jax.lax, flax and hand-coded feedback; ready-made nets against jax.grad."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import bioplaus as bp
from bioplaus.local import by_vjp
from bioplaus.rules import RULES
from bioplaus.rules.feedback_alignment import State

KEY = jax.random.key(5)
sg = jax.lax.stop_gradient


def drawn(tree, seed):
    """Values for every leaf, biases and scales too."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda a: jnp.asarray(rng.normal(0, 0.5, a.shape)), tree)


def params_of(layer, x, seed=1):
    return drawn(jax.eval_shape(lambda: layer.init(KEY, x)), seed)


def images(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape))


def convolved(x, w, stride=1, padding=0):
    pads = [(padding, padding)] * 2
    return jax.lax.conv_general_dilated(
        x, w, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_conv_equals_lax(stride, padding):
    x = images(2, 7, 6, 3)
    layer = bp.conv(4, 3, stride=stride, padding=padding)
    p = params_of(layer, x)
    current = layer.synapse(p, (), x, KEY)[1]
    np.testing.assert_allclose(current, convolved(x, p["w"], stride, padding) + p["b"], atol=1e-12)
    # negative control: cross-correlation, not convolution
    flipped = convolved(x, p["w"][::-1, ::-1], stride, padding) + p["b"]
    assert jnp.abs(current - flipped).max() > 0.1


@pytest.mark.usefixtures("x64")
def test_dense_pooled_and_flattened():
    x = images(2, 4, 6, 3)
    conv = bp.conv(5, 2)
    p = params_of(conv, x)
    windows = (1, 2, 2, 1)
    highest = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, windows, windows, "VALID")
    average = jax.lax.reduce_window(x, 0.0, jax.lax.add, windows, windows, "VALID") / 4
    for layer, below in (
        (bp.pooled(2, conv), highest),
        (bp.pooled(2, conv, pool=jnp.mean), average),
    ):
        assert jnp.array_equal(layer.synapse(p, (), x, KEY)[1], conv.synapse(p, (), below, KEY)[1])
    assert jnp.abs(highest - average).max() > 0.1
    layer = bp.flattened(bp.dense(5))
    p = params_of(layer, x)
    assert p["w"].shape == (72, 5)
    np.testing.assert_allclose(
        layer.synapse(p, (), x, KEY)[1], np.reshape(x, (2, 72)) @ p["w"] + p["b"], atol=1e-12
    )


@pytest.mark.usefixtures("x64")
def test_group_normed_equals_flax():
    x = images(2, 5, 5, 3)
    layer = bp.group_normed(2, bp.conv(6, 3))
    p = params_of(layer, x)
    norm = nnx.GroupNorm(6, num_groups=2, epsilon=1e-5, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    graph = nnx.split(norm)[0]
    current = convolved(x, p["inner"]["w"]) + p["inner"]["b"]
    np.testing.assert_allclose(
        layer.synapse(p, (), x, KEY)[1], nnx.merge(graph, p["norm"])(current), atol=1e-10
    )
    assert jnp.abs(layer.synapse(p, (), x, KEY)[1] - current).max() > 0.1


LAYERS = {
    "dense": (bp.dense(4), (3, 5)),
    "conv": (bp.conv(4, 3, stride=2, padding=1), (2, 5, 5, 3)),
    "pooled": (bp.pooled(2, bp.conv(4, 2)), (2, 6, 6, 3)),
    "flattened": (bp.flattened(bp.dense(4)), (2, 3, 3, 2)),
    "group_normed": (bp.pooled(2, bp.group_normed(2, bp.conv(4, 2))), (2, 6, 6, 3)),
    "released": (
        bp.group_normed(2, bp.synaptic_release(bp.flattened(bp.dense(4)), 0.6)),
        (3, 5, 2),
    ),
}


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", LAYERS)
def test_credit_with_the_forward_weights_is_the_vjp(name):
    layer, shape = LAYERS[name]
    x = images(*shape)
    p, feedback = params_of(layer, x), params_of(layer, x, seed=2)

    @jax.jit
    def compute(p, feedback):
        current, pullback = jax.vjp(lambda p, h: layer.synapse(p, (), h, KEY)[1], p, x)
        signal = jnp.cos(jnp.arange(current.size)).reshape(current.shape)
        return (
            pullback(signal),
            layer.credit(p, p, (), x, KEY, signal),
            layer.credit(p, feedback, (), x, KEY, signal),
        )

    exact, credit, crossed = compute(p, feedback)
    assert all(jnp.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(exact[0]) if leaf.ndim > 1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), credit, exact)
    # feedback is not in the grads
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), crossed[0], exact[0])
    assert jnp.linalg.norm(crossed[1] - exact[1]) > 0.1 * jnp.linalg.norm(exact[1])


@pytest.mark.usefixtures("x64")
def test_feedback_through_a_group_norm_equals_the_hand_coded_one():
    x, y = images(3, 5, 5, 2), jnp.eye(3)
    stem = bp.conv(4, 3, bp.tanh(), padding=1)
    net = (
        stem,
        bp.group_normed(2, bp.conv(4, 3), epsilon=1e-5)._replace(neuron=bp.tanh()),
        bp.flattened(bp.dense(3)),
    )
    params = drawn(jax.eval_shape(lambda: bp.init(net, KEY, x)), 1)
    feedback: tuple = ((), *drawn(params[1:], 2))
    whole = tuple(layer._replace(credit=by_vjp(layer.synapse)) for layer in net)

    def crossed(op, x, w, b):
        return op(sg(x), w) + op(x, sg(b)) - sg(op(x, b))

    def by_hand(params):
        first, block, out = params
        h = jnp.tanh(convolved(x, first["w"], padding=1) + first["b"])
        a = (
            crossed(convolved, h, block["inner"]["w"], feedback[1]["inner"]["w"])
            + block["inner"]["b"]
        )
        groups = a.reshape(*a.shape[:-1], 2, 2)
        centred = groups - groups.mean((1, 2, 4), keepdims=True)
        a = (centred / jnp.sqrt((centred**2).mean((1, 2, 4), keepdims=True) + 1e-5)).reshape(
            a.shape
        )
        h = jnp.tanh(a * block["norm"]["scale"] + block["norm"]["bias"]).reshape(3, -1)
        return bp.cross_entropy(
            crossed(jnp.matmul, h, out["w"], feedback[2]["w"]) + out["b"], y
        ).mean()

    @jax.jit
    def compute(params):
        batch = bp.Batch(x, y)
        fa, wrong = (
            RULES["fa"](n, bp.cross_entropy).grad(params, State(feedback), batch, KEY)[0]
            for n in (net, whole)
        )
        return (
            fa,
            jax.grad(by_hand)(params),
            wrong,
            RULES["bp"](net, bp.cross_entropy).grad(params, (), batch, KEY)[0],
        )

    fa, oracle, wrong, backprop = compute(params)
    assert all(jnp.abs(leaf).max() > 1e-3 for leaf in jax.tree.leaves(fa) if leaf.ndim > 1)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), fa, oracle)
    # negative controls: B in place of W in the norm as well; no B at all
    for other in (wrong, backprop):
        assert jnp.linalg.norm(fa[0]["w"] - other[0]["w"]) > 0.1 * jnp.linalg.norm(fa[0]["w"])


def test_synaptic_noise_inside_other_layers_can_be_switched_off():
    x = images(2, 4, 4, 3)
    for wrap in (functools.partial(bp.pooled, 2), functools.partial(bp.group_normed, 2)):
        noisy, plain = wrap(bp.synaptic_release(bp.conv(4, 2), 0.5)), wrap(bp.conv(4, 2))
        p = params_of(plain, x)
        (off,) = bp.noise_mode((noisy,), "off")
        expected = plain.synapse(p, (), x, KEY)[1]
        assert jnp.array_equal(off.synapse(p, (), x, KEY)[1], expected)
        assert jnp.abs(noisy.synapse(p, (), x, KEY)[1] - expected).max() > 0.1


@pytest.mark.usefixtures("x64")
def test_mlp_and_cnn():
    net, x = bp.mlp([12, 6, 5, 3]), images(4, 2, 2, 3)  # images are flattened
    params = drawn(jax.eval_shape(lambda: bp.init(net, KEY, x)), 1)
    assert [p["w"].shape for p in params] == [(12, 6), (6, 5), (5, 3)]
    h = np.reshape(x, (4, 12))
    for l, p in enumerate(params):
        h = h @ p["w"] + p["b"]
        h = np.tanh(h) if l < 2 else h
    np.testing.assert_allclose(bp.forward(net, params, x, KEY).output, h, atol=1e-12)

    def count(x, padding):
        net = bp.cnn(10, padding=padding)
        params = jax.eval_shape(lambda: bp.init(net, KEY, x))
        return sum(leaf.size for leaf in jax.tree.leaves(params)), jax.eval_shape(
            lambda p: bp.forward(net, p, x, KEY).output, params
        ).shape

    assert count(jnp.zeros((2, 28, 28, 1)), 2) == (61_706, (2, 10))
    assert count(jnp.zeros((2, 32, 32, 3)), 0) == (62_006, (2, 10))


def test_weights_start_at_a_quarter_over_fan_in():
    w = bp.conv(200, 5).init(KEY, jnp.zeros((1, 8, 8, 4)))["w"]
    np.testing.assert_allclose(w.var(), 0.25 / 100, rtol=0.05)
    p = bp.dense(300).init(KEY, jnp.zeros((1, 100)))
    np.testing.assert_allclose(p["w"].var(), 0.25 / 100, rtol=0.05)
    assert not p["b"].any()


def test_wrong_shapes_are_refused():
    x = jnp.zeros((2, 5, 5, 3))

    def refused(message, function, *args):
        with pytest.raises(ValueError, match=message):
            function(*args)

    refused(r"expected \[B, n_in\]; flatten", bp.dense(3).init, KEY, x)
    refused(
        "5 features, the weights expect 4",
        bp.dense(3).synapse,
        params_of(bp.dense(3), x[:, 0, 0, :1] @ jnp.ones((1, 4))),
        (),
        x[:, :, 0, 0],
        KEY,
    )
    refused("expected images", bp.conv(4, 3).init, KEY, x[:, 0])
    refused("does not fit", bp.conv(4, 6).init, KEY, x)
    refused(
        "2 channels, the weights expect 3",
        bp.conv(4, 3).synapse,
        params_of(bp.conv(4, 3), x),
        (),
        x[..., :2],
        KEY,
    )
    refused("2x2 window", bp.pooled(2, bp.conv(4, 2)).init, KEY, x)
    refused(
        "4 channels do not divide into 3", bp.init, (bp.group_normed(3, bp.conv(4, 2)),), KEY, x
    )
    refused("at least", bp.mlp, [4])
    refused("at least", bp.mlp, [4, 0, 2])
    refused("built for 10 inputs", bp.init, bp.mlp([10, 3]), KEY, x)
    refused("1 entries for a net of 2", bp.forward, bp.mlp([4, 3, 2]), ({},), x, KEY)
