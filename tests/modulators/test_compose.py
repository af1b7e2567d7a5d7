"""`compose`: the laws of a commutative monoid, on gates of every shape and on gains."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus.modulators import (
    acetylcholine,
    compose,
    context_gating,
    dopamine,
    noradrenaline,
    threshold,
    unmodulated,
)
from bioplaus.modulators.compose import product
from bioplaus.types import Gain, Modulator, Signals

B, N = 4, 3
CURRENTS = (jax.ShapeDtypeStruct((B, N), "float32"), jax.ShapeDtypeStruct((B, 2), "float32"))
CONTEXT = {"task": jnp.arange(B) % 2}
SIGNALS = Signals(*jax.random.uniform(jax.random.key(0), (4, B)))
KEY = jax.random.key(1)


def behaviour(modulator):
    """What two steps of a modulator do to gates and gains: arrays in the order of the contract."""
    state = modulator.init(KEY, CURRENTS)
    state, first = modulator.gate(state, SIGNALS)
    _, second = modulator.gate(state, SIGNALS)
    gates = [product(g, (jnp.ones(B), jnp.ones(B))) for g in (first, second)]
    gains = modulator.gain(state, CONTEXT)
    assert len(gains) == len(CURRENTS)
    return [np.asarray(leaf) for leaf in jax.tree.leaves((gates, gains))]


def agree(a, b, rtol):
    pairs = zip(behaviour(a), behaviour(b), strict=True)
    return all(x.shape == y.shape and np.allclose(x, y, rtol=rtol, atol=0) for x, y in pairs)


PARTS = (
    dopamine(),
    acetylcholine(),
    noradrenaline(z0=-2.0),
    context_gating(2, keep=0.5),
    threshold(0.5),
)


@pytest.mark.parametrize("part", PARTS)
def test_unmodulated_is_the_identity(part):
    assert agree(compose(unmodulated(), part), part, rtol=0)
    assert agree(compose(part, unmodulated()), part, rtol=0)
    assert not agree(part, unmodulated(), rtol=1e-3)


def test_associative_and_commutative():
    a, b, c = acetylcholine(), noradrenaline(z0=-2.0), dopamine()
    assert agree(compose(compose(a, b), c), compose(a, compose(b, c)), rtol=1e-6)
    for order in itertools.permutations((a, b, c)):
        assert agree(compose(*order), compose(a, b, c), rtol=1e-6)
    assert not agree(compose(a, b), compose(a, c), rtol=1e-3)


def test_scales_and_outputs_multiply_and_offsets_add():
    def fixed(gain):
        return Modulator(
            lambda key, currents: (),
            lambda state, context: (gain,),
            lambda state, signals: (state, None),
        )

    both = compose(
        fixed(Gain(2.0, 0.5, jnp.arange(N))), fixed(Gain(jnp.ones((B, 1)) * 3, -2.0, 0.5))
    )
    (gain,) = both.gain(((), ()), ())
    np.testing.assert_array_equal(gain.scale, 6.0)
    np.testing.assert_array_equal(gain.offset, -1.5)
    np.testing.assert_array_equal(gain.out, np.arange(N) / 2)


def test_gates_of_every_shape_multiply():
    # square: a wrong axis would pass
    per_example, per_unit = jnp.arange(1.0, B + 1), jnp.arange(1.0, B * B + 1).reshape(B, B)
    assert product(None, None) is None
    assert product(2.0, None) == 2.0
    assert product(2.0, 3.0) == 6.0
    np.testing.assert_array_equal(product(per_example, per_unit), per_example[:, None] * per_unit)
    np.testing.assert_array_equal(product(per_unit, per_example), per_example[:, None] * per_unit)
    layers = product((2.0, None), per_example)
    assert isinstance(layers, tuple)
    np.testing.assert_array_equal(jnp.asarray(layers[0]), 2 * per_example)
    assert layers[1] is per_example


def test_errors():
    with pytest.raises(ValueError, match="no modulators"):
        compose()
    with pytest.raises(ValueError, match="one entry per layer"):
        product((1.0, 2.0), (1.0, 2.0, 3.0))
