"""Constraints on weights hold exactly after every step, and leave allowed weights unchanged."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus import projections
from bioplaus.study.build import build
from bioplaus.study.settings import Arm
from bioplaus.training.seeds import seed_keys

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (40, 6))
DATA = bp.Batch(X, jax.nn.one_hot((X[:, 0] > 0).astype(int) + (X[:, 1] > 0), 3))
NET = bp.mlp([6, 8, 3], bp.hard_sigmoid())
PARAMS = bp.init(NET, KEY, X)
CNN = bp.init(
    (bp.conv(4, 3), bp.conv(5, 3), bp.flattened(bp.dense(9))), KEY, jnp.ones((2, 6, 6, 1))
)
ALL = optax.chain(
    projections.low_bit(4), projections.dale(0.75, inputs=True), projections.sparse(0.5, KEY)
)
ADAM = optax.adam(0.05)


def w_of(params) -> list[np.ndarray]:
    return [np.asarray(p["w"]) for p in params]


def moved(tx, params=PARAMS, steps=3, scales=(1.0,)) -> list[np.ndarray]:
    """Weights [scales, steps, ...] of each layer after each of some random updates under tx."""

    def run(scale):
        def step(carry, noise):
            params, state = carry
            updates, state = tx.update(jax.tree.map(lambda a: scale * a, noise), state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), params

        return jax.lax.scan(step, (params, tx.init(params)), noises)[1]

    rng = np.random.default_rng(0)
    noises = jax.tree.map(lambda a: rng.standard_normal((steps, *a.shape), np.float32), params)
    return w_of(jax.jit(jax.vmap(run))(jnp.array(scales)))


def projected(tx, params=PARAMS):
    return jax.jit(lambda p: projections.project(tx, p))(params)


def wrong_signs(ws) -> int:
    """Rows, over [steps, ..., n_in, n_out], with a weight of either sign at any two steps."""
    return int(((ws > 0).any((0, -1)) & (ws < 0).any((0, -1))).sum())


@pytest.fixture(scope="module")
def started():
    """Params and the state of ALL of two seeds."""
    return jax.jit(jax.vmap(lambda key: (p := bp.init(NET, key, X), ALL.init(p))))(seed_keys(2))


@pytest.mark.parametrize("name", ["bp", "fa", "ep", "softhebb"])
def test_no_step_of_any_rule_leaves_the_set(name, started):
    """All constraints at once and, beside them in the same program, none."""
    rule = bp.rules.RULES[name](NET, bp.cross_entropy)

    def train(start, constrained):
        def step(carry, t):
            params, opt, kept, state = carry
            grads, state, _ = rule.grad(params, state, DATA, jax.random.fold_in(KEY, t))
            free, opt = ADAM.update(grads, opt)
            updates, kept = ALL.update(free, kept, params)
            updates = jax.tree.map(lambda u, f: jnp.where(constrained, u, f), updates, free)
            params = optax.apply_updates(params, updates)
            return (params, opt, kept, state), params

        params, kept = start
        return jax.lax.scan(
            step, (params, ADAM.init(params), kept, rule.init(KEY, params, DATA)), jnp.arange(12)
        )[1]

    both = jax.jit(jax.vmap(jax.vmap(train, (0, None), 1), (None, 0)))(
        started, jnp.array([True, False])
    )
    for l, (w, control) in enumerate(w_of(both)):  # [steps, seeds, n_in, n_out]
        for s in range(2):
            assert len(np.unique(w[:, s])) <= 15
            assert 0 < (w[:, s] != 0).any(0).sum() <= w[0, s].size / 2
        assert wrong_signs(w) == 0
        assert (w[0] != w[-1]).any() or (name == "softhebb" and l == 0)
        assert len(np.unique(control)) > 100
        assert (control != 0).all()
        assert wrong_signs(control) > 0


@pytest.mark.parametrize("inputs", [False, True])
def test_dale_signs(inputs):
    """Each unit is excitatory or inhibitory: a row of a dense layer, a channel of a convolution.

    The sign of a channel is the same at every position of the kernel.
    """
    tx = projections.dale(0.75, inputs=inputs)
    start, later = w_of(projected(tx, CNN)), moved(tx, CNN)
    for l, (w, then, old) in enumerate(zip(start, later, w_of(CNN), strict=True)):
        rows, then, old_rows = (
            np.moveaxis(a, -2, 0).reshape(w.shape[-2], -1) for a in (w, then, old)
        )
        excitatory = (rows > 0).any(1)
        if l == 0 and not inputs:
            np.testing.assert_array_equal(w, old)
            assert ((then > 0).any(1) & (then < 0).any(1)).all()
            continue
        assert excitatory.sum() == round(0.75 * len(rows))
        assert (rows[excitatory] >= 0).all()
        assert (rows[~excitatory] <= 0).all()
        assert (then[excitatory] >= 0).all()
        assert (then[~excitatory] <= 0).all()
        assert (
            rows == np.where(np.sign(old_rows) == np.where(excitatory, 1, -1)[:, None], old_rows, 0)
        ).all()
        assert old_rows[excitatory].sum(1).min() > old_rows[~excitatory].sum(1).max(initial=-np.inf)


@pytest.mark.parametrize(("fraction", "allowed"), [(0.0, 0), (1.0, 8)])
def test_dale_fractions(fraction, allowed):
    assert (w_of(projected(projections.dale(fraction)))[1] > 0).any(1).sum() == allowed


@pytest.mark.parametrize("density", [0.1, 0.5])
def test_density_is_exact(density):
    for w in moved(projections.sparse(density, KEY)):
        assert (w[0, 0] != 0).sum() == round(density * w[0, 0].size)
        assert ((w != 0) == (w[0, 0] != 0)).all()


@pytest.mark.parametrize(("bits", "limit"), [(2, None), (4, 1.0), (16, None)])
def test_levels_are_exact(bits, limit):
    """The second scale jumps across the range at the first step, where rounding is at its worst."""
    top = 2 ** (bits - 1) - 1
    for w, old in zip(
        moved(projections.low_bit(bits, limit), steps=20, scales=(0.02, 2.0)),
        w_of(PARAMS),
        strict=True,
    ):
        reach = limit or 4 * np.sqrt((old**2).mean())
        q = 2.0 ** np.floor(np.log2(reach / top))
        assert (w / q == np.round(w / q)).all()
        assert np.abs(w).max() == top * q <= reach


def test_small_updates_are_not_lost():
    tx, w = projections.low_bit(4, 1.0), {"w": jnp.zeros((2, 2))}

    def step(carry, _):
        updates, state = tx.update(
            {"w": jnp.array([[0.01, -0.01], [1e-5, 0.0]])}, carry[1], carry[0]
        )
        w = jax.tree.map(jnp.add, carry[0], updates)
        return (w, state), w["w"]

    found = np.asarray(jax.lax.scan(step, (w, tx.init(w)), length=400)[1])
    np.testing.assert_array_equal(found[5], 0.0)
    np.testing.assert_array_equal(found[6], [[0.125, -0.125], [0, 0]])  # above half a step of 1/8
    np.testing.assert_array_equal(found[-1], [[0.875, -0.875], [0, 0]])  # seven steps, the largest


@pytest.mark.parametrize(("low", "high"), [(-0.1, 0.1), (-3.0, 0.1), (0.3, 0.7)])
def test_bounds_hold_exactly(low, high):
    for w in moved(projections.bounded(low, high), scales=(0.01, 1.0, 100.0)):
        assert w.min() >= np.float32(low)
        assert w.max() <= np.float32(high)
        assert w[1].max() > high - 1e-6


def test_without_a_constraint_weights_leave_every_set():
    """The control of the tests above."""
    for w in moved(optax.identity()):
        assert np.abs(w).max() > 1
        assert (w != 0).all()
        assert wrong_signs(w[0]) > 0


def test_allowed_weights_are_unchanged():
    constraints = (
        projections.bounded(-100, 100),
        projections.sparse(0.5, KEY),
        projections.dale(0.5, inputs=True),
    )

    def found(params):
        for tx in constraints:
            inside = projections.project(tx, params)
            # away from 0; biases anywhere
            updates = jax.tree.map(lambda a: 1e-9 * jnp.sign(a) + (a.ndim == 1), inside)
            yield inside, updates, tx.update(updates, tx.init(inside), inside)[0]

    for trees in jax.jit(lambda params: list(found(params)))(PARAMS):
        for p, u, f in zip(*trees, strict=True):
            assert (p["w"] != 0).any()
            np.testing.assert_array_equal(f["w"][p["w"] != 0], u["w"][p["w"] != 0])
            np.testing.assert_array_equal(f["b"], u["b"])


@pytest.mark.parametrize(
    "tx",
    [
        projections.dale(0.5),
        projections.sparse(0.3, KEY),
        projections.bounded(-0.1, 0.1),
        projections.low_bit(3, 1.0),
    ],
)
def test_projecting_twice_is_projecting_once(tx):
    once = projected(tx)
    for a, b in zip(w_of(once), w_of(projected(tx, once)), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(w_of(once), w_of(PARAMS), strict=True))


def test_divergence_is_not_hidden():
    constraints = (
        projections.dale(),
        projections.sparse(0.9, KEY),
        projections.bounded(-1, 1),
        projections.low_bit(4),
    )
    updates = jax.tree.map(lambda a: jnp.full_like(a, jnp.nan), PARAMS)
    found = jax.jit(
        lambda p: [
            optax.apply_updates(p, tx.update(updates, tx.init(p), p)[0]) for tx in constraints
        ]
    )(PARAMS)
    assert all(np.isnan(w).any() for params in found for w in w_of(params))


def test_each_seed_has_its_own_constraints(started):
    _, (bits, signs, masks) = started
    for own in (bits, signs, masks):
        assert all((a[0] != a[1]).any() for a in jax.tree.leaves(own) if a.ndim > 1)


def test_a_study_constrains_the_net_and_not_the_rules_own_weights():
    words = {"dale": True, "density": 0.5, "bits": 4, "bound": 1.0, "learning_rate": 0.1}
    arm = Arm.model_validate({"rule": "kp", "net": {"hidden": (8,)}, "optimiser": words})
    built = build(arm, X[:1], 3)
    rule = built.rule(built.net)

    def step(params):
        grads, state, _ = rule.grad(params, rule.init(KEY, params, DATA), DATA, KEY)
        updates, _ = built.tx.update(grads, built.tx.init(params), params)
        return jax.tree.map(jnp.add, params, updates)[1]["w"], state.feedback[1]["w"]

    w, b = (np.asarray(a) for a in jax.jit(step)(PARAMS))
    assert wrong_signs(w[None]) == 0
    assert 0 < (w != 0).sum() <= 12
    assert set(np.unique(8 * w)) <= set(range(-7, 8))
    assert wrong_signs(b[None]) > 0
    assert len(np.unique(b)) == 24


@pytest.mark.parametrize(("words", "bound"), [({"bound": 0.05}, 0.05), ({}, None)])
def test_a_study_without_bits_is_bounded_or_free(words, bound):
    built = build(Arm.model_validate({"net": {"hidden": (8,)}, "optimiser": words}), X[:1], 3)
    largest = max(np.abs(w).max() for w in moved(built.tx))
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
        (
            lambda: projections.bounded(-1, 1).update(
                PARAMS, projections.bounded(-1, 1).init(PARAMS)
            ),
            "without the params",
        ),
        (lambda: Arm.model_validate({"optimiser": {"bits": 20}}), "bits"),
    ],
)
def test_bad_arguments_are_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()
