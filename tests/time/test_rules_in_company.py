"""Rules on nets over time under modulators, with gates of moments, and behind an encoder."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sequence_nets import KEY, NETS, B, C, N, T, X, Y, gradient, shapes

import bioplaus as bp
from bioplaus import encoders
from bioplaus.modulators import MODULATORS, modulate
from bioplaus.rules import RULES


@pytest.mark.parametrize("name", MODULATORS)
def test_modulators_give_gains_and_gates_that_time_takes(name):
    hyper = {"contexts": 2} if name == "context_gating" else {}
    factory = modulate(RULES["dfa"], MODULATORS[name](**hyper))
    net = NETS["recurrent LIF"]
    batch = bp.Batch(X, Y, {"task": jnp.arange(B) % 2})

    def run():
        params = bp.init(net, KEY, X)
        rule = factory(net, bp.cross_entropy)
        state = rule.init(KEY, params, batch)
        grads, state, info = rule.grad(params, state, batch, KEY)
        return params, grads, rule.predict(params, state, X, KEY, batch.context), info

    params, grads, answer, info = jax.eval_shape(run)
    assert shapes(grads) == shapes(params)
    assert answer.shape == (B, C)
    assert info["gate"].shape == ()


def test_a_modulated_rule_refuses_what_the_rule_refuses():
    with pytest.raises(ValueError, match="moves no spike"):
        modulate(RULES["ep"], MODULATORS["dopamine"]())(NETS["LIF"], bp.cross_entropy)


def test_gates_of_moments():
    """Two gates of moments that add up to 1 give gradients that add up to the whole."""
    net = NETS["recurrent LIF"]
    params = bp.init(net, KEY, X)
    first = (jnp.arange(T) < 2).astype(X.dtype)[None, :, None] * jnp.ones((B, 1, 1))

    @jax.jit
    def run(gate):
        gates = (gate, gate, None)
        found = {}
        for key in ("bp", "dfa", "local_pred"):
            rule = RULES[key](net, bp.cross_entropy)
            state = rule.init(KEY, params, bp.Batch(X, Y))
            found[key] = rule.grad(params, state, bp.Batch(X, Y), KEY, gates)[0][:2]
        return found

    early, late, whole = (jax.tree.leaves(run(g)) for g in (first, 1 - first, 0 * first + 1))
    for a, b, c in zip(early, late, whole, strict=True):
        assert np.allclose(a + b, c, atol=1e-6)
    assert not np.allclose(early[1], whole[1])  # control


def test_a_rule_is_given_what_an_encoder_sends():
    """Behind an encoder rules learn from the spikes that the net receives, in every pullback."""
    net, analog = NETS["LIF"], jax.random.uniform(KEY, (B, N))
    front = encoders.in_front(net, encoders.bernoulli(T))
    spikes = encoders.received(front, analog, KEY)
    hyper = {"threefactor": {"decay": 0.5}, "hebb": {}, "ff": {}}

    @functools.partial(jax.jit, static_argnums=0)
    def run(net, x):
        return {k: gradient(k, net, bp.Batch(x, Y), **h) for k, h in hyper.items()}

    got, want, other = run(front, analog), run(net, spikes), run(net, X)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert np.allclose(a, b, atol=1e-6)
    for key in hyper:  # control
        assert not np.allclose(other[key][0]["w"], want[key][0]["w"], atol=1e-6), key
