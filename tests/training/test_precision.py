"""Number formats: what is in which, and that float64 stays local."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus.rules import RULES
from bioplaus.study import Study, run_study
from bioplaus.study.plan import plan
from bioplaus.training.precision import bfloat16
from bioplaus.training.train import make_train

pytestmark = pytest.mark.thorough

DATA = bp.data.load("digits")
BASE = {
    "steps": 60,
    "seeds": 2,
    "points": 2,
    "net": {"hidden": [16]},
    "robustness": False,
    "energy": False,
    "alignment": False,
}


@pytest.mark.parametrize("key", ["fa", "ep"])
def test_bfloat16_computes_low_and_keeps_high(key):
    net = bp.mlp([64, 16, 10])
    rule = RULES[key](net, bp.cross_entropy)
    found = {}

    def spy(params, state, batch, k, gate=None):
        found["seen"] = {a.dtype for a in jax.tree.leaves((params, batch))}
        return rule.grad(params, state, batch, k, gate)

    low, high = (
        make_train(net, r, optax.sgd(0.1, momentum=0.9), DATA.train)
        for r in (bfloat16(rule._replace(grad=spy)), rule)
    )
    (a, loss_a), (b, loss_b) = (t.advance(t.init(jax.random.key(0)), 40) for t in (low, high))
    assert found["seen"] == {jnp.dtype(jnp.bfloat16)}
    assert {
        x.dtype for x in jax.tree.leaves((a.params, a.opt)) if jnp.issubdtype(x.dtype, jnp.floating)
    } == {jnp.dtype(jnp.float32)}
    gap = max(
        float(abs(x - y).max())
        for x, y in zip(jax.tree.leaves(a.params), jax.tree.leaves(b.params), strict=True)
    )
    assert 1e-6 < gap < 0.1  # rounding shows, and no more than it
    assert abs(float(loss_a["loss"][-10:].mean() - loss_b["loss"][-10:].mean())) < 0.1


def test_precision_of_a_study():
    def last(precision):
        rows = run_study(Study(name="s", base={**BASE, "precision": precision}), show=False).rows
        return {
            m: np.mean(
                [r.value for r in rows if r.measure == m and r.condition in ("clean", "step=60")]
            )
            for m in ("accuracy", "loss")
        }

    single, half, double = (last(p) for p in ("float32", "bfloat16", "float64"))
    assert not jax.config.jax_enable_x64  # type: ignore[attr-defined]
    # other draws of the first weights
    assert abs(double["loss"] - single["loss"]) < 0.05 * single["loss"]
    assert 1e-5 * single["loss"] < abs(half["loss"] - single["loss"]) < 0.05 * single["loss"]
    assert abs(half["accuracy"] - single["accuracy"]) < 0.05


def test_float64_is_float64(tmp_path):
    study = Study(name="s", base={**BASE, "steps": 2, "precision": "float64"})
    (p,) = plan(study)
    assert p.data.train.x.dtype == np.float64
    run_study(study, out=tmp_path / "run", show=False)
    assert {a.dtype for a in jax.tree.leaves(bp.load(tmp_path / "run").params)} == {
        jnp.dtype(jnp.float64)
    }
    assert jnp.zeros(1).dtype == jnp.float32
