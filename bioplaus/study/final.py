"""What is measured once an arm is trained: clean accuracy, and accuracy under disturbance and
attack.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.data import Dataset
from bioplaus.data.dataset import bounds_of
from bioplaus.data.noisy import Flipped
from bioplaus.measure.accuracy import accuracy
from bioplaus.measure.calibration import UNITS, calibration
from bioplaus.measure.robustness import (
    BOUNDS,
    CURVES,
    EPSILONS,
    PseudoGradientError,
    check_gradient,
    curve,
    on_images,
    pgd,
    random_signs,
    transfer,
    under_attack,
)
from bioplaus.salts import ATTACKS
from bioplaus.study.arm import Label, Trained
from bioplaus.study.claims import claim_rows
from bioplaus.study.deployed import Deployed
from bioplaus.study.images import MEASURE, Images
from bioplaus.study.likeness import likeness_rows
from bioplaus.study.results import Row
from bioplaus.study.settings import Arm
from bioplaus.training.train import TrainState, seed_key, seeds_over
from bioplaus.types import Array, Batch

EXAMPLES = 512  # test examples that are disturbed and attacked
GUARDED = 32  # test examples on which the attack's gradient is checked


def final_rows(
    arm: Arm,
    deployed: Deployed,
    trained: Trained,
    twin: Deployed | None,
    data: Dataset,
    images: Images | None,
    flipped: Flipped,
    label: Label,
) -> tuple[list[Row], list[str]]:
    """Rows of the trained arm, and warnings. twin: the arm that differs in the rule alone, trained
    by backprop.

    images: the corrupted ones; flipped: the training examples with a wrong label.
    """
    test = jax.tree.map(jnp.asarray, data.test)
    key, bounds = seed_key(0), bounds_of(data) if arm.robustness else BOUNDS
    climb, attacked = (
        partial(pgd, steps=arm.adversarial.steps),
        partial(under_attack, bounds=bounds),
    )
    attackable, warnings = _guard(
        arm, deployed, trained, jax.tree.map(lambda a: a[:GUARDED], test), label
    )
    loss = deployed.built.loss
    probabilities = arm.loss == "cross_entropy" and arm.robustness

    def scores(outputs: Array, y: Array) -> dict[str, Array]:
        return {
            "accuracy": accuracy(outputs, y, loss),
            **(calibration(outputs, y)._asdict() if probabilities else {}),
        }

    def measure(
        state: TrainState,
        other: TrainState | None,
        test: Batch,
        images: Images | None,
        flipped: Flipped,
    ):
        """(measure, kind) -> a number, or one for each severity of the kind."""
        few = jax.tree.map(lambda a: a[:EXAMPLES], test)
        clean = scores(deployed.answer(state, test.context)(test.x, key), test.y)
        found = {(name, "clean"): value for name, value in clean.items()}
        own = deployed.answer(state, few.context)
        if len(flipped.x):
            outputs = deployed.answer(state, ())(jnp.asarray(flipped.x), key)
            found["memorised", "flipped labels"] = accuracy(
                outputs, jnp.asarray(flipped.given), loss
            )
            found["recovered", "flipped labels"] = accuracy(
                outputs, jnp.asarray(flipped.truth), loss
            )
        if images is not None:
            context = jax.tree.map(lambda a: a[: len(images.y)], test.context)
            under = on_images(scores, deployed.answer(state, context), images.images, images.y, key)
            for name, values in under.items():
                for i, kind in enumerate(kinds):
                    found[MEASURE if name == "accuracy" else name, kind] = values[i]
        if not arm.robustness:
            return found
        for name in arm.curves:
            k = jax.random.fold_in(key, list(CURVES).index(name))
            found["accuracy", name] = curve(
                deployed.rebuild,
                CURVES[name],
                deployed.net,
                state.params,
                state.rule,
                few,
                k,
                draws=arm.draws,
                bounds=bounds,
                loss=loss,
            )
        k = jax.random.fold_in(key, ATTACKS)
        found["accuracy", "random_sign"] = attacked(random_signs, own, loss, few, k)
        if attackable:
            found["accuracy", "pgd"] = attacked(climb, own, loss, few, k)
        if twin is not None and other is not None:
            source = twin.answer(other, few.context)
            found["accuracy", "transfer"] = transfer(
                climb, source, own, loss, few, k, bounds=bounds
            )
        return found

    kinds = images.names if images else ()
    severities = {name: d.severities for name, d in CURVES.items()} | dict.fromkeys(
        ("pgd", "random_sign", "transfer"), EPSILONS
    )
    severities |= {kind: range(1, images.images.shape[1] + 1) for kind in kinds} if images else {}
    over = seeds_over(jax.eval_shape(lambda s: jax.tree.map(lambda a: a[0], s), deployed.state))
    compiled = jax.jit(
        lambda states, others, *given: over(lambda s, o: measure(s, o, *given))(states, others)
    )
    arrays = images and images._replace(names=())
    measured = compiled(deployed.state, None if twin is None else twin.state, test, arrays, flipped)
    rows = []
    for (name, kind), values in measured.items():
        for seed, value in enumerate(np.asarray(values)):
            conditions = (
                [kind]
                if value.ndim == 0
                else [f"{kind.replace('_', ' ')}={s:g}" for s in severities[kind]]
            )
            rows += [
                Row(
                    *label,
                    str(seed),
                    condition,
                    name,
                    float(v),
                    UNITS._asdict().get(name, "fraction"),
                )
                for condition, v in zip(conditions, np.atleast_1d(value), strict=True)
            ]
    if arm.alignment:
        rows += likeness_rows(deployed, twin, test, label, over)
    if arm.adversarial.suite and attackable:
        nets = [(deployed.answer, deployed.state)]
        if twin is not None and twin is not deployed:
            nets.append((twin.answer, twin.state))
        healthy = [s for s in range(arm.seeds) if s not in trained.diverged]
        rows += claim_rows(arm, deployed.built.loss, nets, test, healthy, label, over, bounds)
    return rows, warnings


def _guard(
    arm: Arm, deployed: Deployed, trained: Trained, few: Batch, label: Label
) -> tuple[bool, list[str]]:
    """Whether the arm may be attacked by its gradient: only if that gradient is the derivative of
    what is deployed.
    """
    healthy = [s for s in range(arm.seeds) if s not in trained.diverged]
    if not arm.robustness or not healthy:
        return False, []
    params, rule = jax.tree.map(
        lambda a: a[healthy[0]], (deployed.state.params, deployed.state.rule)
    )
    predict = deployed.rebuild(deployed.net)
    try:
        check_gradient(
            lambda p, s, x, k: predict(p, s, x, k, few.context),
            deployed.built.loss,
            params,
            rule,
            few.x,
            few.y,
            seed_key(1),
        )
    except PseudoGradientError as error:
        return False, [f"{label.rule}, {label.neuron}: not attacked by its own gradient. {error}"]
    return True, []
