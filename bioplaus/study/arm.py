"""Training of one arm: all its seeds together, with measures, and resumable from checkpoints."""

import math
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from bioplaus.batches import asking, one_answer
from bioplaus.data import Dataset
from bioplaus.data.augment import jittered
from bioplaus.measure.accuracy import accuracy
from bioplaus.measure.alignment import angles, feedback_angle
from bioplaus.net import noise_mode
from bioplaus.optim.economy import metered
from bioplaus.record import TRAINING, Condition, Label, Row, measure_of
from bioplaus.record.measures import ANGLE, AT_STEP, DIVERGED, FEEDBACK_ANGLE, LOSS, RESIDUAL
from bioplaus.rules import backprop
from bioplaus.states import feedback, per_example
from bioplaus.study.build import Built, build, hold_of
from bioplaus.study.labels import relabelled
from bioplaus.study.notes import Note, taken_up
from bioplaus.study.pace import Pace
from bioplaus.study.schedules import Schedules, evaluate, schedules_of
from bioplaus.study.settings import Arm
from bioplaus.study.stop import look, patient
from bioplaus.study.watch import Watch, after, watched, without_watch
from bioplaus.training.checkpoints import save
from bioplaus.training.machines import here
from bioplaus.training.precision import bfloat16, high
from bioplaus.training.program import Program, TrainState, make_program
from bioplaus.training.seeds import seed_key, seed_keys, seeds_over
from bioplaus.training.stream import stream
from bioplaus.training.train import Train, bind, replicate
from bioplaus.types import Array, Batch, Net, PyTree

SAVE_EVERY = 30.0  # seconds of training between checkpoints
PROBE_EXAMPLES = 256  # test examples on which alignment and likeness are measured


class Trained(NamedTuple):
    """An arm after training.

    state: with the seed axis first. diverged: seed -> the step of its first loss that is not
    finite. warnings: about checkpoints that could not be read. watch: see
    `bioplaus.study.watch`; None if an older version of this library trained the arm.
    """

    state: TrainState
    rows: list[Row]
    diverged: dict[int, int]
    seconds: float
    warnings: list[str]
    watch: Watch | None


def of_precision(arm: Arm) -> AbstractContextManager[Any]:
    """The context in which an arm is computed: float64 is enabled if the arm asks for it."""
    return jax.enable_x64(arm.precision == "float64")


class Compiled(NamedTuple):
    """Compiled programs, shared by all arms of one shape (`build.shape_of`).

    probe: (states, test batch, values of settings) -> key of a measure -> its values for all seeds.
    """

    program: Program
    probe: Callable[[TrainState, Batch, Mapping[str, Any]], dict[str, Array]]


def compiled_of(
    arm: Arm, example: Array, classes: int, net: Net | None = None, mesh: Mesh | None = None
) -> Compiled:
    """The programs for training an arm and for the measures during training.

    They take the values of `build.arrays_of` as arguments. With `energy`, the optimiser also counts
    how much its updates change.
    """

    def made(values: Mapping[str, Any]) -> Built:
        return build(arm, example, classes, net, values)

    def make(hyper: Schedules, step: Array):
        built = made(evaluate(hyper, arm, step / (arm.steps - 1) if arm.steps > 1 else 1.0))
        rule = built.rule(built.net)
        rule = watched(bfloat16(rule) if arm.precision == "bfloat16" else rule)
        return built.net, rule, metered(built.tx) if arm.energy else built.tx

    @jax.jit
    def probe(states: TrainState, test: Batch, values: Mapping[str, Any]) -> dict[str, Array]:
        states, over = high(states), seeds_over(jax.tree.map(lambda a: a[0], states.params))
        measure = probe_of(arm, made(values))
        return over(lambda state: measure(state, test))(states)

    augment = jittered(arm.jitter, -1.0 if arm.inputs == "centred" else 0.0) if arm.jitter else None
    return Compiled(
        make_program(
            make,
            batch_size=arm.batch_size,
            hold=hold_of(arm),
            augment=augment,
            online=arm.online or None,
            mesh=mesh,
        ),
        probe,
    )


def of_all_seeds(arm: Arm, compiled: Compiled, data: Dataset) -> Train:
    """The training of all seeds of an arm together."""
    if not arm.stream:
        return replicate(bind(compiled.program, data.train, schedules_of(arm)))
    one = stream(compiled.program, data.train, schedules_of(arm))
    over = seeds_over(jax.eval_shape(one.init, seed_key(0)).params)
    return stream(compiled.program, data.train, schedules_of(arm), chunk=arm.stream, over=over)


def train_arm(
    arm: Arm,
    compiled: Compiled,
    data: Dataset,
    label: Label,
    folder: Path | None,
    tick: Callable[[int], None],
) -> Trained:
    """Train an arm, and measure test accuracy and alignment at arm.points moments.

    folder: for checkpoints; training resumes from the last one there. tick: called with the number
    of steps since the last call. Raises `stop.Stopped`, after saving, if this process received a
    signal to stop.
    """
    with patient():
        return _train_arm(arm, compiled, data, label, folder, tick)


def _train_arm(arm, compiled, data, label, folder, tick) -> Trained:
    began = time.perf_counter()
    hyper, keys = schedules_of(arm), seed_keys(arm.seeds)
    train, pace = of_all_seeds(arm, compiled, data), Pace()
    probe = measures_during_training(compiled, data, hyper.end)
    like = jax.eval_shape(train.init, keys) if train.program.mesh is None else train.init(keys)
    if folder and (found := taken_up(folder, like, f"{label.rule}, {label.neuron}")):
        state, done, note = found
        rows, since, said, watch = relabelled(note.rows, label), note.since, note.said, note.watch
        tick(done)
    else:
        state, done, note = train.init(keys), 0, Note()
        rows, since, said, watch = probe(here(state), 0, label), {}, [], None
    good, chunk = done, math.ceil(arm.steps / arm.points)
    while done < arm.steps:
        left = min(chunk - done % chunk, arm.steps - done)  # until the next measurement
        state, history, n, signal = pace.advance(train, state, chunk, left)
        watch = after(watch, history) if watch or not done else None
        done += n
        since = {
            name: np.concatenate([since[name], h], 1) if since else h
            for name, h in without_watch(history).items()
        }
        if n == left:
            rows, since = (
                rows + history_rows(since, done, label) + probe(here(state), done, label),
                {},
            )
        tick(n)
        if folder and (done == arm.steps or signal or pace.unsaved > SAVE_EVERY):
            now = Note(note.seconds + time.perf_counter() - began, rows, said, since, watch)
            save(folder, done, state, now.plain(), keep=good, owner=folder.name)
            good, pace.unsaved = done, 0.0
        look(signal)
    return Trained(
        high(here(state)),
        rows,
        _diverged(rows),
        note.seconds + time.perf_counter() - began,
        said,
        watch,
    )


def probe_of(arm: Arm, built: Built) -> Callable[[TrainState, Batch], dict[str, Array]]:
    """(state, test batch) -> the measures during training, of one seed.

    They are the test accuracy; the angle of each layer's update to backprop's; and the angle
    between the weights W and the feedback weights B of each layer, for a rule that has B.
    """
    rule, key = built.rule(built.net), seed_key(0)
    quiet = built.rule(noise_mode(built.net, arm.neuron.evaluate))
    truth = backprop(built.net, built.objective)

    def measure(state: TrainState, test: Batch) -> dict[str, Array]:
        few = jax.tree.map(lambda a: a[:PROBE_EXAMPLES], test)
        out = asking(quiet.predict, test)(state.params, state.rule, test.x, key, test.context)
        found = {AT_STEP.key: accuracy(out, one_answer(test), built.loss)}
        if arm.alignment:
            taught = fitted(state.rule, rule.init(key, state.params, few))
            for _ in range(built.hold - 1):
                taught = rule.grad(state.params, taught, few, key)[1]
            found[ANGLE.key] = angles(
                rule.grad(state.params, taught, few, key)[0],
                truth.grad(state.params, (), few, key)[0],
            )
            if (weights := feedback(state.rule)) is not None:
                found[FEEDBACK_ANGLE.key] = feedback_angle(state.params, weights)
        return found

    return measure


def measures_during_training(
    compiled: Compiled, data: Dataset, values: Mapping[str, Any]
) -> Callable[[TrainState, int, Label], list[Row]]:
    """(states, step, label) -> the measures of `probe_of` for all seeds, as rows."""
    test = jax.tree.map(jnp.asarray, data.test)

    def rows(state: TrainState, step: int, label: Label) -> list[Row]:
        found = []
        for key, measured in compiled.probe(state, test, values).items():
            measure = measure_of(key)
            for seed, value in enumerate(np.asarray(measured)):
                if value.ndim == 0:
                    found.append(Row.of(label, seed, Condition(step=step), measure, value))
                else:
                    found += [
                        Row.of(label, seed, Condition(step=step, layer=l), measure, v)
                        for l, v in enumerate(value, 1)
                        # a layer without a gradient, or without feedback weights, has no angle
                        if not math.isnan(v)
                    ]
        return found

    return rows


def fitted(state: PyTree, fresh: PyTree) -> PyTree:
    """The rule's state, made ready for a batch of other examples.

    Entries that the rule declares as `PerExample` are taken from `fresh`, since they belong to the
    examples of the last batch. So is any other array whose shape depends on the batch size: a rule
    should declare it, and `check_rule` refuses one that does not.
    """

    def chosen(old, new, of_examples):
        return new if of_examples or old.shape != new.shape else old

    return jax.tree.map(chosen, state, fresh, per_example(fresh))


def history_rows(history: Mapping[str, Array | np.ndarray], step: int, label: Label) -> list[Row]:
    """Rows of the chunk of training that ended at `step`.

    They hold the mean of each entry of the history, the largest residual instead of its mean, and
    the first step at which a seed's loss is not finite.
    """
    rows = []
    for name, values in without_watch(history).items():
        values, measure = np.asarray(values), measure_of(name)
        for seed, value in enumerate(values.max(1) if measure == RESIDUAL else values.mean(1)):
            rows.append(Row.of(label, seed, Condition(step=step), measure, value))
    losses = np.asarray(history[LOSS.key])
    for seed in np.flatnonzero(~np.isfinite(losses).all(1)):
        first = step - losses.shape[1] + int(np.argmin(np.isfinite(losses[seed])))
        rows.append(Row.of(label, int(seed), TRAINING, DIVERGED, first))
    return rows


def _diverged(rows: list[Row]) -> dict[int, int]:
    found: dict[int, int] = {}
    for row in rows:
        if row.measure == DIVERGED.key:
            found.setdefault(int(row.seed), int(row.value))
    return found
