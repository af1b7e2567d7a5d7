"""Rewiring: the number of synapses is exact at every step, and what is not there is 0."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus.structure import rebuilt, rewired
from bioplaus.training.seeds import seed_keys

KEY = jax.random.key(0)
NET = bp.mlp([6, 8, 5, 3], bp.tanh())
X = jax.random.normal(KEY, (32, 6))
BATCH = bp.Batch(X, jax.nn.one_hot(jnp.arange(32) % 3, 3))
PARAMS: Any = bp.init(NET, KEY, X)
RULE = bp.rules.backprop(NET, bp.cross_entropy)
WANTED = [10, 8, 3]  # 0.2 of 48, 40 and 15


def course(tx, steps: int = 12, params=PARAMS) -> Any:
    """(params, state) after each step, stacked."""

    def one(carry, i):
        params, opt = carry
        grads = RULE.grad(params, (), BATCH, jax.random.fold_in(KEY, i))[0]
        updates, opt = tx.update(grads, opt, params)
        params = optax.apply_updates(params, updates)
        return (params, opt), (params, opt, grads)

    start = tx.init(params)
    return start, *jax.lax.scan(one, (params, start), jnp.arange(steps))[1]


@pytest.fixture(scope="module", params=[False, True])
def moving(request):
    tx = rewired(optax.adam(1e-2), 0.2, KEY, every=3, by_gradient=request.param)
    return request.param, *course(tx)


def test_the_number_of_synapses_is_exact_at_every_step(moving):
    _, start, params, opt, _ = moving
    for l, n in enumerate(WANTED):
        exists = np.asarray(opt.exists[l]["w"])
        assert int(start.exists[l]["w"].sum()) == n
        assert set(exists.sum((1, 2)).tolist()) == {n}
        w = np.asarray(params[l]["w"])
        assert not w[~exists].any()
        assert (w != 0).sum((1, 2)).max() == n
        assert np.asarray(params[l]["b"])[-1].any()
    dense = course(optax.adam(1e-2))[1]
    assert (np.asarray(dense[0]["w"]) != 0).all()  # control


def test_the_weakest_go_and_new_ones_start_at_zero(moving):
    """At every third step; at random, or where the gradient is largest."""
    by_gradient, start, params, opt, grads = moving
    for l, n in enumerate(WANTED):
        exists = np.concatenate([start.exists[l]["w"][None], opt.exists[l]["w"]])
        changed = (exists[1:] != exists[:-1]).any((1, 2))
        assert changed.tolist() == [False, False, True] * 4
        before, after, w = exists[2], exists[3], np.asarray(params[l]["w"])
        new, removed = after & ~before, before & ~after
        assert new.sum() == removed.sum() == round(0.3 * n)
        assert not w[2][new].any()
        # sizes one step earlier: one step of Adam changes them by 0.01 at most
        assert np.abs(w[1])[removed].max() < np.abs(w[1])[before & after].min() + 0.02
        if by_gradient:
            slope = np.abs(np.asarray(grads[l]["w"])[2])
            assert slope[new].min() >= slope[~before & ~new].max()
    total = 4 * sum(round(0.3 * n) for n in WANTED)
    assert tuple(int(n[-1]) for n in rebuilt(opt)) == (total, total)


def test_a_new_synapse_has_no_past(moving):
    _, _, _, opt, _ = moving
    mu = np.asarray(opt.inner[0].mu[0]["w"])
    exists = np.asarray(opt.exists[0]["w"])
    assert not mu[~exists].any()
    assert not mu[2][exists[2] & ~exists[1]].any()
    assert mu[2][exists[2] & exists[1]].all()


def test_seeds_differ():
    tx = rewired(optax.adam(1e-2), 0.2, KEY, every=3)

    def of_seed(key):
        start, _, opt, _ = course(tx, 3, bp.init(NET, key, X))
        return start.exists[0]["w"], opt.exists[0]["w"][-1]

    first, last = jax.vmap(of_seed)(seed_keys(2))
    assert (first[0] != first[1]).any()
    assert (last[0] != last[1]).any()
    assert first.sum((1, 2)).tolist() == last.sum((1, 2)).tolist() == [10, 10]


def test_bad_input_is_refused():
    bad: Any = (
        ("rewired: density: expected a number above 0", (0.0, {})),
        ("rewired: fraction: expected", (0.2, {"fraction": 0.0})),
        ("rewired: every: expected a whole number", (0.2, {"every": 0})),
    )
    for words, arguments in bad:
        with pytest.raises(ValueError, match=words):
            rewired(optax.sgd(0.1), arguments[0], KEY, **arguments[1])
    with pytest.raises(ValueError, match=r"14 of 46 synapses are to move, .* have 2 free places"):
        rewired(optax.sgd(0.1), 0.95, KEY).init(PARAMS)
    with pytest.raises(ValueError, match=r"rewired: a density of 0\.01 leaves none of the 48"):
        rewired(optax.sgd(0.1), 0.01, KEY).init(PARAMS)
    tx = rewired(optax.sgd(0.1), 0.2, KEY)
    with pytest.raises(ValueError, match="without the params"):
        tx.update(PARAMS, tx.init(PARAMS))
