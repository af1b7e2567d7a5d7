"""Measures after training: accuracy on clean, disturbed, corrupted and attacked inputs."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.batches import one_answer
from bioplaus.data import Dataset
from bioplaus.data.dataset import bounds_of
from bioplaus.data.noisy import Flipped
from bioplaus.measure.accuracy import accuracy
from bioplaus.measure.calibration import calibration
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
from bioplaus.record import CLEAN, FLIPPED, Condition, Label, Row, measure_of
from bioplaus.record.conditions import ATTACKS, PGD, RANDOM_SIGN, TRANSFER, in_words
from bioplaus.record.measures import ACCURACY, MEMORISED, RECOVERED, UNDER_CORRUPTION
from bioplaus.salts import ATTACKS as ATTACKED
from bioplaus.study.arm import Trained
from bioplaus.study.attack_suite import claim_rows
from bioplaus.study.deployed import Deployed
from bioplaus.study.images import Images
from bioplaus.study.representations import likeness_rows
from bioplaus.study.settings import Arm
from bioplaus.study.spiking import rate_rows
from bioplaus.training.program import TrainState
from bioplaus.training.seeds import seed_key, seeds_over
from bioplaus.types import Array, Batch, Key, Loss, Net

DISTURBED_EXAMPLES = 512  # test examples that are disturbed and attacked
CHECKED_EXAMPLES = 32  # test examples on which the attack's gradient is checked


class Exam(NamedTuple):
    """What the measures of all seeds of a trained arm have in common.

    twin: the arm that is trained by backprop and otherwise alike. bounds: the smallest and the
    largest value of an input. attackable: whether attacks may use the gradient of the arm itself.
    corruptions: names of the corruptions in `Images`, in order.
    """

    arm: Arm
    deployed: Deployed
    twin: Deployed | None
    bounds: tuple[float, float]
    attackable: bool
    corruptions: tuple[str, ...]

    @property
    def loss(self) -> Loss:
        return self.deployed.built.loss


Found = dict[tuple[str, str], Array]
"""(key of a measure, kind of condition) -> a number, or one for each severity of the kind."""


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
    """Rows of a trained arm, and warnings.

    twin: see `Exam`. images: corrupted test images. flipped: training examples with a wrong label.
    """
    test = jax.tree.map(jnp.asarray, data.test)
    test = test._replace(y=one_answer(test))
    attackable, warnings = _guard(
        arm, deployed, trained, jax.tree.map(lambda a: a[:CHECKED_EXAMPLES], test), label
    )
    bounds = bounds_of(data) if arm.robustness else BOUNDS
    exam = Exam(arm, deployed, twin, bounds, attackable, images.names if images else ())
    over = seeds_over(jax.eval_shape(lambda s: jax.tree.map(lambda a: a[0], s), deployed.state))
    compiled = jax.jit(
        lambda states, others, *given: over(lambda s, o: _measured(exam, s, o, *given))(
            states, others
        )
    )
    arrays = images and images._replace(names=())
    measured = compiled(deployed.state, None if twin is None else twin.state, test, arrays, flipped)
    rows = _rows(measured, _severities(images), label)
    rows += rate_rows(deployed, test, label, over)
    if arm.alignment:
        rows += likeness_rows(deployed, twin, test, label, over)
    if arm.adversarial.suite and attackable:
        nets = [(deployed.answer, deployed.state)]
        if twin is not None and twin is not deployed:
            nets.append((twin.answer, twin.state))
        healthy = [s for s in range(arm.seeds) if s not in trained.diverged]
        rows += claim_rows(arm, exam.loss, nets, test, healthy, label, over, bounds)
    return rows, warnings


def _measured(
    exam: Exam,
    state: TrainState,
    other: TrainState | None,
    test: Batch,
    images: Images | None,
    flipped: Flipped,
) -> Found:
    """All measures of one seed. other: the state of the twin."""
    deployed, key = exam.deployed, seed_key(0)
    clean = _scores(exam, deployed.answer(state, test)(test.x, key), test.y)
    found = {(measure, CLEAN.name): value for measure, value in clean.items()}
    if len(flipped.x):
        wrong = Batch(jnp.asarray(flipped.x), jnp.asarray(flipped.truth), flipped.context)
        outputs = deployed.answer(state, wrong)(wrong.x, key)
        found[MEMORISED.key, FLIPPED.name] = accuracy(
            outputs, jnp.asarray(flipped.given), exam.loss
        )
        found[RECOVERED.key, FLIPPED.name] = accuracy(outputs, wrong.y, exam.loss)
    if images is not None:
        answer = deployed.answer(state, jax.tree.map(lambda a: a[: len(images.y)], test))
        under = on_images(
            lambda outputs, y: _scores(exam, outputs, y), answer, images.images, images.y, key
        )
        for measure, values in under.items():
            name = UNDER_CORRUPTION.key if measure == ACCURACY.key else measure
            found |= {(name, kind): values[i] for i, kind in enumerate(exam.corruptions)}
    if exam.arm.robustness:
        few = jax.tree.map(lambda a: a[:DISTURBED_EXAMPLES], test)
        found |= _disturbed(exam, state, few, key) | _attacked(
            exam, state, other, few, jax.random.fold_in(key, ATTACKED)
        )
    return found


def _scores(exam: Exam, outputs: Array, y: Array) -> dict[str, Array]:
    """Key of a measure -> its value, for outputs whose labels are y."""
    probabilities = exam.arm.loss == "cross_entropy" and exam.arm.robustness
    return {
        ACCURACY.key: accuracy(outputs, y, exam.loss),
        **(calibration(outputs, y)._asdict() if probabilities else {}),
    }


def _disturbed(exam: Exam, state: TrainState, few: Batch, key: Key) -> Found:
    """Accuracy under every disturbance that the arm names."""
    found, deployed = {}, exam.deployed
    for name in exam.arm.curves:
        found[ACCURACY.key, name] = curve(
            lambda net: deployed.rebuild(net, few),
            CURVES[name],
            deployed.net,
            state.params,
            state.rule,
            few,
            jax.random.fold_in(key, list(CURVES).index(name)),
            draws=exam.arm.draws,
            bounds=exam.bounds,
            loss=exam.loss,
        )
    return found


def _attacked(
    exam: Exam, state: TrainState, other: TrainState | None, few: Batch, key: Key
) -> Found:
    """Accuracy under each attack of `conditions.ATTACKS` that is possible."""
    answer, climb = (
        exam.deployed.answer(state, few),
        partial(pgd, steps=exam.arm.adversarial.steps),
    )
    found = {
        (ACCURACY.key, RANDOM_SIGN): under_attack(
            random_signs, answer, exam.loss, few, key, bounds=exam.bounds
        )
    }
    if exam.attackable:
        found[ACCURACY.key, PGD] = under_attack(
            climb, answer, exam.loss, few, key, bounds=exam.bounds
        )
    if exam.twin is not None and other is not None:
        source = exam.twin.answer(other, few)
        found[ACCURACY.key, TRANSFER] = transfer(
            climb, source, answer, exam.loss, few, key, bounds=exam.bounds
        )
    return found


def _severities(images: Images | None) -> dict[str, Sequence[float]]:
    """Name of a disturbance, attack or corruption -> its severities."""
    found: dict[str, Sequence[float]] = {name: d.severities for name, d in CURVES.items()}
    found |= dict.fromkeys(ATTACKS, EPSILONS)
    return (
        found | dict.fromkeys(images.names, range(1, images.images.shape[1] + 1))
        if images
        else found
    )


def _rows(measured: Found, severities: Mapping[str, Sequence[float]], label: Label) -> list[Row]:
    """Measures as rows. measured: with the seed axis first."""
    rows = []
    for (measure, kind), values in measured.items():
        for seed, value in enumerate(np.asarray(values)):
            where = (
                [Condition(kind)]
                if value.ndim == 0
                else [Condition(in_words(kind), s) for s in severities[kind]]
            )
            rows += [
                Row.of(label, seed, condition, measure_of(measure), v)
                for condition, v in zip(where, np.atleast_1d(value), strict=True)
            ]
    return rows


def _guard(
    arm: Arm, deployed: Deployed, trained: Trained, few: Batch, label: Label
) -> tuple[bool, list[str]]:
    """Whether attacks may use the arm's gradient, and warnings.

    They may only if that gradient is the derivative of what the arm answers at test time, or if the
    net declares that it is a stand-in: spikes and encoders have no derivative.
    """
    healthy = [s for s in range(arm.seeds) if s not in trained.diverged]
    if not arm.robustness or not healthy:
        return False, []
    if stands_in := _stand_in(deployed.net):
        return True, [
            f"{label.rule}, {label.neuron}: attacks follow a gradient that stands in for one,"
            f" because {stands_in}; they may be blind, and only the suite of attacks"
            " (adversarial.suite) tells that from robustness"
        ]
    params, rule = jax.tree.map(
        lambda a: a[healthy[0]], (deployed.state.params, deployed.state.rule)
    )
    predict = deployed.rebuild(deployed.net, few)
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


def _stand_in(net: Net) -> str:
    """Why the gradient of a net by its input is declared to be no derivative; '' if it is not."""
    if any(layer.neuron.spikes for layer in net):
        return "spikes have no derivative"
    time = net[0].time
    return "its inputs are encoded" if time is not None and time.encoder is not None else ""
