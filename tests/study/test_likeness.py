"""Likeness of hidden layers, seed by seed, for nets that answer by a forward pass."""

import jax
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.measure.representation import (
    cka_table,
    dead_units,
    effective_dimension,
    rsa_table,
    sparsity,
)
from bioplaus.study.arm import PROBE_EXAMPLES, compiled_of, of_all_seeds
from bioplaus.study.build import build
from bioplaus.study.deployed import Deployed
from bioplaus.study.labels import label_of
from bioplaus.study.representations import likeness_rows
from bioplaus.study.settings import Arm
from bioplaus.training.seeds import seed_keys

pytestmark = pytest.mark.thorough

DATA, SEEDS = bp.data.load("digits"), 3
ARMS = {
    rule: Arm.model_validate({"rule": rule, "net": {"hidden": [8, 6]}, "seeds": SEEDS})
    for rule in ("bp", "fa", "ep")
}
BUILT = {rule: build(arm, DATA.train.x[:1], 10) for rule, arm in ARMS.items()}


@pytest.fixture(scope="module")
def state():
    return of_all_seeds(ARMS["bp"], compiled_of(ARMS["bp"], DATA.train.x[:1], 10), DATA).init(
        seed_keys(SEEDS)
    )


def rows_of(rule, state, twin=None):
    """Rows of a net with these states, compared with `twin`, or with itself."""
    own = Deployed(BUILT[rule], "on", state)
    return likeness_rows(own, twin or own, DATA.test, label_of(ARMS[rule]), jax.vmap)


def test_layers_are_compared_with_those_of_the_twin_at_the_same_seed(state):
    """Another net of the same shapes; backprop itself meets its next seed."""
    other = state._replace(
        params=jax.tree.map(
            lambda w: w + 0.3 * np.random.default_rng(0).normal(size=w.shape), state.params
        )
    )
    x, key = DATA.test.x[:PROBE_EXAMPLES], jax.random.key(0)
    inputs = jax.jit(
        jax.vmap(lambda params: bp.forward(BUILT["bp"].net, params, x, key).inputs[1:])
    )
    hidden = [
        [[np.asarray(h[s]) for h in inputs(states.params)] for s in range(SEEDS)]
        for states in (other, state)
    ]
    twin = Deployed(BUILT["bp"], "on", state)
    of_fa = {r[5:8]: r.value for r in rows_of("fa", other, twin)}
    found = of_fa | {r[5:8]: r.value for r in rows_of("bp", state)}
    assert len(of_fa) == SEEDS * (2 * 4 + 2 * 3)
    for s, l in np.ndindex(SEEDS, 2):
        layer = hidden[0][s][l]
        for name, measure in (
            ("effective dimension", effective_dimension),
            ("sparsity", sparsity),
            ("dead units", dead_units),
        ):
            assert of_fa[str(s), f"layer={l + 1}", name] == pytest.approx(
                float(measure(layer)), rel=1e-3
            )
    assert 1 < of_fa["0", "layer=2", "effective dimension"] <= 6
    for name, table in (("cka", jax.jit(cka_table)), ("rsa", rsa_table)):
        for s in range(SEEDS):
            to_twin, to_next = (
                np.asarray(table(hidden[i][s], hidden[1][j % SEEDS]))
                for i, j in ((0, s), (1, s + 1))
            )
            for l, m in np.ndindex(2, 2):
                where = (str(s), f"layer={l + 1} twin layer={m + 1}")
                assert found[*where, f"{name} to backprop"] == pytest.approx(
                    to_twin[l, m], abs=1e-3
                )
                assert found[*where, f"{name} between seeds"] == pytest.approx(
                    to_next[l, m], abs=1e-3
                )
        crossed = table(hidden[0][0], hidden[1][1])[0, 0]
        assert abs(crossed - found["0", "layer=1 twin layer=1", f"{name} to backprop"]) > 0.01


def test_only_rules_that_predict_by_a_forward_pass_are_compared(state):
    """Representations are compared with backprop's only if the rule predicts by a forward pass.

    All rules start from the same weights at a seed. Equilibrium propagation settles first, and a
    single seed of backprop has no other to be compared with.
    """
    twin = Deployed(BUILT["bp"], "on", state)
    same = {(r.measure, r.condition): r.value for r in rows_of("fa", state, twin)}
    assert same["cka to backprop", "layer=1 twin layer=1"] == pytest.approx(1, abs=1e-5)
    assert same["cka to backprop", "layer=1 twin layer=2"] < 0.99
    assert rows_of("ep", state, twin) == []
    assert rows_of("bp", jax.tree.map(lambda a: a[:1], state)) == []
    assert likeness_rows(twin, None, DATA.test, label_of(ARMS["bp"]), jax.vmap) == []
