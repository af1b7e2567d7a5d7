"""Attention: its gains against the equations, what the context selects, and what is refused."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.modulators import feature_attention, modulate, spatial_attention
from bioplaus.neurons import divisive
from bioplaus.rules import RULES

KEY, B = jax.random.key(0), 4
NET = (bp.conv(3, 2, bp.relu()), bp.flattened(bp.dense(2)))
X = jax.random.normal(KEY, (B, 6, 5, 1))
Y = jax.nn.one_hot(jnp.arange(B) % 2, 2)
PLACES = np.array([[0.0, 1.0], [3.5, 2.0]])
PREFERENCE = np.array([[0.5, -0.5, 0.0], [-1.0, 0.0, 1.0]])
WHERE = jnp.array([0, 1, 1, 0])


def gains(modulator, context, shape=(B, 5, 4, 3)):
    """Of the first of two layers with currents of that shape."""
    currents = tuple(jax.ShapeDtypeStruct(s, "float32") for s in (shape, (B, 2)))
    first, last = modulator.gain(modulator.init(KEY, currents), context)
    assert last == bp.Gain()
    assert jnp.array_equal(first.offset, 0)
    assert jnp.array_equal(first.out, 1)
    return np.asarray(first.scale)


@pytest.mark.parametrize("floor", [0.0, 0.3])
def test_spatial_gains_are_the_equation(floor):
    found = gains(spatial_attention(0, PLACES, width=1.5, floor=floor), {"place": WHERE})
    assert found.shape == (B, 5, 4, 1)
    for b, c in enumerate(np.asarray(WHERE)):
        for i in range(5):
            for j in range(4):
                away = (i - PLACES[c][0]) ** 2 + (j - PLACES[c][1]) ** 2
                want = floor + (1 - floor) * np.exp(-away / (2 * 1.5**2))
                np.testing.assert_allclose(found[b, i, j, 0], want, rtol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.3


def test_over_time_a_place_keeps_its_axes():
    still = gains(spatial_attention(0, PLACES, width=1.5), {"place": WHERE})
    moving = gains(spatial_attention(0, PLACES, width=1.5), {"place": WHERE}, (B, 7, 5, 4, 3))
    np.testing.assert_array_equal(moving, still[:, None])


@pytest.mark.parametrize("shape", [(B, 3), (B, 5, 4, 3)])
def test_feature_gains_are_the_equation(shape):
    found = gains(feature_attention(0, PREFERENCE, strength=2.0), {"feature": WHERE}, shape)
    assert found.ndim == len(shape)
    want = np.exp(2 * PREFERENCE)[np.asarray(WHERE)]
    np.testing.assert_allclose(found.reshape(B, 3), want, rtol=1e-6)
    assert np.abs(found - gains(feature_attention(0, PREFERENCE), {"feature": WHERE}, shape)).max()


def run(modulator, context, rule="bp"):
    batch = bp.Batch(X, Y, context)
    rule = modulate(RULES[rule], modulator)(NET, bp.cross_entropy)
    params = bp.init(NET, KEY, X)
    state = rule.init(KEY, params, batch)
    return rule.predict(params, state, X, KEY, context), rule.grad(params, state, batch, KEY)[0]


@pytest.mark.parametrize(
    ("neutral", "acting", "key"),
    [
        (
            spatial_attention(0, PLACES, width=1.0, floor=1.0),
            spatial_attention(0, PLACES, width=1.0, floor=0.5),
            "place",
        ),
        (
            feature_attention(0, PREFERENCE, strength=0.0),
            feature_attention(0, PREFERENCE, strength=0.5),
            "feature",
        ),
    ],
)
def test_a_gain_of_one_changes_nothing_and_another_does(neutral, acting, key):
    params = bp.init(NET, KEY, X)
    rule = RULES["fa"](NET, bp.cross_entropy)
    state = rule.init(KEY, params, bp.Batch(X, Y))
    plain = rule.predict(params, state, X, KEY), rule.grad(params, state, bp.Batch(X, Y), KEY)[0]
    for modulator, same in ((neutral, True), (acting, False)):
        for a, b in zip(
            *map(jax.tree.leaves, (plain, run(modulator, {key: WHERE}, "fa"))), strict=True
        ):
            assert np.allclose(a, b, rtol=1e-6, atol=1e-7) == same


def test_with_rectifiers_attention_scales_the_input_of_the_next_layer():
    """relu(A a) = A relu(a): the output is that of a net whose hidden activity is multiplied."""
    answer, grads = run(spatial_attention(0, PLACES, width=1.0), {"place": WHERE})
    params = bp.init(NET, KEY, X)
    field = gains(spatial_attention(0, PLACES, width=1.0), {"place": WHERE})

    def loss(params, field):
        hidden = jax.nn.relu(bp.forward(NET, params, X, KEY).currents[0]) * field
        output = hidden.reshape(B, -1) @ params[1]["w"] + params[1]["b"]
        return bp.cross_entropy(output, Y).mean(), output

    (_, want), truth = jax.value_and_grad(loss, has_aux=True)(params, field)
    np.testing.assert_allclose(answer, want, rtol=1e-4, atol=1e-6)
    for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(truth), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    assert not np.allclose(answer, loss(params, 1.0)[1], rtol=1e-2)


def test_a_context_out_of_range_is_not_silent():
    context = {"place": jnp.array([-1, 0, 1, 2])}
    found = gains(spatial_attention(0, PLACES, width=1.0), context)
    np.testing.assert_array_equal(np.isnan(found).all((1, 2, 3)), [True, False, False, True])
    np.testing.assert_array_equal(np.isnan(found).any((1, 2, 3)), [True, False, False, True])


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ((), "the batch's context has no entries, and 'place' is read"),
        ({"task": WHERE}, "the batch's context has 'task', and 'place' is read"),
        ({"place": WHERE.astype(float)}, r"context\['place'\] is float32\[4\]"),
        ({"place": WHERE[:, None]}, r"context\['place'\] is int32\[4, 1\]"),
    ],
)
def test_no_usable_context_is_an_error(context, said):
    with pytest.raises(ValueError, match=f"spatial_attention: {said}; expected int"):
        run(spatial_attention(0, PLACES, width=1.0), context)


def test_the_key_is_declared():
    moved = spatial_attention(0, PLACES, width=1.0, key="elsewhere")
    want = gains(spatial_attention(0, PLACES, width=1.0), {"place": WHERE})
    np.testing.assert_array_equal(gains(moved, {"elsewhere": WHERE, "place": 1 - WHERE}), want)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: spatial_attention(0, PLACES[0], width=1.0), r"\[2\], expected places \[K, D\]"),
        (lambda: spatial_attention(0, PLACES, width=0.0), "width"),
        (lambda: spatial_attention(0, PLACES, width=1.0, floor=1.5), "floor"),
        (lambda: spatial_attention(-1, PLACES, width=1.0), "layer"),
        (lambda: run(spatial_attention(2, PLACES, width=1.0), {}), "no layer 2 in a net of 2"),
        (lambda: run(spatial_attention(1, PLACES, width=1.0), {}), "without 2 axes of positions"),
        (lambda: feature_attention(0, PREFERENCE[0]), r"\[3\], expected preference \[K, n\]"),
        (lambda: run(feature_attention(0, PLACES), {}), r"layer 0 has 3; give \[K, 3\]"),
        (lambda: divisive(bp.relu(), 0.0), "sigma"),
        (lambda: divisive(cast(Any, bp.relu), 1.0), "expected a neuron"),
    ],
)
def test_bad_input_is_told_in_one_line(made, said):
    with pytest.raises(ValueError, match=said) as error:
        made()
    assert "\n" not in str(error.value)
