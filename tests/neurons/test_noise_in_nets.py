"""Noise in nets: silent noise is none, the backward pass sees the forward pass's sample, modes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.rules import RULES
from bioplaus.rules.feedback_alignment import State

pytestmark = pytest.mark.thorough

KEY = jax.random.key(3)
WINDOW = 4.0


def net_of(neuron, noise=lambda layer: layer):
    return (noise(bp.dense(5, neuron)), noise(bp.dense(3)))


def released(p):
    return functools.partial(bp.synaptic_release, p=p)


def of_vesicles(p, cv):
    return functools.partial(bp.quantal, p=p, sites=3, cv=cv)


def of_device(sigma):
    return functools.partial(bp.device_noise, sigma=sigma)


def of_credit(sigma):
    return functools.partial(bp.noisy_credit, sigma=sigma)


def problem():
    """Parameters and a batch for `net_of`."""
    rng = np.random.default_rng(0)
    x, *params = (
        jnp.asarray(rng.normal(0, 0.7, shape)) for shape in ((6, 4), (4, 5), (5,), (5, 3), (3,))
    )
    batch = bp.Batch(x, jax.nn.one_hot(jnp.arange(6) % 3, 3, dtype=x.dtype))
    return tuple({"w": w, "b": b} for w, b in (params[:2], params[2:])), batch


SILENT = {
    "gaussian": net_of(bp.gaussian(bp.tanh(), 0.0)),
    "multiplicative": net_of(bp.multiplicative(bp.tanh(), 0.0)),
    "gaussian_current": net_of(bp.gaussian_current(bp.tanh(), 0.0)),
    "correlated": net_of(bp.correlated(bp.tanh(), 0.0, 0.5)),
    "synaptic_release": net_of(bp.tanh(), released(1.0)),
    "quantal": net_of(bp.tanh(), of_vesicles(1.0, 0.0)),
    "device_noise": net_of(bp.tanh(), of_device(0.0)),
    "noisy_credit": net_of(bp.tanh(), of_credit(0.0)),
}
NOISY = {
    "gaussian": net_of(bp.gaussian(bp.tanh(), 0.5)),
    "multiplicative": net_of(bp.multiplicative(bp.tanh(), 0.5)),
    "gaussian_current": net_of(bp.gaussian_current(bp.tanh(), 0.5)),
    "correlated": net_of(bp.correlated(bp.tanh(), 0.5, 0.5)),
    "synaptic_release": net_of(bp.tanh(), released(0.7)),
    "quantal": net_of(bp.tanh(), of_vesicles(0.7, 0.5)),
    "device_noise": net_of(bp.tanh(), of_device(0.5)),
    "stacked": net_of(
        bp.multiplicative(bp.gaussian(bp.gaussian_current(bp.tanh(), 0.3), 0.2), 0.4),
        released(0.7),
    ),
}
UNLIKE = NOISY | {"noisy_credit": net_of(bp.tanh(), of_credit(0.5))}


@pytest.mark.parametrize("rule", ["bp", "fa"])
@pytest.mark.parametrize("name", SILENT)
def test_zero_noise_is_bit_identical_to_none(name, rule):
    plain = net_of(bp.tanh())
    params, batch = problem()

    def run(net):
        r = RULES[rule](net, bp.cross_entropy)
        state = (
            r.init(KEY, params, batch)
            if rule == "bp"
            else State(((), jax.tree.map(jnp.cos, params[1])))
        )
        return bp.forward(net, params, batch.x, KEY), r.grad(params, state, batch, KEY)[0]

    def same(a, b):
        return all(jax.tree.leaves(jax.tree.map(jnp.array_equal, a, b)))

    assert same(run(SILENT[name]), run(plain))
    assert not same(run(UNLIKE[name]), run(plain))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", NOISY)
def test_credit_sees_the_sample_of_the_forward_pass(name):
    net = NOISY[name]
    params, batch = problem()
    rule = RULES["bp"](net, bp.cross_entropy)

    def gradient(key):
        return jax.grad(
            lambda p: bp.cross_entropy(bp.forward(net, p, batch.x, key).output, batch.y).mean()
        )(params)

    grads = rule.grad(params, (), batch, KEY)[0]
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-14), grads, gradient(KEY)
    )
    other = gradient(jax.random.key(4))  # negative control: another key, another sample
    assert all(
        jnp.abs(a - b).max() > 1e-3
        for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(other), strict=True)
    )


@pytest.mark.usefixtures("x64")
def test_poisson_passes_the_credit_of_its_mean():
    """By hand: the sampled activities enter dW, and the derivative is that of f."""
    net = (bp.dense(5, bp.poisson(bp.tanh(), WINDOW)), bp.dense(3))
    params, batch = problem()
    trace = bp.forward(net, params, batch.x, KEY)
    h = trace.inputs[1]
    assert jnp.abs(h - jnp.tanh(trace.currents[0])).max() > 0.1
    error = (jax.nn.softmax(trace.output) - batch.y) / len(batch.x)
    signal = error @ params[1]["w"].T * (1 - jnp.tanh(trace.currents[0]) ** 2)
    grads = RULES["bp"](net, bp.cross_entropy).grad(params, (), batch, KEY)[0]
    np.testing.assert_allclose(grads[1]["w"], h.T @ error, atol=1e-12)
    np.testing.assert_allclose(grads[0]["w"], batch.x.T @ signal, atol=1e-12)
    assert jnp.abs(grads[0]["w"] - batch.x.T @ (error @ params[1]["w"].T * (1 - h**2))).max() > 1e-3


@pytest.mark.usefixtures("x64")
def test_feedback_weights_release_with_the_sample_of_the_weights():
    layer, eye = bp.synaptic_release(bp.dense(4), 0.5), jnp.eye(3)
    w, b, none = (
        jax.random.normal(KEY, (3, 4)),
        jax.random.normal(jax.random.key(1), (3, 4)),
        jnp.zeros(4),
    )
    released = layer.synapse({"w": w, "b": none}, (), eye, KEY)[1] / w
    assert set(np.unique(released.round(12))) == {0.0, 2.0}
    grads, below = layer.credit(
        {"w": w, "b": none}, {"w": b, "b": none}, (), jnp.ones((4, 3)), KEY, jnp.eye(4)
    )
    np.testing.assert_allclose(below, (released * b).T, atol=1e-12)
    # a synapse that did not release does not learn
    np.testing.assert_allclose(grads["w"], released, atol=1e-12)
    assert jnp.abs(below - b.T).max() > 0.1


def test_noise_modes_of_stacked_noises():
    params, batch = problem()

    def output(net, key=KEY):
        return bp.forward(net, params, batch.x, key).output

    noisy, plain = NOISY["stacked"], net_of(bp.tanh())
    assert jnp.array_equal(output(bp.noise_mode(noisy, "off")), output(plain))
    expected = output(
        bp.noise_mode(net_of(bp.gaussian_current(bp.tanh(), 0.3)), "mean")
    )  # the other noises have mean one or zero
    mean = bp.noise_mode(noisy, "mean")
    assert jnp.array_equal(output(mean), expected)
    assert jnp.array_equal(output(mean), output(mean, jax.random.key(9)))
    assert jnp.array_equal(output(bp.noise_mode(noisy, "on")), output(noisy))
    for quiet in (plain, mean):
        assert jnp.abs(output(noisy) - output(quiet)).max() > 1e-2
    assert jnp.abs(output(mean) - output(plain)).max() > 1e-4
    assert not jnp.array_equal(output(noisy), output(noisy, jax.random.key(9)))


def test_noise_mode_refuses_other_names():
    with pytest.raises(ValueError, match="expected 'on', 'off' or 'mean'"):
        bp.noise_mode(NOISY["gaussian"], "quiet")  # pyright: ignore[reportArgumentType]


def test_amplitudes_may_be_traced():
    def spread(sigma, p):
        net = net_of(bp.gaussian(bp.tanh(), sigma), released(p))
        params, batch = problem()
        return bp.forward(net, params, batch.x, KEY).output

    outputs = jax.vmap(spread)(jnp.array([0.0, 0.5]), jnp.array([1.0, 0.5]))
    params, batch = problem()
    np.testing.assert_allclose(
        outputs[0], bp.forward(net_of(bp.tanh()), params, batch.x, KEY).output, atol=1e-6
    )
    assert jnp.abs(outputs[1] - outputs[0]).max() > 0.1
