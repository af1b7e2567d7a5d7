"""Differentiable plasticity: gradients of loops by hand, and memory of one sequence."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus.train import make_train

pytestmark = pytest.mark.slow

KEY, B, T = jax.random.key(0), 4, 5


def net_of(modulated):
    hidden = bp.over_time(bp.dense(4, bp.tanh()))
    plastic = bp.over_time(bp.plastic(5, bp.tanh(), modulated=modulated))
    return hidden, plastic, bp.after(bp.last_moment, bp.dense(3))


@pytest.fixture(params=[False, True], ids=["trace", "modulated"])
def problem(request, x64):
    """(modulated, params, batch)."""
    draw = np.random.default_rng(4)
    x = jnp.asarray(draw.standard_normal((B, T, 3)))
    params = bp.init(net_of(request.param), KEY, x)
    params = jax.tree.map(lambda a: a + 0.4 * jnp.asarray(draw.standard_normal(a.shape)), params)
    if request.param:  # much is written: traces reach their bounds
        params[1]["m"] *= 8
    y = jax.nn.one_hot(jnp.arange(B) % 3, 3, dtype=x.dtype)
    return request.param, params, bp.Batch(x, y)


def by_hand(params, batch, modulated, plastic=1.0):
    """The loss, one moment after the other. plastic: factor on alpha."""
    first, q, readout = params
    trace, h = jnp.zeros((B, 4, 5)), jnp.zeros((B, 5))
    for t in range(T):
        x = jnp.tanh(batch.x[:, t] @ first["w"] + first["b"])
        w = q["w"] + plastic * q["alpha"] * trace
        h = jnp.tanh(jnp.stack([x[i] @ w[i] for i in range(B)]) + q["b"])
        pairs = jnp.stack([jnp.outer(x[i], h[i]) for i in range(B)])
        if modulated:
            written = jnp.outer(jnp.tanh(h @ q["u"]), q["m"])
            trace = jnp.clip(trace + written[:, None] * pairs, -1, 1)
        else:
            trace = (1 - q["eta"]) * trace + q["eta"] * pairs
    return bp.cross_entropy(h @ readout["w"] + readout["b"], batch.y).mean()


def distance(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(jnp.abs(u - v).max() / jnp.abs(v).max()) for u, v in pairs)


def test_backprop_is_that_of_a_loop_by_hand(problem):
    """Feedback alignment with the weights as feedback too; not with others, nor without alpha."""
    modulated, params, batch = problem
    net = net_of(modulated)
    slope = jax.jit(jax.grad(by_hand), static_argnums=2)
    true = slope(params, batch, modulated)
    grads = jax.jit(bp.rules.backprop(net, bp.cross_entropy).grad)(params, (), batch, KEY)[0]
    assert distance(grads, true) < 1e-12
    rule = bp.rules.feedback_alignment(net, bp.cross_entropy)
    drawn = rule.init(KEY, params, batch)
    aligned = drawn._replace(feedback=((), *params[1:]))
    found = [jax.jit(rule.grad)(params, s, batch, KEY)[0] for s in (aligned, drawn)]
    assert distance(found[0], true) < 1e-12
    assert distance(found[1], true) > 0.5
    rigid = slope(params, batch, modulated, 0.0)
    assert distance(rigid[1]["w"], true[1]["w"]) > 0.01
    assert all(jnp.abs(g).max() > 1e-6 for g in jax.tree.leaves(true))


def test_pieces_give_what_the_whole_gives(problem):
    modulated, params, batch = problem
    net = net_of(modulated)[:2]
    advance = jax.jit(lambda pasts, x: bp.advance(net, params[:2], pasts, x, KEY))
    whole = advance(None, batch.x)[1].output
    pasts, first = advance(None, batch.x[:, :3])
    second = advance(pasts, batch.x[:, 3:])[1].output
    pieces = jnp.concatenate([first.output, second], 1)
    np.testing.assert_allclose(pieces, whole, rtol=1e-12, atol=1e-14)
    again = advance(None, batch.x[:, 3:])[1].output  # negative control: from rest
    assert jnp.abs(again - second).max() > 1e-3


def test_one_showing_is_enough():
    """Two keys with a label each, then one of the keys: plastic synapses answer, others guess."""
    n, d = 512, 10
    draw = np.random.default_rng(5)
    keys = draw.choice([-1.0, 1.0], (n, 2, d))
    labels, asked = draw.permuted(np.tile([0, 1], (n, 1)), axis=1), draw.integers(0, 2, n)
    shown = np.concatenate([keys, np.eye(2)[labels]], 2)
    query = np.concatenate([keys[np.arange(n), asked], np.zeros((n, 2))], 1)
    x = jnp.asarray(np.concatenate([shown, query[:, None]], 1), jnp.float32)
    y = jax.nn.one_hot(labels[np.arange(n), asked], 2)
    half = n // 2

    def tested(layer):
        net = (bp.over_time(layer), bp.after(bp.last_moment, bp.dense(2)))
        rule = bp.rules.backprop(net, bp.cross_entropy)
        train = make_train(net, rule, optax.adam(0.03), bp.Batch(x[:half], y[:half]))
        state = train.advance(train.init(jax.random.key(0)), 250)[0]
        output = rule.predict(state.params, (), x[half:], KEY)
        return float((output.argmax(-1) == y[half:].argmax(-1)).mean())

    assert tested(bp.plastic(6)) > 0.95
    assert tested(bp.plastic(6, modulated=True)) > 0.95
    assert tested(bp.dense(6, bp.tanh())) < 0.65


def test_wrong_uses_are_refused():
    with pytest.raises(ValueError, match="plastic: the neurons have a state"):
        bp.plastic(4, bp.lif())
    with pytest.raises(ValueError, match="eta: expected a number at least 0 and at most 1"):
        bp.plastic(4, eta=2.0)
    layer = bp.plastic(4)
    params = layer.init(KEY, jnp.ones((2, 3)))
    with pytest.raises(ValueError, match="the synapses of a layer have a state, which needs time"):
        bp.forward((layer,), (params,), jnp.ones((2, 3)), KEY)
    with pytest.raises(ValueError, match=r"plastic: the input of a moment is \(2, 3, 3\)"):
        bp.init((bp.over_time(layer),), KEY, jnp.ones((2, 5, 3, 3)))
