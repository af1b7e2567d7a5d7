"""Rules on units of two compartments, whose currents have an axis more than their outputs."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

import bioplaus as bp
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
