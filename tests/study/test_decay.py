"""Kolen-Pollack has a default weight decay of its own, acting on W and B alike, and saved."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.rules.kolen_pollack import ADAMW, DECAY
from bioplaus.study import Study, override
from bioplaus.study.build import build
from bioplaus.study.comparison import comparison
from bioplaus.study.settings import Arm
from bioplaus.study.spec import arms, resolved
from bioplaus.training.program import make_program
from bioplaus.types import Batch

STEPS = 40


def left(optimiser: dict) -> list[float]:
    """|W - B| of each layer after STEPS steps of an arm, over that at the start."""
    key = jax.random.key(0)
    data = Batch(jax.random.normal(key, (32, 6)), jax.nn.one_hot(jnp.arange(32) % 3, 3))
    arm = Arm.model_validate(
        {"rule": "kp", "net": {"hidden": [5, 4]}, "optimiser": optimiser, "batch_size": 8}
    )
    built = build(arm, data.x[:1], 3)
    program = make_program(
        lambda values, step: (built.net, built.rule(built.net), built.tx), batch_size=8
    )

    def apart(state):
        return np.array(
            [
                jnp.linalg.norm(w["w"] - b["w"])
                for w, b in zip(state.params[1:], state.rule.feedback[1:], strict=True)
            ]
        )

    start = program.init(key, data, ())
    before = apart(start)
    return list(apart(program.advance(start, data, (), STEPS)[0]) / before)


def test_weights_and_feedback_converge_at_the_rate_of_the_decay():
    """W - B shrinks by (1 - lr lambda)^T, at the rule's default lambda and at that of other rules.

    The latter leaves 98 % of the difference after 1,000 steps at a rate of 2e-3.
    """
    rate = 2e-2
    assert left({"learning_rate": rate}) == pytest.approx(
        [(1 - rate * DECAY) ** STEPS] * 2, rel=1e-4
    )
    assert left({"learning_rate": rate, "weight_decay": 0.01}) == pytest.approx(
        [(1 - rate * 0.01) ** STEPS] * 2, rel=1e-4
    )
    assert (1 - 2e-3 * 0.01) ** 1000 > 0.98
    assert (1 - 2e-3 * DECAY) ** 1000 < 0.56


def test_the_rule_has_the_same_default_decay():
    update = ADAMW.update(jnp.zeros(1), ADAMW.init(jnp.ones(1)), jnp.ones(1))[0]
    np.testing.assert_allclose(np.asarray(update), -1e-3 * DECAY, rtol=1e-6)
    assert inspect.signature(bp.rules.kolen_pollack).parameters["tx"].default is ADAMW


def decays(study: Study) -> dict[str, float]:
    return {arm.rule: arm.optimiser.weight_decay for arm in arms(study)}


def test_a_study_overrides_the_default_decay():
    study = comparison(["kp", "fa"], data="digits")
    assert decays(study) == {"kp": DECAY, "fa": 0.01, "frozen": 0.01}
    assert decays(override(study, ["--optimiser.weight_decay", "0.2"])) == {
        "kp": 0.2,
        "fa": 0.2,
        "frozen": 0.2,
    }
    assert decays(override(study, ["--optimiser.learning_rate", "0.1"])) == decays(study)
    assert arms(Study(**resolved(study))) == arms(study)
    given = study.model_copy(update={"base": {**study.base, "optimiser": {"weight_decay": 0.01}}})
    assert decays(Study(**resolved(given))) == {"kp": 0.01, "fa": 0.01, "frozen": 0.01}
