"""Layers that hear a context at each moment, against loops by hand and pieces of sequences."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus.train import make_train

KEY, B, T, K = jax.random.key(0), 4, 6, 2


def contextual(layer):
    return bp.contextual(layer, K)


NET = (
    bp.over_time(contextual(bp.dense(5, bp.leaky(5.0)))),
    bp.recurrent(contextual(bp.dense(4, bp.leaky(4.0))), contextual(bp.dense(4))),
    bp.after(bp.mean_over_time, contextual(bp.dense(3))),
)
ONLINE = (
    bp.over_time(contextual(bp.dense(5, bp.lif(5.0)))),
    bp.over_time(contextual(bp.dense(3, bp.leaky(4.0)))),
)


@pytest.fixture
def problem(x64):
    """(params, batch) of NET's first two layers and a readout that hears the first moment only."""
    del x64
    draw = np.random.default_rng(2)
    x, z = (jnp.asarray(draw.standard_normal((B, T, n))) for n in (3, K))
    y = jax.nn.one_hot(jnp.arange(B) % 3, 3, dtype=x.dtype)
    net = (*NET[:2], bp.after(bp.mean_over_time, bp.dense(3)))
    params = bp.init(net, KEY, x)
    leaves, tree = jax.tree.flatten(params)
    params = tree.unflatten([a + 0.3 * draw.standard_normal(a.shape) for a in leaves])
    return net, params, bp.Batch(x, y, {"cue": z})


def gained(q, a, z):
    a = a @ q["inner"]["w"] + q["inner"]["b"]
    return (1 + z @ q["gains"]["scale"]) * a + z @ q["gains"]["bias"]


def by_hand(params, x, z, y):
    """The loss of the net of `problem`, one moment after the other."""
    first, second, readout = params
    v, own, total = jnp.zeros((B, 5)), jnp.zeros((B, 4)), 0.0
    a, b = np.exp(-1 / 5), np.exp(-1 / 4)
    for t in range(T):
        v = a * v + (1 - a) * gained(first, x[:, t], z[:, t])
        heard = gained(second["in"], v, z[:, t]) + gained(second["back"], own, z[:, t])
        own = b * own + (1 - b) * heard
        total = total + own / T
    return bp.cross_entropy(total @ readout["w"] + readout["b"], y).mean()


def distance(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(jnp.abs(u - v).max() / jnp.abs(v).max()) for u, v in pairs)


def test_gradients_are_those_of_a_loop_by_hand(problem):
    """Backprop, and feedback alignment with the weights as feedback; not in other moments'
    contexts, nor with random feedback."""
    net, params, batch = problem
    slope = jax.jit(jax.grad(by_hand))
    z = batch.context["cue"]
    true, other = (slope(params, batch.x, c, batch.y) for c in (z, z[:, ::-1]))
    bptt = bp.rules.backprop(net, bp.cross_entropy)
    grad = jax.jit(bptt.grad)
    assert distance(grad(params, (), batch, KEY)[0], true) < 1e-12
    assert distance(other, true) > 0.1
    rule = bp.rules.feedback_alignment(net, bp.cross_entropy)
    drawn = rule.init(KEY, params, batch)
    aligned = drawn._replace(feedback=((), *params[1:]))
    grads = [jax.jit(rule.grad)(params, s, batch, KEY)[0] for s in (aligned, drawn)]
    assert distance(grads[0], true) < 1e-12
    assert distance(grads[1], true) > 0.5
    still = [
        grad(params, (), batch._replace(context={"cue": c}), KEY)[0]
        for c in (z[:, 0], jnp.repeat(z[:, :1], T, 1))
    ]  # one for all moments, or at each
    jax.tree.map(np.testing.assert_array_equal, *still)
    assert distance(still[0], true) > 0.1


def test_pieces_give_what_the_whole_gives(problem):
    net, params, batch = problem
    z = batch.context["cue"]

    @jax.jit
    def advance(pasts, x, z):
        return bp.advance(bp.in_context(net[:2], {"cue": z}), params[:2], pasts, x, KEY)

    whole = advance(None, batch.x, z)[1].output
    pasts, first = advance(None, batch.x[:, :3], z[:, :3])
    second = advance(pasts, batch.x[:, 3:], z[:, 3:])[1].output
    pieces = jnp.concatenate([first.output, second], 1)
    np.testing.assert_allclose(pieces, whole, rtol=1e-12, atol=1e-14)
    other = advance(pasts, batch.x[:, 3:], z[:, :3])[1].output
    assert jnp.abs(other - second).max() > 0.01


def test_training_on_pieces_cuts_the_context_with_them(x64):
    """Without a change of weights the losses of pieces add up to that of the whole."""
    del x64
    draw = np.random.default_rng(3)
    x, z = (jnp.asarray(draw.standard_normal((B, T, n))) for n in (3, K))
    y = jax.nn.one_hot(jnp.asarray(draw.integers(0, 3, (B, T))), 3, dtype=x.dtype)
    loss = bp.at_each_moment(bp.cross_entropy)
    rule = bp.rules.rtrl(ONLINE, loss)

    def first_loss(z, online):
        batch = bp.Batch(x, y, {"cue": z, "task": jnp.arange(B)})
        train = make_train(ONLINE, rule, optax.sgd(0.0), batch, batch_size=B, online=online)
        state = train.init(jax.random.key(1))
        params = jax.tree.map(lambda a: a + 0.3, state.params)
        return float(train.advance(state._replace(params=params), 1)[1]["loss"][0])

    whole = first_loss(z, None)
    assert abs(first_loss(z, 2) / whole - 1) < 1e-12
    assert abs(first_loss(z, 4) / whole - 1) < 1e-12
    assert abs(first_loss(z[:, ::-1], 2) / whole - 1) > 1e-3


def test_a_context_of_other_moments_is_refused(problem):
    net, params, batch = problem
    context = {"cue": batch.context["cue"][:, :4]}
    with pytest.raises(ValueError, match=r"real numbers, \[B, 2\], or \[B, T, 2\] under time"):
        bp.rules.backprop(net, bp.cross_entropy).grad(
            params, (), batch._replace(context=context), KEY
        )
