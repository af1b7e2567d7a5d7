"""Turnover of units: the function is kept, the least useful die, and their moments with them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus import economy
from bioplaus.structure import rebuilt, turnover

KEY = jax.random.key(0)
NET = bp.mlp([6, 8, 5, 3], bp.relu())
X = jax.random.normal(KEY, (32, 6))
BATCH = bp.Batch(X, jax.nn.one_hot(jnp.arange(32) % 3, 3))
DRAWN: Any = bp.init(NET, KEY, X)
CONSTANT: Any = (  # unit 2 of the first layer answers 0.7 to everything
    {"w": DRAWN[0]["w"].at[:, 2].set(0), "b": DRAWN[0]["b"].at[2].set(0.7)},
    *DRAWN[1:],
)
ZEROS: Any = jax.tree.map(jnp.zeros_like, DRAWN)


def step(tx, params, opt, grads=ZEROS, key=KEY) -> tuple[Any, Any]:
    updates, opt = tx.update(grads, opt, params, batch=BATCH, key=key)
    return optax.apply_updates(params, updates), opt


def ready(tx, params, least, steps=3) -> tuple[Any, Any]:
    """(params, state) after some steps without gradients; the next one replaces unit `least` of the
    first layer."""
    opt = tx.init(params)
    for _ in range(steps):
        params, opt = step(tx, params, opt)
    first = opt.units[0]._replace(
        utility=jnp.where(jnp.arange(8) == least, 0.0, 1e3), due=jnp.float32(1.0)
    )
    return params, opt._replace(units=(first, *opt.units[1:]))


def means(params):
    """Mean currents of the second layer, and the outputs."""
    trace = bp.forward(NET, params, X, KEY)
    return trace.currents[1].mean(0), trace.output


def gone(params):
    return np.flatnonzero(~np.asarray(params[1]["w"]).any(1)).tolist()


def difference(a, b):
    return float(jnp.abs(a - b).max())


@pytest.fixture(scope="module")
def after():
    """(whether means are transferred, unit) -> (params before, after, the state after)."""
    found = {}
    for transfer in (True, False):
        tx = turnover(optax.adam(0.1), NET, rate=0.0, maturity=2, transfer=transfer)
        for unit in (2, 4):
            before, opt = ready(tx, CONSTANT, unit)
            found[transfer, unit] = (before, *step(tx, before, opt))
    return found


def test_a_unit_of_constant_output_is_replaced_and_the_function_stays(after):
    """Without the transfer of its mean the function is broken: the control."""
    for transfer, most, least in ((True, 1e-5, 0.0), (False, np.inf, 1e-2)):
        before, new, _ = after[transfer, 2]
        assert gone(new) == [2]
        assert difference(new[0]["w"][:, 2], before[0]["w"][:, 2]) > 0.1  # it is born again
        assert least <= difference(means(new)[1], means(before)[1]) < most


def test_any_unit_is_replaced_and_the_mean_current_stays(after):
    """The outputs change, because the unit's output varied."""
    for transfer, most, least in ((True, 1e-5, 0.0), (False, np.inf, 1e-2)):
        before, new, _ = after[transfer, 4]
        assert gone(new) == [4]
        assert least <= difference(means(new)[0], means(before)[0]) < most
        assert difference(means(new)[1], means(before)[1]) > 1e-3


def test_new_units_are_safe_and_counted(after):
    opt = after[True, 2][2]
    assert opt.units[0].age.tolist() == [0.0 if j == 2 else 4.0 for j in range(8)]
    assert float(opt.units[0].utility[2]) == 0.0
    assert tuple(map(int, rebuilt((opt,)))) == (6 + 5, 6 + 5)  # what arrives, and what leaves
    assert tuple(map(int, rebuilt(optax.adam(0.1).init(DRAWN)))) == (0, 0)


def test_moments_of_new_units_alone_are_reset():
    tx = turnover(optax.adam(0.1), NET, rate=0.0, maturity=2)
    params, opt = ready(tx, DRAWN, 4)
    opt = step(tx, params, opt, jax.tree.map(jnp.ones_like, params))[1]
    first, second, last = opt.inner[0].mu
    kept = np.arange(8) != 4
    for moments, axis in ((first["w"], 1), (first["b"], 0), (second["w"], 0)):
        of_units = np.moveaxis(np.asarray(moments), axis, 0)
        assert of_units[kept].all()
        assert not of_units[~kept].any()
    assert second["b"].all()
    assert last["w"].all()


def test_as_many_units_die_as_the_rate_says():
    """A fraction is carried over. None dies before it is mature."""
    tx = turnover(optax.sgd(0.1), NET, rate=0.03, maturity=10, decay=0.9)

    def one(carry, i):
        params, opt = step(tx, *carry, key=jax.random.fold_in(KEY, i))
        return (params, opt), (rebuilt(opt).made, opt.units)

    _, (made, units) = jax.lax.scan(one, (DRAWN, tx.init(DRAWN)), jnp.arange(60))
    assert not made[:10].any()
    for layer, size in zip(units, (8, 5), strict=True):
        age = np.asarray(layer.age)
        deaths = (age == 0).sum(1)
        mature = (np.vstack([np.zeros(size), age[:-1]]) + 1 > 10).sum(1)
        due = np.cumsum(0.03 * mature) - np.cumsum(deaths)
        np.testing.assert_allclose(due, layer.due, atol=1e-4)
        assert deaths.sum() > 2
        assert (due < 1).all()
    assert len({len(np.unique(np.asarray(u.age)[-1])) for u in units} - {1}) > 0


def test_the_meter_of_changes_counts_the_turnover():
    tx = economy.metered(turnover(optax.sgd(0.1), NET, rate=1.0, maturity=0))
    after, opt = step(tx, DRAWN, tx.init(DRAWN))
    want = sum(
        float(jnp.abs(a - b).sum())
        for a, b in zip(*map(jax.tree.leaves, (after, DRAWN)), strict=True)
    )
    assert want > 1
    assert economy.efficiency(opt, after).energy == pytest.approx(want, rel=1e-5)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="turnover: rate: expected a number at least 0"):
        turnover(optax.sgd(0.1), NET, rate=-1.0)
    with pytest.raises(ValueError, match="turnover: decay: expected"):
        turnover(optax.sgd(0.1), NET, decay=1.0)
    conv = (bp.conv(4, 3), bp.flattened(bp.dense(3)))
    params = bp.init(conv, KEY, jnp.ones((2, 6, 6, 1)))
    with pytest.raises(ValueError, match="turnover: takes two or more dense layers of one moment"):
        turnover(optax.sgd(0.1), conv).init(params)
    tx = turnover(optax.sgd(0.1), NET)
    with pytest.raises(ValueError, match="without the params, the batch or the key"):
        tx.update(ZEROS, tx.init(DRAWN), DRAWN)
