"""The actor-critic `td` on streams, and the worlds that it lives in."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus import worlds
from bioplaus.measure.card import card
from bioplaus.rules.td import td
from bioplaus.worlds.cart_pole import moved

KEY, LOSS = jax.random.key(0), bp.at_each_moment(bp.cross_entropy)
ZERO = jax.nn.initializers.zeros
READOUT = bp.over_time(bp.dense(3, weights=ZERO))
NET = (bp.over_time(bp.dense(4, bp.lif(tau=3.0))), READOUT)
B, K = 2, 3
BATCH = bp.Batch(jnp.ones((B, K, 5)), jnp.zeros((B, K), int), {"reward": jnp.ones((B, K))})


def grads_of(batch=BATCH, net=NET, loss=LOSS, **hyper: Any):
    rule = td(net, loss, **hyper)

    def run():
        params = bp.init(net, KEY, batch.x)
        return rule.grad(params, rule.init(KEY, params, batch), batch, KEY)[0]

    return jax.eval_shape(run)


def replaced(**context):
    return BATCH._replace(context={**BATCH.context, **context})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch": BATCH._replace(context=())}, "rewards: the batch has none"),
        ({"batch": BATCH._replace(context={"pay": jnp.ones((B, K))})}, "the batch has none"),
        (
            {"batch": replaced(reward=jnp.ones((B,)))},
            r"context\['reward'\] is \(2,\), expected one",
        ),
        ({"batch": replaced(reward=jnp.ones((B, K, 1)))}, "one number for each example and moment"),
        ({"batch": replaced(ended=jnp.ones((B, K + 1)))}, r"context\['ended'\] is \(2, 4\)"),
        ({"batch": replaced(serotonin=jnp.ones(B))}, r"context\['serotonin'\] is \(2,\), expected"),
        ({"loss": bp.cross_entropy}, "give bp.at_each_moment"),
        ({"loss": bp.at_each_moment(bp.mse)}, "give bp.at_each_moment"),
        ({"gamma": 1.1}, "gamma: expected a number"),
        ({"gamma": -0.1}, "gamma: expected a number"),
        ({"decay": 2.0}, "decay: expected a number"),
        ({"critic": -1.0}, "critic: expected a number"),
        ({"net": (bp.over_time(bp.dense(2)),)}, "the net has 2 outputs, expected one for each"),
        ({"net": (bp.over_time(bp.dense(1)),)}, "the net has 1 outputs, expected one for each"),
        ({"net": (NET[0], bp.after(bp.mean_over_time, bp.dense(3)))}, "of a single moment"),
        ({"net": (bp.flattened(bp.dense(3)),)}, "of a single moment"),
    ],
)
def test_bad_inputs_are_refused_in_one_line(wrong, said):
    with pytest.raises(ValueError, match=said) as caught:
        grads_of(**wrong)
    assert "\n" not in str(caught.value)


def test_good_inputs_are_taken():
    assert jax.tree.structure(grads_of()) == jax.tree.structure(
        grads_of(replaced(ended=jnp.ones((B, K))))
    )


def test_bad_worlds_are_refused_in_one_line():
    track, tx = worlds.linear_track(), optax.sgd(0.1)
    run = functools.partial(worlds.run, track, key=KEY, moments=2, rows=2)
    with pytest.raises(ValueError, match="one logit for each action and the value") as caught:
        run((bp.over_time(bp.dense(2)),), td, tx)
    assert "\n" not in str(caught.value)
    for rule, said in ((bp.rules.backprop, "backprop learns from labels"),):
        with pytest.raises(ValueError, match=said):
            run(NET, rule, tx)
    with pytest.raises(ValueError, match="arm: expected a whole number"):
        worlds.linear_track(0)
    with pytest.raises(ValueError, match="delay: expected a whole number"):
        worlds.conditioning(0)
    with pytest.raises(ValueError, match="moments: expected a whole number"):
        run(NET, td, tx, moments=0)


def test_the_card_tells_what_td_needs():
    """No forward weight goes backwards: hidden neurons are taught by random feedback."""
    batch = BATCH._replace(y=jnp.zeros((B, K, 3)))
    stream = td(NET, LOSS).stream
    assert stream is not None
    found = card(stream, NET, jax.eval_shape(lambda: batch))
    assert found.transport_words == 0
    assert found.feedback_words == 3 * 4  # B, of three outputs and four hidden neurons
    assert found.random > 0  # actions


# --- Worlds


def lived(world, moments: int, rate: float = 0.5, rows: int = 1, net=(READOUT,), **hyper: Any):
    rule = functools.partial(td, critic=1.0, **hyper)
    run = functools.partial(worlds.run, moments=moments, rows=rows)
    return jax.jit(lambda key: run(world, net, rule, optax.sgd(rate), key=key))(KEY)


def test_values_become_the_discounted_reward():
    """V = gamma^k, k moments before the reward, to three digits; not so at another gamma."""
    delay, gamma = 5, 0.8
    found = lived(worlds.conditioning(delay, pause=0), 1200, gamma=gamma, decay=0.5)
    last = np.asarray(found.value[-delay - 1 :, 0])
    start = np.flatnonzero(np.asarray(found.ended[-delay - 1 :, 0]))[0] + 1
    values = np.roll(last, -start)[:delay]
    np.testing.assert_allclose(values, gamma ** np.arange(delay)[::-1], atol=5e-4)
    assert np.abs(values - 0.9 ** np.arange(delay)[::-1]).max() > 0.1


def test_the_error_moves_from_the_reward_to_the_cue():
    delay = 4
    found = lived(worlds.conditioning(delay, pause=6), 1500, gamma=0.95, decay=0.5, rows=8)
    ends = [np.flatnonzero(np.asarray(found.ended[:, b])) for b in range(8)]
    rpe = np.asarray(found.rpe)

    def at(trial: int, moment: int) -> float:
        return float(np.mean([rpe[e[trial] - delay + moment, b] for b, e in enumerate(ends)]))

    assert at(0, delay) > 5 * abs(at(0, 0))  # some rows have learned from others already
    assert at(0, delay) > 0.5
    assert at(100, 0) > 5 * abs(at(100, delay))
    assert abs(at(100, delay)) < 0.05


def test_trials_are_counted():
    """Under a policy that always goes right: arm steps, one moment more to see the end."""
    always = ({"w": jnp.zeros((10, 3)), "b": jnp.array([-50.0, 50.0, 0.0])},)
    found = worlds.run(
        worlds.linear_track(2),
        (READOUT,),
        td,
        optax.sgd(0.0),
        key=KEY,
        moments=31,
        rows=3,
        params=always,
    )
    trials = worlds.trials(found)
    assert set(trials.moments) == {2}
    assert len(trials.moments) == 3 * 10  # moments 0 1 2 | 3 4 5 | ..., of which the third ends
    assert set(trials.reward) == {0.0, 1.0}
    assert set(trials.row) == {0, 1, 2}
    np.testing.assert_array_equal(np.asarray(found.action)[:2], 1)


def test_a_trial_starts_with_no_memory():
    """Weights that do not learn: each trial of one world has the same values, spikes included."""
    wide = jax.nn.initializers.normal(3.0)
    net = (bp.over_time(bp.dense(6, bp.lif(tau=30.0), weights=wide)), bp.over_time(bp.dense(3)))
    found = lived(worlds.conditioning(4, pause=0), 20, rate=0.0, net=net)
    trials = np.asarray(found.value[:, 0]).reshape(4, 5)
    assert np.abs(trials[0]).max() > 0
    np.testing.assert_array_equal(trials, np.broadcast_to(trials[0], trials.shape))


def test_a_delayed_reward_needs_the_eligibility():
    hidden = bp.over_time(bp.dense(30, bp.lif(tau=2.0), weights=jax.nn.initializers.normal(1.5)))
    world = worlds.linear_track(1, delay=3)
    of_row = [
        worlds.trials(lived(world, 700, rate, 8, (hidden, READOUT), gamma=0.95, decay=decay)).reward
        for decay, rate in ((0.9, 0.1), (0.0, 0.1))
    ]
    assert of_row[0][-200:].mean() > 0.9 > 0.75 > of_row[1][-200:].mean()


def test_the_pole_falls_as_its_equations_say():
    """Near the top, without force, angle'' = k^2 angle, k^2 = g / (l (4/3 - m / M)): in Euler's
    steps of s, half of (1 + k s)^n and of (1 - k s)^n."""
    state = jnp.array([0.0, 0.0, 1e-3, 0.0])
    k = (9.8 / (0.5 * (4 / 3 - 0.1 / 1.1))) ** 0.5
    for _ in range(25):
        state = moved(state, 0.0)
    grown = ((1 + 0.02 * k) ** 25 + (1 - 0.02 * k) ** 25) / 2
    assert float(state[2]) == pytest.approx(1e-3 * grown, rel=1e-3)
    assert float(state[0]) < 0  # the cart goes the other way
    assert float(moved(jnp.zeros(4), 10.0)[1]) == pytest.approx(0.02 * 9.756, rel=1e-3)


@pytest.mark.parametrize("name", worlds.WORLDS)
def test_worlds_end_and_pay(name):
    """All worlds run under one jit, their trials end, and inputs keep their shape."""
    world = worlds.WORLDS[name]()
    found = lived(world, 250, rate=0.01, rows=2)
    assert np.asarray(found.ended).any()
    assert np.isfinite(np.asarray(found.rpe)).all()
    shape = jax.eval_shape(world.reset, KEY)[1].shape
    assert (
        jax.eval_shape(lambda k: world.step(world.reset(k)[0], jnp.array(1), k)[1], KEY).shape
        == shape
    )
