"""Rules on units of two compartments, whose currents have an axis more than their outputs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.net import fire
from bioplaus.rules import RULES

B, T, N, C = 4, 6, 5, 3
KEY = jax.random.key(0)
WIDE = jax.nn.initializers.normal(0.8)
X = (np.random.default_rng(1).random((B, T, N)) < 0.5).astype(float)
Y = np.eye(C)[np.arange(B) % C]


def hidden(n):
    return bp.over_time(bp.basal(bp.dense(n, bp.two_compartment(), weights=WIDE)))


def learned(net, rule, batch):
    params = bp.init(net, KEY, batch.x)
    return params, rule.grad(params, rule.init(KEY, params, batch), batch, KEY)[0]


def test_units_of_two_compartments_have_two_currents_and_one_output(x64):
    """What rules keep for units has the shape of outputs. With one hidden layer, direct feedback
    alignment at B = W_2^T and burstprop at B = W_2 are backprop; at another B they are not."""

    deep = (hidden(6), hidden(5), bp.after(bp.mean_over_time, bp.dense(C)))
    batch = bp.Batch(jnp.asarray(X), jnp.asarray(Y))
    for (
        key
    ) in "drtp local_pred local_losses clapp sigprop phsic ff np threefactor guerguiev".split():
        rule = RULES[key](deep, bp.cross_entropy)
        params, grads = jax.eval_shape(functools.partial(learned, deep, rule, batch))
        assert params == grads, key

    net = (deep[0], deep[2])
    params = bp.init(net, KEY, batch.x)
    dfa, bp_ = (RULES[key](net, bp.cross_entropy) for key in ("dfa", "bp"))
    burst = RULES["burstprop"](net, bp.cross_entropy, nudge=1e-6)
    states = dfa.init(KEY, params, batch), burst.init(KEY, params, batch)
    aligned = type(states[0])((params[1]["w"].T,)), type(states[1])(((), params[1]))

    @jax.jit
    def run(states):
        pairs = zip((dfa, burst), states, strict=True)
        return [rule.grad(params, s, batch, KEY)[0][0]["w"] for rule, s in pairs]

    want = jax.jit(bp_.grad)(params, (), batch, KEY)[0][0]["w"]
    assert all(np.allclose(got, want, rtol=1e-5, atol=1e-9) for got in run(aligned))
    assert not any(np.allclose(got, want, rtol=1e-2) for got in run(states))


def test_scale_and_offset_fit_the_currents_and_out_the_output():
    """By hand: the layer's own currents, changed, through the neurons, and their output changed."""
    layer, x = hidden(6), jnp.asarray(X)
    params = bp.init((layer,), KEY, x)
    draw = np.random.default_rng(2)
    scale, offset, out = (
        jnp.asarray(draw.uniform(0.5, 1.5, shape)) for shape in ((2,), (B, T, 6, 2), (6,))
    )

    def found(**gain):
        return bp.forward(bp.with_gain((layer,), (bp.Gain(**gain),)), params, x, KEY)

    for gain, what in (({"out": out[:4]}, "output"), ({"scale": out}, "current")):
        with pytest.raises(ValueError, match=f"gain: got shape .* where a layer's {what} is"):
            found(**gain)
    plain = found()
    changed = fire(layer, plain.currents[0] * scale + offset, KEY)
    assert changed.sum() > 0
    for each in (out, out * jnp.ones((B, 1, 1)), out * jnp.ones((B, T, 1))):
        got = found(scale=scale, offset=offset, out=each).output
        assert float(jnp.abs(got - changed * out).max()) < 1e-6
    assert float(jnp.abs(plain.output * out - changed * out).max()) > 0.1  # control: no scale
    lost = found(out=jnp.arange(6.0) > 2).output
    assert not lost[..., :3].any()
    assert plain.output[..., :3].any()
