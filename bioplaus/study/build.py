"""Builds nets, rules and optimisers from the settings of an arm."""

import functools
import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import optax
from jax.typing import ArrayLike

from bioplaus import losses, modulators
from bioplaus.data import Dataset
from bioplaus.encoders import ENCODERS
from bioplaus.hyper import Hyperparameter, hyperparameters, optimisers
from bioplaus.layers import SYNAPSES
from bioplaus.modulators import modulate
from bioplaus.neurons import NEURONS, NOISES, SURROGATES, SYNAPTIC_NOISES, synaptic
from bioplaus.optim import gated
from bioplaus.rules import available, rate_regularised
from bioplaus.structure import STRUCTURES
from bioplaus.study.nets import (
    further_of,
    has_numbers,
    level_of,
    make_net,
    neuron_numbers,
    under,
)
from bioplaus.study.optimisers import (
    by_largest,
    clipping,
    constraints,
    make_tx,
    restructured,
    train_last_only,
)
from bioplaus.study.settings import Arm, StudyError, nearest
from bioplaus.study.tables import NeuronSpec, OptimiserSpec
from bioplaus.training.steps import stream_of
from bioplaus.types import Array, Loss, Net, Rule


class Built(NamedTuple):
    """The parts of an arm.

    loss: of one answer [B, C]. objective: what the rule minimises, the loss, or its sum over
    moments where the net answers at each. rule: net -> Rule, so that the rule can also be built on
    the net without noise or with lesions.
    hold: number of steps for which each batch is presented.
    """

    net: Net
    loss: Loss
    objective: Loss
    rule: Callable[[Net], Rule]
    tx: optax.GradientTransformation
    hold: int = 1


def build(
    arm: Arm,
    example: Array,
    classes: int,
    net: Net | None = None,
    values: Mapping[str, Any] = {},
) -> Built:
    """The arm's net, loss, rule and optimiser.

    example: one input [1, ...], for its shape. net: replaces the net that the settings describe.
    values: replace the arm's values of settings that `arrays_of` names; they may be tracers. Raises
    StudyError if the net does not fit the data.
    """
    net = net or make_net(arm, example, classes, values)
    rate = values.get("optimiser.learning_rate", arm.optimiser.learning_rate)
    pieces = math.ceil(example.shape[1] / arm.online) if arm.online else 1  # of each sequence
    updates, loss = arm.steps * pieces, getattr(losses, arm.loss)
    base = make_tx(arm.optimiser, updates, rate)
    objective = loss if net[-1].time is None else losses.at_each_moment(loss)
    tx = base if arm.optimiser.largest is None else by_largest(base, arm.optimiser, updates)
    tx = gated(tx) if arm.optimiser.gated else tx
    tx = restructured(arm, tx, net)
    if arm.rule == "frozen":
        tx = train_last_only(tx)
    factory = available()[arm.rule]
    hyper = arm.hyper | under("hyper.", values)
    hyper |= dict.fromkeys(optimisers(factory), base)
    factory = functools.partial(factory, **hyper)
    if arm.rates.strength:
        target = arm.rates.target / 1000  # Hz to spikes per ms
        factory = rate_regularised(factory, target, arm.rates.strength)
    if arm.modulator.kind != "unmodulated":
        modulator = modulators.available()[arm.modulator.kind]
        factory = modulate(
            factory, modulator(**arm.modulator.hyper | under("modulator.hyper.", values))
        )
    return Built(
        net,
        loss,
        objective,
        lambda net: factory(net, objective),
        optax.chain(*clipping(arm.optimiser), tx, *constraints(arm.optimiser)),
        hold_of(arm),
    )


def runnable(
    arm: Arm, data: Dataset, net: Net | None = None, values: Mapping[str, Any] = {}
) -> Built:
    """The parts of an arm on a data set. net, values: as of `build`.

    Raises StudyError, which names the rule, if the rule refuses the net or its hyperparameters.
    """
    try:
        built = build(arm, data.train.x[:1], data.train.y.shape[-1], net, values)
        rule = built.rule(built.net)
        if arm.online:
            stream_of(rule)
    except StudyError:
        raise
    except (ValueError, TypeError) as error:
        raise StudyError(f"{arm.rule} on {data.name} cannot be run: {error}") from error
    return built


def arrays_of(arm: Arm) -> dict[str, float]:
    """Dotted key -> value of each setting that the training program takes as an argument.

    Arms that differ only in these share one program. They are the learning rate, the level of
    noise, and hyperparameters of type ArrayLike that are not zero: at zero, a rule may leave out a
    part of its program.
    """
    return {name: float(h.default) for name, h in numbers_of(arm).items() if h.traced and h.default}


def numbers_of(arm: Arm) -> dict[str, Hyperparameter]:
    """Dotted key -> hyperparameter, for every number that a factory or the optimiser takes.

    The field `default` holds the arm's value, or `inspect.Parameter.empty` for a required number
    that the arm does not give. Raises StudyError for an unknown hyperparameter.
    """
    rate = OptimiserSpec.model_fields["learning_rate"]
    name = "optimiser.learning_rate"
    found = {
        name: Hyperparameter(
            name, ArrayLike, tuple(rate.metadata), False, arm.optimiser.learning_rate
        )
    }
    if arm.neuron.noise != "none":
        level = level_of((NOISES | SYNAPTIC_NOISES)[arm.neuron.noise])
        found["neuron.level"] = level._replace(name="neuron.level", default=arm.neuron.level)
    if arm.neuron.tau_syn is not None:
        tau = hyperparameters(synaptic)["tau"]
        found["neuron.tau_syn"] = tau._replace(name="neuron.tau_syn", default=arm.neuron.tau_syn)
    for head, factory, given in (
        ("hyper", available()[arm.rule], arm.hyper),
        ("modulator.hyper", modulators.available()[arm.modulator.kind], arm.modulator.hyper),
    ):
        found |= _numbers(head, hyperparameters(factory), given, ())
    return found | _numbers_of_kinds(arm)


def _numbers_of_kinds(arm: Arm) -> dict[str, Hyperparameter]:
    """`numbers_of` for the tables whose numbers stand beside their `kind`."""
    known = hyperparameters(NEURONS[arm.neuron.kind]) if has_numbers(arm.neuron.kind) else {}
    found = _numbers("neuron", known, neuron_numbers(arm.neuron), NeuronSpec.model_fields)
    noise = (NOISES | SYNAPTIC_NOISES).get(arm.neuron.noise)
    kinds: list[tuple[str, dict[str, Hyperparameter], dict[str, Any], tuple[str, ...]]] = [
        ("neuron.noise_hyper", further_of(noise) if noise else {}, arm.neuron.noise_hyper, ())
    ]
    for head, spec, of in (
        ("neuron.surrogate", arm.neuron.surrogate, SURROGATES),
        ("encoder", arm.encoder, ENCODERS),
        ("synapses", arm.synapses, SYNAPSES),
        ("structure", arm.structure, STRUCTURES),
    ):
        known = hyperparameters(of[spec.kind]) if spec.kind in of else {}
        kinds.append((head, known, spec.numbers, ("kind",)))
    for head, known, given, beside in kinds:
        # compiled in: derivatives that are defined by hand cannot hold traced numbers
        known = {n: h._replace(kind=float) if h.traced else h for n, h in known.items()}
        found |= _numbers(head, known, given, beside)
    return found


def _numbers(
    head: str, known: Mapping[str, Hyperparameter], given: Mapping[str, Any], beside: Iterable[str]
) -> dict[str, Hyperparameter]:
    """Dotted key -> hyperparameter with the given value. beside: other keys of the table."""
    for name in given:
        if name not in (names := [*known, *beside]):
            told = nearest(name, names) if names else "; there are none here, leave it out"
            raise StudyError(f"{head}.{name}: unknown hyperparameter{told}")
    return {
        f"{head}.{n}": h._replace(name=f"{head}.{n}", default=given.get(n, h.default))
        for n, h in known.items()
    }


def check_numbers(arm: Arm) -> None:
    """Raise StudyError for a number that is missing, or that is or would go outside its domain."""
    numbers = numbers_of(arm)
    for name, h in numbers.items():
        if h.required:
            raise StudyError(f"{name}: is missing and has no default; give {h.expected()}")
        if wrong := h.refusal(h.default):
            raise StudyError(f"{name}: {wrong}")
    for name, schedule in arm.schedules.items():
        if name in numbers and (wrong := numbers[name].refusal(schedule.to)):
            raise StudyError(f"schedules.{name}.to: {wrong}")


def shape_of(arm: Arm) -> str:
    """The arm's settings without the values of `arrays_of`, as text.

    Arms of equal shape share one training program.
    """
    arrays, settings = arrays_of(arm), arm.model_dump(mode="json")
    settings["optimiser"].pop("learning_rate")
    for table, head in (
        (settings["hyper"], "hyper."),
        (settings["modulator"]["hyper"], "modulator.hyper."),
        (settings["neuron"], "neuron."),
    ):
        for name in [name for name in table if head + name in arrays]:
            table.pop(name)
    for schedule in settings.get("schedules", {}).values():
        schedule.pop("to")
    return json.dumps([settings, sorted(arrays)])


def hold_of(arm: Arm) -> int:
    """Number of steps for which each batch is presented: as the rule's hyperparameter declares that
    is annotated `hyper.Presentations`, or 1.

    An epoch takes as many times more steps.
    """
    known = hyperparameters(available()[arm.rule]).values()
    wanted = [arm.hyper.get(h.name) or h.default for h in known if h.presentations]
    return int(wanted[0]) if wanted else 1
