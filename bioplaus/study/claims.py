"""The claim of adversarial robustness of a trained arm: every attack at one radius, and the twelve
checks, as rows.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.measure.accuracy import Answer
from bioplaus.measure.robustness import Budget, Suite, claim, describe, suite
from bioplaus.record import Condition, Label, Row
from bioplaus.record.conditions import EPSILON
from bioplaus.record.measures import CHECK_PASSED, CHECK_THRESHOLD, CHECK_VALUE, INPUT_BOUND, ROBUST
from bioplaus.study.settings import Arm
from bioplaus.training.program import TrainState
from bioplaus.training.seeds import seed_key
from bioplaus.types import Batch, Loss

OTHER_SEEDS = 2  # whose adversarial examples are tried, beside those of the backprop twin


def claim_rows(
    arm: Arm,
    loss: Loss,
    nets: Sequence[tuple[Callable[[TrainState, Any], Answer], TrainState]],
    test: Batch,
    healthy: Sequence[int],
    label: Label,
    over: Callable[..., Any],
    bounds: tuple[float, float],
) -> list[Row]:
    """Robust accuracy by attack and seed, and value, threshold and outcome of each check.

    nets: (answer of a state, states with the seed axis first), the arm itself, then its backprop
    twin if it has another.
    healthy: seeds that did not diverge. over: how seeds share a program.
    bounds: least and largest value of the inputs.
    """
    budget = budget_of(arm)._replace(bounds=bounds)
    few: Batch = jax.tree.map(lambda a: a[: arm.adversarial.examples], test)
    (own, states), *twins = nets
    shifts = range(1, 1 + min(OTHER_SEEDS, arm.seeds - 1))
    others = [jax.tree.map(lambda a, k=k: jnp.roll(a, -k, 0), states) for k in shifts]

    def attacked(
        state: TrainState, others: list[TrainState], twin_states: list[TrainState]
    ) -> Suite:
        sources = [own(s, few.context) for s in others]
        sources += [
            answer(s, few.context) for (answer, _), s in zip(twins, twin_states, strict=True)
        ]
        return suite(own(state, few.context), loss, few, seed_key(0), budget, sources)

    found = jax.jit(over(attacked))(states, others, [s for _, s in twins])
    made = claim(
        jax.tree.map(lambda a: np.asarray(a)[list(healthy)], found), budget, 1 / test.y.shape[-1]
    )
    at = Condition(EPSILON, budget.epsilon)
    rows = [
        Row.of(label, seed, at._replace(attack=name), ROBUST, value)
        for name, values in made.attacks.items()
        for seed, value in zip(healthy, values, strict=True)
    ]
    ends = zip(("low", "high"), bounds, strict=True)
    rows += [Row.of(label, "", at._replace(bound=name), INPUT_BOUND, value) for name, value in ends]
    for flag in made.flags:
        parts = (
            (CHECK_VALUE, flag.value),
            (CHECK_THRESHOLD, flag.threshold),
            (CHECK_PASSED, flag.passed),
        )
        found = [
            Row.of(label, "", at._replace(check=flag.name), measure, value)
            for measure, value in parts
        ]
        rows += [row for row in found if not math.isnan(row.value)]
    return rows


def budget_of(arm: Arm) -> Budget:
    """The suite's hyperparameters. A net without noise at test time needs no draws; the suite
    measures whether that is so.
    """
    a = arm.adversarial
    noisy = arm.neuron.noise != "none" and arm.neuron.evaluate == "on"
    return Budget(a.epsilon, a.steps, a.restarts, a.queries, a.samples, a.draws if noisy else 1)


def attack_text(arms: Sequence[Arm]) -> str:
    """How the curve under attack was made, for the method section."""
    steps = " or ".join(str(n) for n in dict.fromkeys(a.adversarial.steps for a in arms))
    return (
        "true gradient of the deployed forward function, checked against finite differences;"
        f" L-infinity, {steps} steps, one random start, size as a fraction of the range of the"
        " inputs"
    )


def suite_text(arms: Sequence[Arm]) -> str:
    """Every hyperparameter of the suite, '' where it did not run."""
    others = (
        f"other nets: {OTHER_SEEDS} other seeds and the backprop twin; attacked inputs stay within"
        " that range"
    )
    texts = [
        f"{describe(budget_of(a))}. {a.adversarial.examples} examples; {others}"
        for a in arms
        if a.robustness and a.adversarial.suite
    ]
    return "; or ".join(dict.fromkeys(texts))
