"""Energy of plasticity against numpy and the theory of the perceptron.

Caching of weight changes and sparse large updates are checked alone, to the last digit.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bioplaus import economy

STEPS = 40
RUNS = {
    "plain": economy.metered(optax.sgd(0.1)),
    "largest": economy.metered(optax.chain(optax.sgd(0.1), economy.largest(1 / 3))),
    "never": optax.chain(optax.sgd(0.1), economy.cached(np.inf)),
    "often": optax.chain(optax.sgd(0.1), economy.cached(0.15)),
    "decay": optax.chain(optax.sgd(0.1), economy.cached(0.15, 5.0)),
}


def start():
    return ({"w": jnp.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]]), "b": jnp.zeros(3)},)


@pytest.fixture(scope="module")
def runs():
    """(params, state) at the end and params after each step of every optimiser in RUNS.

    All descend the same random gradients, in float64.
    """

    def step(carry, key):
        grads = jax.tree.map(lambda p: jax.random.normal(key, p.shape), start())
        found = {}
        for name, (params, state) in carry.items():
            updates, state = RUNS[name].update(grads, state, params)
            found[name] = (optax.apply_updates(params, updates), state)
        return found, {name: params for name, (params, _) in found.items()}

    @jax.jit
    def run():
        first = {name: (start(), tx.init(start())) for name, tx in RUNS.items()}
        return jax.lax.scan(step, first, jax.random.split(jax.random.key(0), STEPS))

    with jax.enable_x64():
        return jax.tree.map(np.asarray, run())


def pairs(a, b):
    return list(zip(*map(jax.tree.leaves, (a, b)), strict=True))


def walked(path):
    """dw [steps, n] of all parameters, by numpy."""
    leaves = [np.concatenate([np.asarray(a)[None], b]) for a, b in pairs(start(), path)]
    return np.concatenate([np.diff(a, axis=0).reshape(STEPS, -1) for a in leaves], axis=1)


def apart(a, b):
    """The largest difference of two trees."""
    return max(float(np.abs(x - y).max()) for x, y in pairs(a, b))


def test_the_meter(runs):
    (ends, path), d = runs, walked(runs[1]["plain"])
    found = economy.efficiency(ends["plain"][1], ends["plain"][0])
    assert found.energy == pytest.approx(np.abs(d).sum(), rel=1e-12)
    assert found.growth == pytest.approx(np.maximum(d, 0).sum(), rel=1e-12)
    assert (found.updates, found.least) == (
        STEPS * 9,
        pytest.approx(np.abs(d.sum(0)).sum(), rel=1e-12),
    )
    assert found.inefficiency == pytest.approx(found.energy / found.least)
    assert found.inefficiency > 2
    assert economy.efficiency(ends["largest"][1], ends["largest"][0]).updates == STEPS * 3
    assert (np.count_nonzero(walked(path["largest"]), axis=1) == 3).all()


def test_the_meter_keeps_small_changes():
    """The meter's sum keeps 10^5 changes that a plain float32 sum loses.

    In float32 2^25 + 1 + 1 + ... stays 2^25.
    """

    @jax.jit
    def both():
        kept = jax.lax.fori_loop(
            0, 100_000, lambda i, t: economy._added(t, 1.0), (jnp.float32(2**25), jnp.float32(0))
        )
        return kept, jax.lax.fori_loop(
            0, 100_000, lambda i, t: t + jnp.float32(1.0), jnp.float32(2**25)
        )

    (total, lost), plain = both()
    assert float(total) - float(lost) == 2**25 + 100_000
    assert float(plain) == 2**25


def test_perceptron():
    """The perceptron's energy and number of updates follow the theory of Li and van Rossum.

    M / M_min = sqrt(pi P) / (2 - P / N), and K = 2 P / (2 - P / N)^2 updates per synapse, for P
    patterns and N = 200 synapses. Simulated weights spread less than a random walk, by some 20 % in
    variance: this sets the tolerance.
    """
    n, loads = 200, (0.5, 1.0, 1.4)
    rng = np.random.default_rng(0)
    most = round(max(loads) * n)
    x, y = (
        jnp.asarray(rng.choice([-1.0, 1.0], (most, n))),
        jnp.asarray(rng.choice([-1.0, 1.0], most)),
    )
    tx = economy.metered(optax.sgd(1.0))

    @jax.jit
    def learn(p):
        def pattern(i, carry):
            w, state, wrong = carry
            miss = (x[i] @ w) * y[i] <= 0
            change, state = tx.update(-x[i] * y[i] * miss, state, w)
            return w + change, state, wrong + miss

        def epoch(carry):
            return jax.lax.fori_loop(0, p, pattern, (*carry[:2], 0))

        w, state, _ = jax.lax.while_loop(
            lambda c: c[2] > 0, epoch, (jnp.zeros(n), tx.init(jnp.zeros(n)), 1)
        )
        return w, state

    for load in loads:
        p = round(load * n)
        w, state = learn(p)
        found = economy.efficiency(state, w)
        assert 0.9 < found.inefficiency / ((np.pi * p) ** 0.5 / (2 - load)) < 1.45
        assert 0.65 < found.updates / n / (2 * p / (2 - load) ** 2) < 1.45


def test_caching_without_decay_costs_the_least(runs):
    """One consolidation at the end, without decay and maintenance costs, spends M_min.

    A low threshold spends more, and with decay the weights differ.
    """
    ends = runs[0]
    plain = ends["plain"][0]

    def ratio(name):
        params, (_, cache) = ends[name]
        least = sum(np.abs(a - np.asarray(b)).sum() for a, b in pairs(params, start()))
        return float(economy.consolidate(cache).consolidation / least)

    assert ratio("never") == pytest.approx(1, abs=1e-6)
    assert float(ends["never"][1][1].maintenance) > 0 == float(ends["never"][1][1].consolidation)
    assert apart(ends["never"][0], plain) < 1e-12 > apart(ends["often"][0], plain)
    assert 1.05 < ratio("often") < economy.efficiency(ends["plain"][1], plain).inefficiency
    assert apart(ends["decay"][0], plain) > 0.05


def test_the_cache_by_hand():
    """Three changes of 0.8 under a threshold of 1 and a time constant of 1 / ln 2, by hand.

    The transient part is 0.8, then 0.4 + 0.8 = 1.2, which is consolidated, then 0.8 again. The
    weight keeps the consolidated part.
    """
    tx = economy.cached(1.0, float(1 / np.log(2)))
    step: Any = jax.jit(lambda s: tx.update(jnp.array([0.8]), s))
    w, seen = np.zeros(1), []
    state: Any = economy.Cache(jnp.zeros(1), jnp.zeros(()), jnp.zeros(()))
    for _ in range(3):
        change, state = step(state)
        w = w + np.asarray(change)
        seen.append((w[0], float(state.transient[0]), float(state.consolidation)))
    np.testing.assert_allclose(seen, [(0.8, 0.8, 0), (1.2, 0, 1.2), (2.0, 0.8, 1.2)], rtol=1e-6)
    assert float(state.maintenance) == pytest.approx(1.6, rel=1e-6)


def test_only_the_largest_gradients_are_kept():
    """A third of each leaf, at least one."""
    grads = (
        {"w": jnp.array([[1.0, -5.0, 2.0], [3.0, -4.0, 0.5]]), "b": jnp.array([0.1, -0.3, 0.2])},
    )
    kept: Any = jax.jit(lambda g: economy.largest(1 / 3).update(g, optax.EmptyState(), g))(grads)[0]
    np.testing.assert_array_equal(kept[0]["w"], [[0, -5, 0], [0, -4, 0]])
    np.testing.assert_array_equal(kept[0]["b"], np.array([0, -0.3, 0], np.float32))


REFUSED = [
    lambda: economy.largest(0.0),
    lambda: economy.largest(1.5),
    lambda: economy.cached(-1.0),
    lambda: economy.cached(1.0, 0.0),
]


@pytest.mark.parametrize("wrong", REFUSED)
def test_invalid_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        wrong()


def test_a_meter_counts_scalars_and_low_precision():
    """A parameter without axes, and more changes than bfloat16 can count one by one."""
    params = {"gain": jnp.zeros(()), "w": jnp.zeros((41, 41), jnp.bfloat16)}
    tx = economy.metered(optax.identity())
    _, spent = tx.update(jax.tree.map(jnp.ones_like, params), tx.init(params), params)
    found = economy.efficiency(spent, jax.tree.map(lambda w: w + 1, params))  # type: ignore[arg-type]
    assert (found.energy, found.updates, found.growth) == (1682, 1682, 1682)
