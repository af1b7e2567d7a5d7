"""Disturbances of nets over time: each acts at all moments, and severity 0 changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.encoders import bernoulli, in_front, latency, received
from bioplaus.measure.robustness import (
    CURVES,
    Budget,
    claim,
    curve,
    disturbed,
    pgd,
    suite,
    under_attack,
)
from bioplaus.net import forward
from bioplaus.neurons import identity

KEY = jax.random.key(0)
B, T, N = 4, 6, 8
WIDE = jax.nn.initializers.normal(1.0)
SPIKES = (jax.random.uniform(KEY, (B, T, N)) < 0.4).astype(jnp.float32)
Y = jax.nn.one_hot(jnp.arange(B) % 3, 3)
NET = (
    bp.recurrent(
        bp.dense(6, bp.alif(threshold=0.5), weights=WIDE), bp.dense(6, weights=WIDE), dt=2.0
    ),
    bp.over_time(bp.dense(5, bp.lif(threshold=0.5), weights=WIDE), dt=2.0),
    bp.after(bp.mean_over_time, bp.dense(3)),
)
PARAMS = bp.init(NET, KEY, SPIKES)
IMAGES = ("rotation", "low_pass", "high_pass")
APPLY = [
    name
    for name in CURVES
    if name not in IMAGES and name not in [f"lesion_layer_{l}" for l in range(3, 9)]
]


def test_severity_0_changes_nothing_and_others_do():
    """Every curve that applies runs on a recurrent spiking net, with the shapes that it has."""
    severities = {n: jnp.float32(CURVES[n].severities[-1]) for n in APPLY}

    @jax.jit
    def outputs(at):
        found = {}
        for name, severity in at.items():
            make = disturbed(CURVES[name], NET, PARAMS, SPIKES, KEY)
            found[name] = bp.forward(*make(severity), KEY).outputs
        return found

    whole = jax.jit(lambda: bp.forward(NET, PARAMS, SPIKES, KEY).outputs)()
    still = outputs(jax.tree.map(jnp.zeros_like, severities))
    moved = outputs(severities)
    for name in APPLY:
        for a, b, c in zip(whole, still[name], moved[name], strict=True):
            np.testing.assert_array_equal(a, b, err_msg=name)
            assert a.shape == c.shape, name
        if name != "activation_quantisation":  # spikes are on two levels already
            assert any((a != c).any() for a, c in zip(whole, moved[name], strict=True)), name


@pytest.mark.parametrize("name", IMAGES)
def test_sequences_are_no_images(name):
    with pytest.raises(ValueError, match="needs images"):
        disturbed(CURVES[name], NET, PARAMS, SPIKES, KEY)
    frames = jnp.ones((B, T, 4, 4, 1))
    make = disturbed(CURVES[name], NET, PARAMS, frames, KEY)
    assert make(0.5)[2].shape == frames.shape  # frame by frame


def test_input_is_disturbed_moment_by_moment():
    """Permuted inputs are the same ones at all moments, and stay at their moment."""
    x = jnp.arange(B * T * N, dtype=jnp.float32).reshape(B, T, N)
    moved = disturbed(CURVES["permuted_pixels"], NET, PARAMS, x, KEY)(1.0)[2]
    order = np.asarray(moved[0, 0]).astype(int)
    assert sorted(order) == [*range(N)] != [*order]
    np.testing.assert_array_equal(moved, x[..., order])


def test_lesioned_units_are_silent_at_all_moments():
    lost, _, x = disturbed(CURVES["lesion"], NET, PARAMS, SPIKES, KEY)(0.5)
    trace, whole = (bp.forward(net, PARAMS, x, KEY) for net in (lost, NET))
    gone = np.asarray(trace.outputs[0] == 0).all((0, 1))
    assert 0 < gone.sum() < 6
    assert np.asarray(whole.outputs[0])[..., gone].any()  # they do fire in the net
    assert not np.asarray(trace.heard[0])[..., gone].any()  # their own layer does not hear them


def test_utility_counts_the_synapses_of_a_recurrent_layer():
    """The most useful unit, by sum_k |w_jk| mean |h_j| worked by hand, is the first to go."""
    h = np.asarray(bp.forward(NET, PARAMS, SPIKES, KEY).outputs[0]).mean((0, 1))
    leaving, own = (np.abs(np.asarray(w)).sum(1) for w in (PARAMS[1]["w"], PARAMS[0]["back"]["w"]))
    first = int(np.argmax(h * (leaving + own)))
    lost, _, x = disturbed(CURVES["targeted_lesion"], NET, PARAMS, SPIKES, KEY)(1 / 6)
    gone = np.asarray(bp.forward(lost, PARAMS, x, KEY).outputs[0] == 0).all((0, 1))
    assert first in np.flatnonzero(gone)
    assert h[first] > 0


def test_dynamic_noise_is_fresh_at_each_moment():
    """Of the synapses from below, and of a layer's own; its variance is sigma^2 sum (w h)^2."""
    net = (bp.recurrent(bp.dense(300, identity()), bp.dense(300)),)
    start = bp.init(net, KEY, jnp.ones((1, 4, 2)))[0]
    own = {"w": jnp.full((300, 300), 1e-3), "b": jnp.zeros(300)}
    for part in ("in", "back"):
        inner = {"w": jnp.full((2, 300), float(part == "in")), "b": jnp.ones(300)}
        params = ({"in": inner, "back": own},)
        make = disturbed(CURVES["dynamic_noise"], net, params, jnp.ones((1, 4, 2)), KEY)
        changed, weights, x = make(0.3)
        trace = bp.forward(changed, weights, x, KEY)
        heard = np.asarray(trace.heard[0])
        expected = 1 + np.asarray(x @ inner["w"]) + heard @ np.asarray(own["w"])
        size = np.sqrt(2 * float(part == "in") + 1e-6 * (heard**2).sum(-1, keepdims=True))
        xi = ((np.asarray(trace.currents[0]) - expected) / 0.3)[0, 1:] / size[0, 1:]
        assert np.abs(np.corrcoef(xi) - np.eye(3)).max() < 0.3  # 300 units: 0.058 is one sigma
        assert abs(xi.std() - 1) < 0.15
    assert set(start) == {"in", "back"}


def test_jitter_moves_spikes_by_a_normal_time():
    """A spike at the middle moves by N(0, sigma / dt) moments, and none is lost or made."""
    x = jnp.zeros((50, 101, 20)).at[:, 50].set(1.0)
    for sigma in (4.0, 12.0):
        moved = disturbed(CURVES["spike_jitter"], NET, PARAMS, x, KEY)(sigma)[2]
        when = np.argwhere(np.asarray(moved))[:, 1] - 50
        assert len(when) == x.sum()
        expected = np.sqrt((sigma / 2.0) ** 2 + 1 / 12)  # moments of 2 ms, rounded
        assert abs(when.std() / expected - 1) < 5 / np.sqrt(2 * len(when))
        assert abs(when.mean()) < 5 * expected / np.sqrt(len(when))


def test_spikes_that_leave_or_meet():
    ends = jnp.zeros((40, 9, 50)).at[:, 0].set(1.0)
    moved = np.asarray(disturbed(CURVES["spike_jitter"], NET, PARAMS, ends, KEY)(4.0)[2])
    left, late = moved.sum() / ends.sum(), moved[:, 5:].sum() / ends.sum()
    assert abs(left - 0.599) < 5 * np.sqrt(0.24 / ends.sum())  # P(2 xi > -1/2), moments of 2 ms
    assert late < 0.03  # P(2 xi > 4.5) = 0.012: none comes in at the other end
    full = disturbed(CURVES["spike_jitter"], NET, PARAMS, jnp.ones((4, 9, 9)), KEY)(6.0)[2]
    assert set(np.unique(full)) == {0.0, 1.0}


def test_deletion():
    x = jnp.ones((50, 20, 20))
    left = [
        float(disturbed(CURVES["spike_deletion"], NET, PARAMS, x, KEY)(f)[2].mean())
        for f in (0.3, 0.9)
    ]
    np.testing.assert_allclose(left, [0.7, 0.1], atol=5 * np.sqrt(0.25 / x.size))


def test_hidden_spikes_are_deleted_at_each_moment_anew():
    """The share is lost, others are as before; a lesion takes whole neurons in their place."""
    x = jnp.tile(SPIKES, (64, 1, 1))
    net = (bp.over_time(bp.dense(5, bp.lif(threshold=0.5), weights=WIDE)), NET[-1])
    params = bp.init(net, KEY, x)
    sent = forward(net, params, x, KEY).outputs[0]
    for name, moves in (("hidden_spike_deletion", True), ("lesion", False)):
        at = disturbed(CURVES[name], net, params, x, KEY)
        deleted, weights, same = at(0.3)
        left = forward(deleted, weights, same, KEY).outputs[0]
        assert ((left == sent) | (left == 0)).all()
        kept = np.where(np.asarray(sent) > 0, left, np.nan)
        by_neuron = np.nanmean(kept, (0, 1))
        fired = np.isfinite(by_neuron)
        inside = (by_neuron[fired] > 0.05) & (by_neuron[fired] < 0.95)
        assert inside.all() == moves, name
        if moves:
            assert np.nanmean(kept) == pytest.approx(0.7, abs=0.05)
        np.testing.assert_array_equal(forward(*at(0.0), KEY).outputs[0], sent)


@pytest.mark.parametrize(("name", "severity"), [("spike_jitter", 5.0), ("spike_deletion", 0.5)])
def test_the_spikes_of_an_encoder_are_disturbed(name, severity):
    """In front of a net they are changed as spikes that are its inputs are, and x is not."""
    x = jax.random.uniform(KEY, (B, N))
    net = in_front(NET, latency(T))
    spikes = received(net, x, KEY)
    changed, params, same = disturbed(CURVES[name], net, PARAMS, x, KEY)(severity)
    direct = disturbed(CURVES[name], NET, PARAMS, spikes, KEY)(severity)[2]
    assert same is x
    np.testing.assert_array_equal(received(changed, x, KEY), direct)
    assert (direct != spikes).any()
    np.testing.assert_array_equal(
        bp.forward(changed, params, x, KEY).output, bp.forward(NET, PARAMS, direct, KEY).output
    )


def test_what_is_no_spike_is_refused():
    for name in ("spike_jitter", "spike_deletion"):
        with pytest.raises(ValueError, match="other values than 0 and 1"):
            disturbed(CURVES[name], NET, PARAMS, 0.5 * SPIKES, KEY)
        plain = bp.mlp([N, 3])
        with pytest.raises(ValueError, match="receives no spikes"):
            disturbed(CURVES[name], plain, bp.init(plain, KEY, SPIKES[:, 0]), SPIKES[:, 0], KEY)


def test_curves_and_attacks_of_the_analogue_input():
    """`curve` and `under_attack` run; PGD through surrogates stays in its ball, and does harm."""
    net = in_front(NET, bernoulli(T))
    batch = bp.Batch(jax.random.uniform(KEY, (40, N)), jax.nn.one_hot(jnp.arange(40) % 3, 3))
    rule = bp.rules.backprop(net, bp.cross_entropy)

    def answer(x, key):
        return rule.predict(PARAMS, (), x, key)

    # judged by its own clean answers, so that it is right but for the noise of the encoder
    labels = jax.nn.one_hot(answer(batch.x, KEY).argmax(-1), 3)
    batch = batch._replace(y=labels)

    @jax.jit
    def measured(x):
        seen = batch._replace(x=x)
        noise = curve(
            lambda n: bp.rules.backprop(n, bp.cross_entropy).predict,
            CURVES["spike_deletion"],
            net,
            PARAMS,
            (),
            seen,
            KEY,
            severities=(0.0, 0.5),
            draws=3,
        )
        climb = lambda *a, **k: pgd(*a, **k, steps=5, draws=3)  # noqa: E731
        attacked = under_attack(climb, answer, bp.cross_entropy, seen, KEY, severities=(0.0, 0.4))
        moved = climb(answer, bp.cross_entropy, x, labels, KEY, epsilon=0.1)
        return noise, attacked, moved

    noise, attacked, moved = measured(batch.x)
    assert noise[1] < noise[0]
    assert attacked[1] < attacked[0] - 0.1
    assert float(jnp.abs(moved - batch.x).max()) <= 0.1 + 1e-6
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1


@pytest.mark.slow
def test_masked_gradients_are_reported():
    """A blind attack on a spiking net is no claim of robustness: some gradients are exactly 0."""
    net = in_front(NET, bernoulli(T))
    rule = bp.rules.backprop(net, bp.cross_entropy)

    def answer(x, key):
        return rule.predict(PARAMS, (), x, key)

    x = jax.random.uniform(KEY, (12, N))
    y = jax.nn.one_hot(answer(x, KEY).argmax(-1), 3)
    budget = Budget(0.1, steps=3, restarts=1, queries=3, samples=2, draws=2)
    found = jax.jit(lambda x: suite(answer, bp.cross_entropy, bp.Batch(x, y), KEY, budget))(x)
    made = claim(jax.tree.map(lambda a: a[None], found), budget, 1 / 3)
    failed = {f.name for f in made.flags if not f.passed}
    assert {"F5", "F9"} <= failed
    assert not made.holds
