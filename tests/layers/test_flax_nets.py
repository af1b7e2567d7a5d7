"""Whole flax models as nets: how they are split into layers, and which are refused."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from flax_nets import KEY, distance

import bioplaus as bp
from bioplaus.layers.flax import from_flax
from bioplaus.rules import RULES

pytestmark = pytest.mark.thorough


def test_a_sequential_is_split_into_its_layers():
    """A Sequential gives the same layers as its parts one by one, as a module and as a callable.

    Control: feedback alignment on these layers is not backprop.
    """

    def model(rngs):
        return nnx.Sequential(
            nnx.Linear(4, 6, rngs=rngs),
            jnp.tanh,
            nnx.Linear(6, 5, rngs=rngs),
            jnp.tanh,
            jnp.sin,
            nnx.Linear(5, 3, rngs=rngs),
        )

    x = jax.random.normal(KEY, (8, 4))
    batch, made = bp.Batch(x, jax.nn.one_hot(jnp.arange(8) % 3, 3)), model(nnx.Rngs(0))
    for source in (made, model):
        net = from_flax(source)
        assert len(net) == 3
        params = bp.init(net, KEY, x)
        assert [p["kernel"].shape for p in params] == [(4, 6), (6, 5), (5, 3)]
        fa, true = RULES["fa"](net, bp.cross_entropy), RULES["bp"](net, bp.cross_entropy)
        grads = (
            fa.grad(params, fa.init(KEY, params, batch), batch, KEY)[0],
            true.grad(params, (), batch, KEY)[0],
        )
        assert [distance(a, b) > 0.1 for a, b in zip(*grads, strict=True)] == [True, True, False]
    own = tuple(
        nnx.to_pure_dict(nnx.state(part, nnx.Param))
        for part in made.layers
        if isinstance(part, nnx.Module)
    )
    np.testing.assert_allclose(bp.forward(from_flax(made), own, x, KEY).output, made(x), rtol=1e-6)
    assert len(from_flax(made, whole=True)) == 1


def test_a_module_of_several_weights_needs_whole():
    attention = nnx.MultiHeadAttention(2, 4, decode=False, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"holds 4 weight arrays.*whole=True"):
        from_flax(attention)
    assert len(from_flax(attention, whole=True)) == 1
    # its bias has two axes
    assert len(from_flax(nnx.LinearGeneral(4, (2, 3), rngs=nnx.Rngs(0)))) == 1


def test_linen_modules_are_refused_with_a_message():
    for wrong in (linen.Dense(3), linen.Dense, functools.partial(linen.Dense, 3)):
        with pytest.raises(ValueError, match=r"of flax.linen.*give modules of flax.nnx"):
            from_flax(wrong)  # type: ignore[arg-type]


def test_shared_weights_are_refused():
    one, other = (nnx.Linear(4, 4, rngs=nnx.Rngs(i)) for i in range(2))
    tied = nnx.Linear(4, 4, rngs=nnx.Rngs(2))
    tied.kernel = other.kernel
    for wrong in ((one, bp.tanh(), one), (nnx.Sequential(one, jnp.tanh, one),), (other, tied)):
        with pytest.raises(ValueError, match=r"shares (bias, )?kernel with a module before"):
            from_flax(*wrong)
    with pytest.raises(ValueError, match="shares"):
        from_flax(lambda rngs: nnx.Sequential(*[nnx.Linear(4, 4, rngs=rngs)] * 2))
    assert len(from_flax(one, bp.tanh(), other)) == 2


class Block(nnx.Module):
    """Two products and a nonlinearity between them."""

    def __init__(self, rngs):
        self.up, self.down = nnx.Linear(5, 7, rngs=rngs), nnx.Linear(7, 5, rngs=rngs)

    def __call__(self, x):
        return self.down(jnp.tanh(self.up(x)))


@pytest.mark.parametrize("key", ["fa", "frsf", "usf", "kp", "wm"])
def test_feedback_inside_a_first_block_equals_that_inside_a_later_one(key):
    """A block's inner gradient is the same whether it is the first layer or follows an identity.

    Both nets have the same feedback weights B. Control: backprop gives another gradient.
    """
    first = from_flax(Block, bp.tanh(), lambda rngs: nnx.Linear(5, 3, rngs=rngs))
    second = (bp.dense(5), *first)
    x = jax.random.normal(KEY, (8, 5))
    batch = bp.Batch(x, jax.nn.one_hot(jnp.arange(8) % 3, 3))
    params = bp.init(first, KEY, x)
    behind = ({"w": jnp.eye(5), "b": jnp.zeros(5)}, *params)
    rule, other = RULES[key](first, bp.cross_entropy), RULES[key](second, bp.cross_entropy)
    state = rule.init(KEY, params, batch)
    moved = other.init(KEY, behind, batch)
    moved = moved._replace(**{moved._fields[0]: ((), *state[0])})
    got, want = (
        rule.grad(params, state, batch, KEY)[0],
        other.grad(behind, moved, batch, KEY)[0][1:],
    )
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    true = RULES["bp"](first, bp.cross_entropy).grad(params, (), batch, KEY)[0]
    assert distance(got[0]["up"], true[0]["up"]) > 0.1
    if key == "fa":
        same = rule.grad(params, state._replace(feedback=params), batch, KEY)[0]
        assert distance(same, true) < 1e-5


def test_feedback_crosses_a_net_of_one_block():
    net = from_flax(Block, whole=True)
    x = jax.random.normal(KEY, (8, 5))
    batch, params = bp.Batch(x, jax.nn.one_hot(jnp.arange(8) % 5, 5)), bp.init(net, KEY, x)
    rule = RULES["fa"](net, bp.cross_entropy)
    grads = rule.grad(params, rule.init(KEY, params, batch), batch, KEY)[0]
    true = RULES["bp"](net, bp.cross_entropy).grad(params, (), batch, KEY)[0]
    assert distance(grads[0]["up"], true[0]["up"]) > 0.1
    assert distance(grads[0]["down"], true[0]["down"]) < 1e-6
