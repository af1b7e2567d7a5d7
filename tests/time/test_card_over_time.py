"""The plausibility card over time: what goes back through moments, and what memory grows with them.

Two algorithms for one gradient, BPTT and traces that run forward, get different cards.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.measure import card, describe
from bioplaus.support import needs_time

KEY = jax.random.key(0)
SIZES = (6, 5, 4, 3)
LAST = bp.after(bp.mean_over_time, bp.dense(3))
FORWARD = (bp.over_time(bp.dense(5, bp.lif())), bp.over_time(bp.dense(4, bp.alif())), LAST)
LOOP = (bp.recurrent(bp.dense(5, bp.alif()), bp.dense(5)), FORWARD[1], LAST)


def shaped(*shape):
    return jax.eval_shape(lambda: bp.Batch(jnp.zeros(shape), jnp.zeros((shape[0], 3))))


def found(name, net, moments):
    rule = (bp.rules.RULES | bp.rules.BASELINES)[name](net, bp.cross_entropy)
    return card(rule, net, shaped(2, moments, 6))


@pytest.mark.parametrize("moments", [4, 7])
def test_what_goes_back_through_the_moments(moments):
    """BPTT goes through the moments of each layer above; direct feedback through the own alone."""
    inputs = sum(SIZES[:2])  # x and the spikes of layer 1, which the updates of layers 1, 2 read
    for name, back in {
        "bp": (2 * moments, moments, 0),
        "fa": (2 * moments, moments, 0),
        "dfa": (moments, moments, 0),
    }.items():
        assert found(name, FORWARD, moments).over_time == (moments, back, moments * inputs), name
    last = (*FORWARD[:2], bp.after(bp.last_moment, bp.dense(3)))
    # the readout reads spikes of layer 2 as well, but need not wait for it
    assert found("bp", last, moments).over_time == (
        moments,
        (2 * moments, moments, 0),
        moments * inputs,
    )
    for name in ("hebb", "frozen"):
        assert found(name, FORWARD, moments).over_time == (moments, (0, 0, 0), 0), name


@pytest.mark.parametrize("moments", [4, 7])
def test_rules_that_need_time(moments):
    """Spikes meet what is left of others at the synapse; rewards are gathered from the last moment
    to the first, in place of a trace for each synapse. Nothing comes from another layer.
    """
    back = {"stdp": (0, 0, 0), "rstdp": (moments, moments, 0)}
    assert back.keys() == {key for key, rule in bp.rules.RULES.items() if needs_time(rule)}
    for name in back:
        for net, deeper in ((FORWARD, 0), (LOOP, moments - 1)):
            card = found(name, net, moments)
            assert card.over_time == (moments, back[name], 0), name
            assert (card.transport_words, card.feedback_words, card.crossed) == (0, 0, (0, 0, 0))
            assert (card.forward_passes, card.random) == (1.0, 0)
            assert card.locking == tuple(l + deeper for l in (2, 3, 4))


@pytest.mark.parametrize("moments", [4, 7])
def test_recurrent_layers(moments):
    """What a layer hears of itself is held as well; moments are no settling, but lock products."""
    one = found("bp", LOOP, moments)
    assert one.over_time == (moments, (2 * moments, moments, 0), moments * (6 + 5 + 5))
    assert one.settling_steps == 0
    assert one.locking[0] - found("bp", FORWARD, moments).locking[0] >= 2 * moments - 2


def online(net, loss):
    """The gradient of a layer of leaky integrators by traces of its inputs, as the moments come."""
    taught = bp.rules.backprop(net, loss)
    a = jnp.exp(-1 / 20.0)

    def grad(params, state, batch, key, gate: Any = None):
        w, b = params[0]["w"], params[0]["b"]
        moments = batch.x.shape[1]

        def moment(carry, at):
            v, trace, dw, db, t = carry
            x, y = at
            with jax.named_scope("forward"):
                v = a * v + (1 - a) * (x @ w + b)
            with jax.named_scope("update"):
                trace = a * trace + (1 - a) * x
                error = (jax.nn.softmax(v) - y) / len(x)
                bias = 1 - a ** (t + 1)  # the trace of an input of 1
                return (v, trace, dw + trace.T @ error, db + bias * error.sum(0), t + 1), ()

        start = (jnp.zeros((len(batch.x), 3)), jnp.zeros_like(batch.x[:, 0]), 0 * w, 0 * b, 0.0)
        with jax.named_scope("moments"):
            ys = jnp.broadcast_to(batch.y, (moments, *batch.y.shape))
            end = jax.lax.scan(moment, start, (jnp.moveaxis(batch.x, 1, 0), ys))[0]
        return ({"w": end[2], "b": end[3]},), state, {}

    return taught._replace(grad=grad)


def test_two_algorithms_for_one_gradient():
    """Traces run forward: local in time, with a memory that does not grow; BPTT is neither."""
    net, loss = (bp.over_time(bp.dense(3, bp.leaky())),), bp.at_each_moment(bp.cross_entropy)
    x = jax.random.normal(KEY, (4, 5, 6))
    y = jax.nn.one_hot(jnp.arange(4) % 3, 3)
    params = bp.init(net, KEY, x)
    rules = {"traces": online(net, loss), "bptt": bp.rules.backprop(net, loss)}
    grads = {n: r.grad(params, (), bp.Batch(x, y), KEY)[0] for n, r in rules.items()}
    for ours, theirs in zip(*map(jax.tree.leaves, grads.values()), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)
    cards = {n: card(r, net, bp.Batch(x, y)) for n, r in rules.items()}
    assert cards["traces"].over_time == (5, (0,), 0)
    assert cards["bptt"].over_time == (5, (5,), 5 * 6)
    words = {n: dict(describe(c)) for n, c in cards.items()}
    assert words["traces"]["locking in time"].startswith("none")
    assert words["bptt"]["locking in time"].startswith("back through 5 moments")
    assert words["traces"]["memory of time"].startswith("none")
    assert words["bptt"]["memory of time"].startswith("30 words per example")


def test_a_memoryless_net_says_nothing_of_time():
    net = bp.mlp([6, 5, 3])
    plain = card(bp.rules.backprop(net, bp.cross_entropy), net, shaped(2, 6))
    assert plain.over_time is None
    assert not [name for name, _ in describe(plain) if "time" in name]
