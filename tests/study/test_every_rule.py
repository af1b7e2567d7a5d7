"""Every rule goes through a study: its costs, its training and its probe, traced on shapes for a batch unlike the probe's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.rules import BASELINES, RULES
from bioplaus.study.arm import PROBE, compiled_of, fitted
from bioplaus.study.build import build
from bioplaus.study.course import course_of
from bioplaus.study.settings import Arm
from bioplaus.train import bind, replicate, seed_keys

DATA = bp.data.load("digits")


@pytest.mark.parametrize("key", [*RULES, *BASELINES])
def test_every_rule_goes_through_a_study(key):
    arm = Arm.model_validate({"rule": key, "net": {"hidden": [12, 12]}, "batch_size": 16, "steps": 8})
    built = build(arm, DATA.train.x[:1], 10)
    few = jax.tree.map(lambda a: a[:16], DATA.train)
    assert bp.measure.cost(built.rule(built.net), built.net, few, tx=built.tx).batch == 16
    compiled, hyper = compiled_of(arm, DATA.train.x[:1], 10), course_of(arm)
    state = jax.eval_shape(replicate(bind(compiled.program, DATA.train, hyper)).init, seed_keys(2))
    found = jax.eval_shape(compiled.probe, state, DATA.test, hyper.end)
    assert found["angle to backprop"].shape == (2, 3)


def test_only_what_a_state_holds_of_single_examples_is_fresh():
    weights, traces = np.ones((4, 4)), np.ones((16, 4))
    got = fitted((weights, traces), (0 * weights, np.zeros((PROBE, 4))), hold=1)
    assert got[0] is weights
    assert got[1].shape == (PROBE, 4)
    assert not jnp.any(fitted((weights,), (0 * weights,), hold=2)[0])
