"""Incremental predictive coding keeps activities between steps: how it learns of a new batch.

A batch of another size is refused.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.rules import RULES
from bioplaus.study.run import run_study
from bioplaus.study.spec import Study
from bioplaus.training.train import make_train
from bioplaus.types import Batch

NET = mlp((4, 5, 3))
DATA = Batch(
    jnp.asarray(np.random.default_rng(0).standard_normal((12, 4))), jnp.eye(3)[jnp.arange(12) % 3]
)


def test_training_presents_each_batch_hold_times():
    """Only with the first call of each batch the hidden layer rests, whatever the chunks."""
    train = make_train(
        NET, RULES["ipc"](NET, cross_entropy, hold=3), optax.sgd(0.1), DATA, batch_size=4, hold=3
    )
    state, moved = train.init(jax.random.key(0)), []
    for _ in range(7):
        before = np.asarray(state.params[0]["w"])
        state, _ = train.advance(state, 1)
        moved.append(bool(np.any(state.params[0]["w"] != before)))
    assert moved == [False, True, True, False, True, True, False]


def test_a_batch_of_another_size_is_refused():
    rule = RULES["ipc"](NET, cross_entropy)
    params = (
        make_train(NET, rule, optax.sgd(0.1), DATA, batch_size=4).init(jax.random.key(0)).params
    )
    state = rule.init(jax.random.key(1), params, jax.tree.map(lambda a: a[:4], DATA))
    with pytest.raises(ValueError, match="iPC holds activities"):
        rule.grad(params, state, DATA, jax.random.key(2))


def test_a_study_holds_batches_as_the_rule_asks():
    base = {
        "rule": "ipc",
        "hyper": {"hold": 2},
        "steps": 3,
        "seeds": 1,
        "points": 1,
        "robustness": False,
        "energy": False,
    }
    rows = run_study(Study(name="hold", base=base), show=False).rows
    angles = {(row.condition, row.value) for row in rows if row.measure == "angle to backprop"}
    # layer 1 hears of it a step later
    assert {condition for condition, _ in angles} >= {"step=3 layer=2", "step=3 layer=3"}
