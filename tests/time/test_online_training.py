"""Training on the pieces of sequences, `make_train(..., online=K)`, by every rule that learns on
streams.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from nets import wide
from streams import DATA, LOSS, NET, TX, B, C, T, on_streams, pairs, piece

import bioplaus as bp
from bioplaus.rules import RULES
from bioplaus.support import needs_rewards, over_time_of


def trained(online, n=2, seeds=None):
    run = bp.make_train(
        NET, bp.rules.eprop(NET, LOSS, adaptive=True), TX, DATA, batch_size=2, online=online
    )
    run = run if seeds is None else bp.replicate(run)
    return run.advance(run.init(jax.random.key(3) if seeds is None else bp.seed_keys(seeds)), n)


def test_training_in_one_piece_is_training_on_whole_sequences():
    (whole, seen), (once, history) = trained(None), trained(T)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in pairs(whole.params, once.params))
    assert all(np.allclose(a, b, atol=1e-6) for a, b in pairs(whole.rule, once.rule))
    assert np.allclose(seen["loss"], history["loss"], rtol=1e-5)
    assert int(once.step) == int(whole.step) == 2


def test_training_in_pieces_changes_the_weights_after_each():
    """One batch in pieces of 3, 3 and 2 moments, beside `bp.online` from the same weights."""
    state, _ = trained(3, 1)
    run = bp.make_train(NET, bp.rules.eprop(NET, LOSS), TX, DATA, batch_size=3, online=3)
    begin = run.init(jax.random.key(3))
    first = jax.tree.map(jnp.copy, begin)
    after, history = run.advance(begin, 1)
    order = run.program.rows(first.key, jnp.int32(0), 1, B)[0]
    noise = jax.random.key(0)  # this net draws none
    stream = on_streams()
    now, params = stream.init(noise, first.params, piece(0, 1, order)), first.params
    now, losses = now._replace(learned=first.rule), []
    for at, to in ((0, 3), (3, 6), (6, 8)):
        grads, now, info = stream.grad(params, now, piece(at, to, order), noise)
        params = jax.tree.map(lambda w, g: w - 0.3 * g, params, grads)
        losses.append(info["loss"])
    assert all(np.allclose(a, b, atol=1e-5) for a, b in pairs(after.params, params))
    assert np.allclose(history["loss"], sum(losses), rtol=1e-5)
    assert int(after.step) == 1  # a step is a batch
    whole = trained(None, 1)[0]
    assert not any(np.allclose(a, b, atol=1e-6) for a, b in pairs(state.params[1], whole.params[1]))


def test_seeds_together_train_on_pieces_as_one_alone():
    many = trained(3, 2, 2)[0]
    run = bp.make_train(
        NET, bp.rules.eprop(NET, LOSS, adaptive=True), TX, DATA, batch_size=2, online=3
    )
    one = run.advance(run.init(bp.seed_keys(2)[1]), 2)[0]
    assert all(np.allclose(a[1], b, atol=1e-5) for a, b in pairs(many.params, one.params))


UNFIT = {"no moment": (0, "eprop", "1 or more moments"), "no form": (2, "backprop", "no form for")}


@pytest.mark.parametrize("name", UNFIT)
def test_what_cannot_train_on_pieces_is_refused(name):
    online, rule, words = UNFIT[name]
    made = getattr(bp.rules, rule)(NET, LOSS)
    with pytest.raises(ValueError, match=words):
        bp.make_train(NET, made, TX, DATA, batch_size=2, online=online)


# --- Every rule

LIF = (
    bp.recurrent(bp.dense(6, bp.lif(5.0), weights=wide), bp.dense(6, weights=wide)),
    bp.over_time(bp.dense(C, bp.leaky(8.0), weights=wide)),
)
ONLINE = [
    key
    for key, factory in RULES.items()
    if (declared := over_time_of(factory)) and declared.streams and not needs_rewards(factory)
]


@pytest.mark.parametrize("key", RULES)
def test_a_rule_has_a_form_for_streams_if_it_says_so(key):
    declared = over_time_of(RULES[key])
    try:
        rule = RULES[key](LIF, LOSS)
    except ValueError:  # it refuses such nets
        assert declared is not None
        assert not declared.streams
        return
    assert (rule.stream is not None) == (declared is not None and declared.streams)


@pytest.mark.slow
@pytest.mark.parametrize("key", ONLINE)
def test_every_rule_with_a_form_for_streams_trains_on_pieces(key):
    """One piece of all moments is the whole sequence; smaller ones change the weights, too."""

    def after(online):
        rule = RULES[key](LIF, LOSS)
        run = bp.make_train(LIF, rule, optax.sgd(0.1), DATA, batch_size=B, online=online)
        begin = run.init(jax.random.key(3))
        first = jax.tree.map(jnp.copy, begin.params)
        return first, run.advance(begin, 1)[0]

    (first, whole), (_, once), (_, pieces) = (after(k) for k in (None, T, 3))
    assert all(np.allclose(a, b, atol=1e-5) for a, b in pairs(whole.params, once.params))
    assert jax.tree.structure(whole) == jax.tree.structure(pieces)
    for state in (once, pieces):
        assert all(np.isfinite(a).all() for a in jax.tree.leaves(state.params))
        assert not all(np.allclose(a, b, atol=1e-7) for a, b in pairs(state.params, first))
