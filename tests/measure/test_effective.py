"""Effective counts by hand: zeros, binary inputs, loops, layers, phases and optimiser traffic."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure import NotCountable, cost, effective, inference, total
from bioplaus.measure.cost import total_macs
from bioplaus.measure.program import dependents, trace
from bioplaus.measure.program.products import products_of
from bioplaus.net import forward, init
from bioplaus.neurons import relu
from bioplaus.rules import RULES
from bioplaus.types import Batch

KEY = jax.random.key(0)
SIZES = (6, 5, 4, 3)
NET = mlp(SIZES, relu())
X = jnp.maximum(jax.random.normal(KEY, (7, 6)), 0)
BATCH = Batch(X, jax.nn.one_hot(jnp.arange(7) % 3, 3))
PARAMS = init(NET, KEY, X)


def ran(name, batch=BATCH, **more):
    rule = RULES[name](NET, cross_entropy)
    return effective(
        rule, NET, batch, KEY, params=PARAMS, state=rule.init(KEY, PARAMS, batch), **more
    )


def counts(function, *args):
    """(macs, acs, received) of all products of function(params, x), the batch being x."""
    program = trace(function, *args)
    return np.sum(
        list(products_of(program, args, dependents(program, [program.inputs[1]]))[0].values()),
        axis=0,
    ).tolist()


def test_backprop_by_hand():
    """Backprop's counts of nonzero products equal those of values computed with numpy.

    Forward nnz(h) fan-out, credit nnz(s) fan-in, update sum_b nnz(h_b) nnz(s_b).
    """
    h = [np.asarray(a) for a in forward(NET, PARAMS, X, KEY).inputs]
    w = [np.asarray(p["w"]) for p in PARAMS]
    s = [np.asarray(jax.nn.softmax(h[2] @ w[2])) - np.asarray(BATCH.y)]
    for l in (1, 0):
        s.insert(0, (s[0] @ w[l + 1].T) * (h[l + 1] > 0))
    nonzero = [(a != 0).sum(1) for a in h], [(a != 0).sum(1) for a in s]
    found = ran("bp").phases
    assert found["forward"].macs * 7 == sum(
        n.sum() * d for n, d in zip(nonzero[0], SIZES[1:], strict=True)
    )
    assert found["credit"].macs * 7 == sum(
        n.sum() * d for n, d in zip(nonzero[1][1:], SIZES[1:3], strict=True)
    )
    assert found["update"].macs * 7 == sum((a * b).sum() for a, b in zip(*nonzero, strict=True))
    assert found["forward"].spikes * 7 == sum(n.sum() for n in nonzero[0])
    dense = cost(RULES["bp"](NET, cross_entropy), NET, BATCH).phases
    assert all(found[p].macs < dense[p].macs for p in ("forward", "credit", "update"))


def test_products_belong_to_their_layers():
    """Each product belongs to the right layer, for backprop, DFA and PEPITA.

    Backprop: forward and update of layer l, and the way back through it. DFA's second product of a
    hidden layer belongs to that layer.
    """
    dense = {
        n: cost(RULES[n](NET, cross_entropy), NET, BATCH) for n in ("bp", "fa", "dfa", "pepita")
    }
    for same in ("bp", "fa"):
        assert {l: c.macs for l, c in dense[same].layers.items()} == {
            0: 0,
            1: 2 * 30,
            2: 2 * 20 + 20,
            3: 2 * 12 + 12,
        }
    assert {l: c.macs for l, c in dense["dfa"].layers.items()} == {
        0: 0,
        1: 60 + 3 * 5,
        2: 40 + 3 * 4,
        3: 24,
    }
    assert {l: c.macs for l, c in dense["pepita"].layers.items()} == {
        0: 0,
        1: 90,
        2: 60,
        3: 36 + 3 * 6,
    }  # e F, sent by the output
    for c in dense.values():
        assert (
            sum(x.macs for x in c.layers.values())
            == sum(x.macs for x in c.phases.values())
            == total(c).macs
        )


def test_traffic_of_signals():
    """Backprop transports weights and sends to neighbours; DFA broadcasts C words past layer 2."""
    found = {
        n: total(cost(RULES[n](NET, cross_entropy), NET, BATCH))
        for n in ("bp", "fa", "dfa", "usf", "np")
    }
    assert {n: c.transport * 7 for n, c in found.items()} == {
        "bp": 32,
        "fa": 0,
        "dfa": 0,
        "usf": 0,
        "np": 0,
    }
    assert {n: c.broadcast for n, c in found.items()} == {
        "bp": 0,
        "fa": 0,
        "dfa": 3,
        "usf": 0,
        "np": 1,
    }
    assert found["bp"].neuron_updates == 5 + 4 + 3


def test_residency():
    """Backprop holds h_l for 2 (L - l) + 1 products; a layer-local rule holds it for fewer."""
    words, steps = cost(RULES["bp"](NET, cross_entropy), NET, BATCH).residency
    assert (words, steps) == (6 + 5 + 4, 6 * 7 + 5 * 5 + 4 * 3)
    assert cost(RULES["drtp"](NET, cross_entropy), NET, BATCH).residency.word_steps < steps


def test_binary_inputs_are_accumulated():
    """Products of data in {0, 1, -1} are accumulates; one value of 0.5 makes all of them MACs.

    The weights may have any values.
    """
    w, x = jnp.array([[0.3, 0.0], [2.0, -1.0]]), jnp.array([[1.0, 0.0], [-1.0, 1.0]])
    assert counts(lambda w, x: x @ w, w, x) == [0, 1 + 3, 3]
    assert counts(lambda w, x: x @ w, w, x.at[0, 0].set(0.5)) == [4, 0, 3]
    assert (
        counts(
            lambda w, x: jax.lax.conv(x[None, None], w[None, None], (1, 1), "SAME"),
            jnp.ones((2, 2)),
            x,
        )[1]
        == 3 * 4 - 5
    )


def test_loops_are_counted_as_executed():
    """Scans, `while` loops and conds are counted by what they execute on the given numbers.

    A scan runs forward or in reverse, nested, with stacked results.
    """
    w, x = jnp.array([[1.0, 0.0], [1.0, 1.0]]), jnp.array([[1.0, 2.0], [0.0, 3.0]])

    def scanned(w, x):
        def step(h, row):
            inner = jax.lax.fori_loop(0, 2, lambda i, h: h @ w, h)
            return inner, (row @ w, h)

        h, (ys, before) = jax.lax.scan(step, x[0], x, reverse=True)
        return h + before[0], ys[::-1] * jnp.arange(2.0)[:, None]

    program = trace(scanned, w, x)
    products, result = products_of(program, (w, x), dependents(program, [program.inputs[1]]))
    for ours, plain in zip(result, scanned(w, x), strict=True):
        np.testing.assert_array_equal(ours, plain)
    rows = 3 + 2  # [1, 2] @ w touches 1 + 2 nonzero weights, [0, 3] @ w two
    assert sum(m for m, _, _ in products.values()) == rows + 4 * 3

    def collatz(w, x):
        with jax.named_scope("trips=4"):
            return jax.lax.while_loop(lambda h: h[0] < 10.0, lambda h: h @ w, x[0])

    assert counts(collatz, w, x)[0] == 5 * 3  # it took 5, whatever was stated
    assert total_macs(trace(collatz, w, x)) == 4 * 4
    unstated = trace(
        lambda w, x: jax.lax.while_loop(lambda h: h[0] < 10.0, lambda h: h @ w, x[0]), w, x
    )
    with pytest.raises(NotCountable, match="trips=20"):
        total_macs(unstated)
    both = counts(lambda w, x: jax.lax.cond(x.sum() > 0, lambda: x @ w, lambda: x * 2.0), w, x)
    assert both[0] == rows


def test_synapse_updates_are_gated():
    """A gate that is closed for all examples leaves nothing to change; top-k leaves its share."""
    rule = RULES["bp"](NET, cross_entropy)
    shut = rule._replace(grad=lambda p, s, b, k, gate=None: rule.grad(p, s, b, k, jnp.zeros(7)))
    args = {"params": PARAMS, "state": ()}
    assert total(effective(shut, NET, BATCH, KEY, **args)).synapse_updates == 0
    changed = sum(
        int((g != 0).sum()) for g in jax.tree.leaves(rule.grad(PARAMS, (), BATCH, KEY)[0])
    )
    assert (
        total(ran("bp")).synapse_updates * 7
        == changed
        < total(cost(rule, NET, BATCH)).synapse_updates * 7
        == 62 + 12
    )


@pytest.mark.parametrize(
    ("tx", "words"), [(optax.sgd(0.1), 2), (optax.sgd(0.1, momentum=0.9), 4), (optax.adam(0.1), 6)]
)
def test_the_optimiser_is_counted(tx, words):
    """Words read and written a parameter: SGD 2, momentum 4, Adam 6 (and a counter)."""
    rule = RULES["bp"](NET, cross_entropy)
    c, without = cost(rule, NET, BATCH, tx=tx), cost(rule, NET, BATCH)
    counter = 2 * (words == 6)
    here = c.phases["optimiser"]
    assert (here.weight_reads + here.weight_writes) * 7 == words * c.parameters + counter
    assert (
        sum(t.words for t in c.traffic) - sum(t.words for t in without.traffic)
        == here.weight_reads + here.weight_writes
    )
    assert without.phases["optimiser"].ops == 0 < here.ops * 7 / c.parameters < 20
    assert here.ops >= (words / 2) * c.parameters / 7


def test_inference():
    """Inference counts dense products, or effective ones as NeuroBench does.

    Effective counts need numbers: shapes are refused.
    """
    rule = RULES["bp"](NET, cross_entropy)
    dense, run = inference(rule, NET, BATCH), inference(rule, NET, BATCH, numbers=(PARAMS, (), KEY))
    assert (total(dense).macs, dense.trains, dense.effective, run.effective) == (
        62,
        False,
        False,
        True,
    )
    assert total(run).macs == ran("bp").phases["forward"].macs < 62
    with pytest.raises(ValueError, match="got shapes"):
        effective(rule, NET, jax.eval_shape(lambda: BATCH), KEY, params=PARAMS, state=())
