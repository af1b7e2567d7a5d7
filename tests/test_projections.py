"""Constraints on weights: they hold after every step of every rule, exactly, and what they allow is left as it was."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus import projections
from bioplaus.study.build import build
from bioplaus.study.settings import Arm
from bioplaus.train import make_train, replicate, seed_keys

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (40, 6))
DATA = bp.Batch(X, jax.nn.one_hot((X[:, 0] > 0).astype(int) + (X[:, 1] > 0), 3))
NET = bp.mlp([6, 8, 8, 3], bp.hard_sigmoid())
PARAMS = bp.init(NET, KEY, X)
CNN = bp.init((bp.conv(4, 3), bp.conv(5, 3), bp.flattened(bp.dense(3))), KEY, jnp.ones((2, 6, 6, 1)))
ALL = optax.chain(projections.low_bit(4), projections.dale(0.75), projections.sparse(0.5, KEY))


def w_of(params) -> list[np.ndarray]:
    return [np.asarray(p["w"]) for p in params]


def moved(tx, params, steps=1, scale=1.0):
    """The params after steps of random updates under tx, compiled."""

    def step(carry, key):
        params, state = carry
        noise = jax.tree.map(lambda a: scale * jax.random.normal(jax.random.fold_in(key, a.size), a.shape, a.dtype), params)
        updates, state = tx.update(noise, state, params)
        return (optax.apply_updates(params, updates), state), None

    return jax.jit(lambda p: jax.lax.scan(step, (p, tx.init(p)), jax.random.split(KEY, steps))[0][0])(params)


def wrong_signs(ws) -> int:
    """Rows, over [steps, ..., n_in, n_out], with a weight of either sign at any two steps."""
    return int(((ws > 0).any((0, -1)) & (ws < 0).any((0, -1))).sum())


@pytest.mark.parametrize("name", ["bp", "fa", "ep", "softhebb"])
def test_no_step_of_any_rule_leaves_the_set(name):
    """All constraints at once and, beside them in the same program, none."""
    rule, adam = bp.rules.RULES[name](NET, bp.cross_entropy), optax.adam(0.05)

    def train(key, constrained):
        params = bp.init(NET, key, X)

        def step(carry, t):
            params, opt, kept, state = carry
            grads, state, _ = rule.grad(params, state, DATA, jax.random.fold_in(key, t))
            free, opt = adam.update(grads, opt)
            updates, kept = ALL.update(free, kept, params)
            updates = jax.tree.map(lambda u, f: jnp.where(constrained, u, f), updates, free)
            params = optax.apply_updates(params, updates)
            return (params, opt, kept, state), params

        start = (params, adam.init(params), ALL.init(params), rule.init(key, params, DATA))
        return jax.lax.scan(step, start, jnp.arange(12))[1]

    both = jax.jit(jax.vmap(jax.vmap(train, (0, None), 1), (None, 0)))(seed_keys(2), jnp.array([True, False]))
    for l, (w, control) in enumerate(w_of(both)):  # [steps, seeds, n_in, n_out]
        for s in range(2):
            assert 3 <= len(np.unique(w[:, s])) <= 15
            assert 0 < (w[:, s] != 0).any(0).sum() <= w[0, s].size / 2
        assert len(np.unique(control)) > 100
        assert (control != 0).all()
        if l:
            assert (w[0] != w[-1]).any() or (name == "softhebb" and l < len(PARAMS) - 1)
            assert wrong_signs(w) == 0
            assert wrong_signs(control) > 0


@pytest.mark.parametrize("inputs", [False, True])
def test_dale_signs(inputs):
    tx = projections.dale(0.75, inputs=inputs)
    start, end = projections.project(tx, CNN), moved(tx, CNN, steps=20)
    for params in (start, end):
        for l, w in enumerate(w_of(params)):
            channels = np.moveaxis(w, -2, 0).reshape(w.shape[-2], -1)
            mixed = (channels > 0).any(1) & (channels < 0).any(1)
            if l or inputs:
                assert not mixed.any()
            else:
                np.testing.assert_array_equal(w, w_of(CNN)[0] if params is start else w_of(moved(optax.identity(), CNN, 20))[0])
    for w, old in list(zip(w_of(start), w_of(CNN), strict=True))[1:]:
        other = [axis for axis in range(w.ndim) if axis != w.ndim - 2]
        excitatory = (w > 0).any(tuple(other))
        assert excitatory.sum() == round(0.75 * w.shape[-2])
        assert old.sum(tuple(other))[excitatory].min() > old.sum(tuple(other))[~excitatory].max()
        np.testing.assert_array_equal(w[w != 0], old[w != 0])
        assert 0.2 < (w == 0).mean() < 0.6
    assert all((p["b"] != q["b"]).all() for p, q in zip(end, CNN, strict=True))  # biases move, and take both signs


@pytest.mark.parametrize(("fraction", "allowed"), [(0.0, 0), (1.0, 8)])
def test_dale_fractions(fraction, allowed):
    assert (w_of(projections.project(projections.dale(fraction), PARAMS))[1] > 0).any(1).sum() == allowed


@pytest.mark.parametrize("density", [0.1, 0.5, 1.0])
def test_density_is_exact(density):
    tx = projections.sparse(density, KEY)
    end = w_of(moved(tx, CNN, steps=5))
    for start, w, old in zip(w_of(projections.project(tx, CNN)), end, w_of(CNN), strict=True):
        assert (w != 0).sum() == round(density * w.size)
        np.testing.assert_array_equal(start != 0, w != 0)
        np.testing.assert_array_equal(start[w != 0], old[w != 0])


@pytest.mark.parametrize("limit", [None, 1.0])
@pytest.mark.parametrize("bits", [2, 4, 16])
def test_levels_are_exact(bits, limit):
    top = 2 ** (bits - 1) - 1
    for scale in (0.01, 10.0):  # the second jumps across the range at the first step, where rounding is at its worst
        for w, old in zip(w_of(moved(projections.low_bit(bits, limit), CNN, 1, scale)), w_of(CNN), strict=True):
            reach = limit or 4 * np.sqrt((old**2).mean())
            q = 2.0 ** np.floor(np.log2(reach / top))
            assert (w / q == np.round(w / q)).all()
            assert np.abs(w).max() <= top * q <= reach
    ws = w_of(moved(projections.low_bit(bits, limit), CNN, 30, 0.05))
    assert all(len(np.unique(w)) <= 2 * top + 1 for w in ws)


def test_small_updates_are_not_lost():
    tx, w = projections.low_bit(4, 1.0), {"w": jnp.zeros((2, 2))}

    @jax.jit
    def after(rate, n):
        def step(_, carry):
            updates, state = tx.update({"w": jnp.full((2, 2), rate)}, carry[1], carry[0])
            return optax.apply_updates(carry[0], updates), state

        return jax.lax.fori_loop(0, n, step, (w, tx.init(w)))[0]["w"][0, 0]

    assert float(after(0.01, 6)) == 0
    assert float(after(0.01, 7)) == 0.125  # above half a step of 1/8
    assert float(after(0.01, 1000)) == 0.875  # seven steps, the largest
    assert float(after(-0.01, 1000)) == -0.875


def test_bounds_hold_exactly():
    for low, high in ((-0.1, 0.1), (-3.0, 0.1), (0.3, 0.7)):
        for scale in (0.01, 1.0, 100.0):
            for w in w_of(moved(projections.bounded(low, high), CNN, 3, scale)):
                assert w.min() >= np.float32(low)
                assert w.max() <= np.float32(high)
                assert abs(w.max() - high) < 1e-6 or scale < 1


def test_free_weights_leave_the_bounds():
    assert np.abs(w_of(moved(optax.identity(), CNN, 3))[0]).max() > 1


def test_what_is_allowed_is_left_as_it_was():
    for tx in (projections.bounded(-100, 100), projections.sparse(1.0, KEY), projections.dale(0.5)):
        updates = jax.tree.map(lambda a: 1e-9 * jnp.sign(a), CNN)  # away from 0
        inside = projections.project(tx, CNN)
        found, _ = tx.update(updates, tx.init(inside), inside)
        for w, u, f in zip(w_of(inside), w_of(updates), w_of(found), strict=True):
            np.testing.assert_array_equal(f[w != 0], u[w != 0])


@pytest.mark.parametrize(
    "tx", [projections.dale(0.5), projections.sparse(0.3, KEY), projections.bounded(-0.1, 0.1), projections.low_bit(3, 1.0)]
)
def test_projecting_twice_is_projecting_once(tx):
    once = projections.project(tx, CNN)
    for a, b in zip(w_of(once), w_of(projections.project(tx, once)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(w_of(once), w_of(CNN), strict=True))


@pytest.mark.parametrize(
    "tx", [projections.dale(), projections.sparse(0.9, KEY), projections.bounded(-1, 1), projections.low_bit(4)]
)
def test_divergence_is_not_hidden(tx):
    updates = jax.tree.map(lambda a: jnp.full_like(a, jnp.nan), PARAMS)
    found = optax.apply_updates(PARAMS, tx.update(updates, tx.init(PARAMS), PARAMS)[0])
    assert all(np.isnan(w).any() for w in w_of(found))


def test_each_seed_has_its_own_and_the_same_alone():
    tx = optax.chain(optax.sgd(0.1), ALL)
    train = make_train(NET, bp.rules.backprop(NET, bp.cross_entropy), tx, DATA, batch_size=16)
    many = replicate(train)
    together = w_of(many.advance(many.init(seed_keys(2)), 3)[0].params)[1]
    alone = w_of(train.advance(train.init(jax.random.key(1)), 3)[0].params)[1]
    np.testing.assert_allclose(together[1], alone, atol=1e-6)
    assert ((together[0] != 0) != (together[1] != 0)).any()


def test_a_study_constrains_the_net_and_not_the_rules_own_weights():
    words = {"dale": True, "density": 0.5, "bits": 4, "bound": 1.0, "learning_rate": 0.1}
    arm = Arm.model_validate({"rule": "kp", "net": {"hidden": (8, 8)}, "optimiser": words})
    built = build(arm, X[:1], 3)
    train = make_train(built.net, built.rule(built.net), built.tx, DATA, batch_size=16)
    state, _ = train.advance(train.init(KEY), 3)
    w, b = w_of(state.params)[1], np.asarray(state.rule.feedback[1]["w"])
    assert wrong_signs(w[None]) == 0
    assert 0 < (w != 0).sum() <= 32
    assert set(np.unique(8 * w)) <= set(range(-7, 8))
    assert wrong_signs(b[None]) == 8
    assert len(np.unique(b)) == 64


@pytest.mark.parametrize(("words", "bound"), [({"bound": 0.05}, 0.05), ({}, None)])
def test_a_study_without_bits_is_bounded_or_free(words, bound):
    built = build(Arm.model_validate({"net": {"hidden": (8,)}, "optimiser": words}), X[:1], 3)
    largest = max(np.abs(w).max() for w in w_of(moved(built.tx, bp.init(built.net, KEY, X), 3)))
    assert largest <= np.float32(bound) if bound else largest > 0.1


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: projections.dale(1.1), "excitatory is 1.1"),
        (lambda: projections.dale(-0.1), "excitatory is -0.1"),
        (lambda: projections.bounded(1.0, 1.0), "low < high"),
        (lambda: projections.sparse(0.0, KEY), "density is 0.0"),
        (lambda: projections.sparse(1.5, KEY), "density is 1.5"),
        (lambda: projections.low_bit(1), "2 to 16"),
        (lambda: projections.low_bit(17), "2 to 16"),
        (lambda: projections.low_bit(4, 0.0), "limit is 0.0"),
        (lambda: projections.sparse(0.001, KEY).init(PARAMS), "leaves none"),
        (lambda: projections.dale(inputs=True).init(({"w": jnp.ones((2, 2, 2))},)), r"\(2, 2, 2\)"),
        (lambda: projections.bounded(-1, 1).update(PARAMS, projections.bounded(-1, 1).init(PARAMS)), "without the params"),
        (lambda: Arm.model_validate({"optimiser": {"bits": 20}}), "bits"),
    ],
)
def test_bad_arguments_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()
