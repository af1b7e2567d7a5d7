"""Costs of composed rules by hand: each product belongs to its layer, and is counted once.

What several rules compute alike is counted once for all of them.
"""

from collections import defaultdict
from fractions import Fraction
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus import states
from bioplaus.measure import cost, effective
from bioplaus.measure.card import card
from bioplaus.modulators import dopamine, modulate
from bioplaus.rules import RULES
from bioplaus.types import PyTree, Rule

SIZES, DEEP = (6, 5, 4, 3), (6, 5, 4, 4, 3)
BATCH = bp.Batch(jax.random.normal(jax.random.key(1), (7, 6)), jnp.eye(3)[jnp.arange(7) % 3])
KEY = jax.random.key(0)


def mixed(*keys: str):
    return bp.by_layer(tuple(RULES[key] for key in keys))


def macs(counts) -> dict[str, dict[int, int]]:
    """Phase -> layer -> MACs, where there are any."""
    found = defaultdict(dict)
    for (phase, layer), c in counts.cells.items():
        if c.macs:
            found[phase][layer] = c.macs
    return dict(found)


@pytest.mark.parametrize(
    ("keys", "sizes", "passes", "credit"),
    [
        (("dfa", "fa", "bp"), SIZES, 1, {1: 3 * 5, 3: 4 * 3}),  # e B_1; through B_3
        # through W_3 and W_2, and through B_3
        (("bp", "fa", "dfa"), SIZES, 1, {2: 5 * 4, 3: 2 * 4 * 3}),
        # what kp's B learns by is the products of W_2 and W_3
        (("bp", "kp", "bp"), SIZES, 1, {2: 5 * 4, 3: 2 * 4 * 3}),
        (("dfa", "dfa", "bp"), SIZES, 1, {1: 3 * 5, 2: 3 * 4}),
        (("dfa", "drtp", "fa", "bp"), DEEP, 1, {1: 3 * 5, 2: 3 * 4, 4: 4 * 3}),
        # the noisy pass is another one, whichever rule comes first
        (("np", "bp", "bp"), SIZES, 2, {3: 4 * 3}),
        (("bp", "bp", "np"), SIZES, 2, {2: 5 * 4, 3: 4 * 3}),
    ],
)
def test_compositions_by_hand(keys, sizes, passes, credit):
    net = bp.mlp(sizes)
    weights = {l: a * b for l, (a, b) in enumerate(pairwise(sizes), 1)}
    want = {
        "forward": {l: passes * w for l, w in weights.items()},
        "credit": credit,
        "update": weights,
    }
    rule = mixed(*keys)(net, bp.cross_entropy)
    assert macs(cost(rule, net, BATCH)) == want
    assert card(rule, net, BATCH).forward_passes == passes


@pytest.mark.parametrize(
    "factory",
    [
        bp.by_layer((mixed("dfa", "fa", "bp"),) * 2 + (RULES["bp"],)),
        modulate(mixed("dfa", "fa", "bp"), dopamine()),
    ],
    ids=["nested", "modulated"],
)
def test_compositions_of_compositions(factory):
    net = bp.mlp(SIZES)
    plain = macs(cost(mixed("dfa", "fa", "bp")(net, bp.cross_entropy), net, BATCH))
    assert macs(cost(factory(net, bp.cross_entropy), net, BATCH)) == plain


def test_a_run_counts_the_same():
    net = bp.mlp(SIZES)
    rule, params = mixed("dfa", "fa", "bp")(net, bp.cross_entropy), bp.init(net, KEY, BATCH.x)
    run = effective(rule, net, BATCH, KEY, params=params, state=rule.init(KEY, params, BATCH))
    assert macs(run) == macs(cost(rule, net, BATCH))  # nothing is zero


def test_one_rule_that_computes_twice_pays_twice():
    """Control: only work shared between rules counts once; two passes of one rule count twice."""
    net = bp.mlp(SIZES)

    def twice(net, loss) -> Rule:
        rule = RULES["bp"](net, loss)

        def grad(params, state, batch, key, gate=None):
            first, second = (rule.grad(params, state, batch, key, gate) for _ in range(2))
            return jax.tree.map(jnp.add, first[0], second[0]), state, first[2]

        return rule._replace(grad=grad)

    for factory in (
        twice,
        bp.by_layer((twice, twice, RULES["bp"])),
        bp.by_layer((RULES["bp"], twice, twice)),
    ):
        forward = macs(cost(factory(net, bp.cross_entropy), net, BATCH))["forward"]
        assert forward == {1: 60, 2: 40, 3: 24}


def layers_in(name: str, sizes, **hyper) -> PyTree:
    net = bp.mlp(sizes)
    rule, params = RULES[name](net, bp.cross_entropy, **hyper), bp.init(net, KEY, BATCH.x)
    return states.layers(jax.eval_shape(rule.init, KEY, params, BATCH))


def test_layers_are_declared_and_not_guessed_from_a_length():
    """A tuple is not taken for one entry per layer because its length is the number of layers.

    Such tuples are the parts of an optimiser, heads, two kinds of weights, and rules.
    """
    weights = ((), {"b": 2, "w": 2}, {"b": 3, "w": 3})
    kp = layers_in("kp", SIZES, tx=optax.chain(optax.clip(1.0), optax.adam(1e-3), optax.scale(1.0)))
    assert kp.feedback == weights
    adam = kp.opt[1][0]
    assert (adam.count, adam.mu, adam.nu) == (0, weights, weights)
    two = layers_in("dendritic_microcircuit", (6, 4, 3))
    assert (two.predict, two.opt[0].mu) == (weights[:2], (weights[:2], weights[:2]))
    assert set(jax.tree.leaves(layers_in("local_losses", (6, 4, 3)).heads)) == {1}
    net = bp.mlp(SIZES)
    rule = mixed("dfa", "fa", "bp")(net, bp.cross_entropy)
    composed = states.layers(jax.eval_shape(rule.init, KEY, bp.init(net, KEY, BATCH.x), BATCH))
    assert [jax.tree.leaves(s) for s in composed] == [[], [2, 2, 3, 3], [1, 2]]
    assert jax.tree.leaves(states.layers((np.ones(2), np.ones(2)))) == [0, 0]  # undeclared


def test_an_optimiser_of_three_parts_works_for_the_layers_that_it_trains():
    """Kolen-Pollack's AdamW works for the layers that have feedback weights, which layer 1 has not.

    The optimiser has three parts and the net three layers: they must not be confused.
    """
    net = bp.mlp(SIZES)
    c = cost(RULES["kp"](net, bp.cross_entropy), net, BATCH)
    muls = {l: n.muls for (phase, l), n in c.cells.items() if phase == "auxiliary" and n.muls}
    assert muls == {2: Fraction(24 * muls[3], 15), 3: muls[3]}  # weights and biases
