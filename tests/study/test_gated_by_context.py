"""A study on data with a context runs `context_gating`, and its gains follow the context."""

import jax
import jax.numpy as jnp
import numpy as np

import bioplaus as bp
from bioplaus.study.build import runnable
from bioplaus.study.settings import Arm


def test_the_same_image_is_answered_otherwise_in_another_context():
    data = bp.data.load("digits-in-contexts")
    gating = {"kind": "context_gating", "hyper": {"contexts": 3}}
    arm = Arm.model_validate({"data": data.name, "modulator": gating})
    built = runnable(arm, data)
    batch = jax.tree.map(lambda a: jnp.asarray(a[:4]), data.train)
    rule, key = built.rule(built.net), jax.random.key(0)
    params = bp.init(built.net, key, batch.x)
    state = rule.init(key, params, batch)
    task = batch.context["task"]
    here, same, there = (
        rule.predict(params, state, batch.x, key, {"task": t}) for t in (task, task, (task + 1) % 3)
    )
    np.testing.assert_array_equal(here, same)
    assert not np.isclose(here, there).any()
