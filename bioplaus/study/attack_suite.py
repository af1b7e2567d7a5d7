"""The suite of attacks on a trained arm, at one radius, and its twelve checks, as rows."""

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

# adversarial examples made for so many other seeds of the arm are tried, and for its backprop twin
OTHER_SEEDS = 2


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
    """Robust accuracy for each attack and seed, and value, threshold and outcome of each check.

    nets: (answer of a state, states with the seed axis first) of the arm, then of its backprop twin
    if that is another arm. healthy: seeds that did not diverge. over: maps a function of one seed
    over all seeds. bounds: the smallest and the largest value of an input.
    """
    budget = budget_of(arm)._replace(bounds=bounds)
    few: Batch = jax.tree.map(lambda a: a[: arm.adversarial.examples], test)
    (answer_of, states), *twins = nets
    shifts = range(1, 1 + min(OTHER_SEEDS, arm.seeds - 1))
    others = [jax.tree.map(lambda a, k=k: jnp.roll(a, -k, 0), states) for k in shifts]

    def attacked(
        state: TrainState, others: list[TrainState], twin_states: list[TrainState]
    ) -> Suite:
        sources = [answer_of(s, few) for s in others]
        sources += [answer(s, few) for (answer, _), s in zip(twins, twin_states, strict=True)]
        return suite(answer_of(state, few), loss, few, seed_key(0), budget, sources)

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
    """The hyperparameters of the suite.

    A net without noise at test time needs one noise sample per gradient; a check of the suite
    confirms that its answers do not vary.
    """
    a = arm.adversarial
    noisy = arm.neuron.noise != "none" and arm.neuron.evaluate == "on"
    return Budget(a.epsilon, a.steps, a.restarts, a.queries, a.samples, a.draws if noisy else 1)


def attack_text(arms: Sequence[Arm]) -> str:
    """How the curve under attack was computed, for the report's section on methods."""
    steps = " or ".join(str(n) for n in dict.fromkeys(a.adversarial.steps for a in arms))
    return (
        "true gradient of the net as it answers at test time, checked against finite differences;"
        f" L-infinity, {steps} steps, one random start, size as a fraction of the range of the"
        " inputs"
    )


def suite_text(arms: Sequence[Arm]) -> str:
    """All hyperparameters of the suite, for the report; '' if the suite did not run."""
    others = (
        f"transferred attacks: made for {OTHER_SEEDS} other seeds and for the backprop twin;"
        " attacked inputs stay within the range of the inputs"
    )
    texts = [
        f"{describe(budget_of(a))}. {a.adversarial.examples} examples; {others}"
        for a in arms
        if a.robustness and a.adversarial.suite
    ]
    return "; or ".join(dict.fromkeys(texts))
