"""Builds nets, rules and optimisers from the settings of an arm."""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from bioplaus import losses, modulators
from bioplaus.hyper import Hyperparameter, hyperparameters, optimisers
from bioplaus.layers import cnn, mlp
from bioplaus.layers.basic import Initializer
from bioplaus.modulators import modulate
from bioplaus.neurons import NEURONS, NOISES, SYNAPTIC_NOISES
from bioplaus.optim import projections
from bioplaus.rules import available
from bioplaus.study.settings import Arm, StudyError, nearest
from bioplaus.study.tables import OptimiserSpec
from bioplaus.training.seeds import seed_key
from bioplaus.types import Array, Loss, Net, Rule


class Built(NamedTuple):
    """The parts of an arm.

    rule: net -> Rule, so that the rule can also be built on the net without noise or with lesions.
    hold: number of steps for which each batch is presented.
    """

    net: Net
    loss: Loss
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
    net = net or make_net(arm, example, classes, values.get("neuron.level", arm.neuron.level))
    rate = values.get("optimiser.learning_rate", arm.optimiser.learning_rate)
    base, loss = make_tx(arm.optimiser, arm.steps, rate), getattr(losses, arm.loss)
    tx = base if arm.optimiser.largest is None else by_largest(base, arm.optimiser, arm.steps)
    if arm.rule == "frozen":
        tx = train_last_only(tx)
    factory = available()[arm.rule]
    hyper = arm.hyper | _under("hyper.", values)
    hyper |= dict.fromkeys(optimisers(factory), base)
    factory = functools.partial(factory, **hyper)
    if arm.modulator.kind != "unmodulated":
        modulator = modulators.available()[arm.modulator.kind]
        factory = modulate(
            factory, modulator(**arm.modulator.hyper | _under("modulator.hyper.", values))
        )
    return Built(
        net,
        loss,
        lambda net: factory(net, loss),
        optax.chain(tx, *constraints(arm.optimiser)),
        hold_of(arm),
    )


def _under(head: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(head): value for name, value in values.items() if name.startswith(head)
    }


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
        (level,) = hyperparameters((NOISES | SYNAPTIC_NOISES)[arm.neuron.noise]).values()
        found["neuron.level"] = level._replace(name="neuron.level", default=arm.neuron.level)
    for head, factory, given in (
        ("hyper", available()[arm.rule], arm.hyper),
        ("modulator.hyper", modulators.available()[arm.modulator.kind], arm.modulator.hyper),
    ):
        known = hyperparameters(factory)
        for name in given:
            if name not in known:
                raise StudyError(f"{head}.{name}: unknown hyperparameter{nearest(name, known)}")
        found |= {
            f"{head}.{n}": h._replace(name=f"{head}.{n}", default=given.get(n, h.default))
            for n, h in known.items()
        }
    return found


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
    ):
        for name in [name for name in table if head + name in arrays]:
            table.pop(name)
    if "neuron.level" in arrays:
        settings["neuron"].pop("level")
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


def make_net(arm: Arm, example: Array, classes: int, level: ArrayLike) -> Net:
    """The net of an arm, with noise of the given level."""
    output = NEURONS[arm.net.output]()
    curve = {"sigmoid": (arm.neuron.slope, arm.neuron.threshold), "softmax": (arm.neuron.slope,)}
    neuron = NEURONS[arm.neuron.kind](*curve.get(arm.neuron.kind, ()))
    if arm.neuron.noise in NOISES:
        neuron = NOISES[arm.neuron.noise](neuron, level)
    weights = jax.nn.initializers.variance_scaling(arm.net.variance, arm.net.fan, "normal")
    if arm.net.kind == "cnn":
        if example.ndim != 4 or min(example.shape[1:3]) < 28:
            raise StudyError(
                f"net.kind: cnn needs images of 28x28 or more, and an input has the shape"
                f" {example.shape[1:]}; use mlp"
            )
        net = cnn(
            classes,
            neuron,
            output=output,
            padding=2 if example.shape[1] == 28 else 0,
            weights=weights,
        )
    else:
        sizes = [example[0].size, *arm.net.hidden, classes]
        net = mlp(
            sizes, neuron, output=output, weights=positive(weights) if arm.net.positive else weights
        )
        net = (*net[:-1], mlp(sizes[-2:], output=output)[0]) if arm.net.positive else net
    if arm.neuron.noise in SYNAPTIC_NOISES:
        net = tuple(SYNAPTIC_NOISES[arm.neuron.noise](layer, level) for layer in net)
    return net


def positive(weights: Initializer) -> Initializer:
    """Uniform weights above 0, with the same mean square as those of `weights`."""

    def init(key, shape, dtype):
        return jax.random.uniform(key, shape, dtype) * jnp.sqrt(
            3 * jnp.mean(weights(key, shape, dtype) ** 2)
        )

    return init


def make_tx(
    spec: OptimiserSpec, steps: int, learning_rate: ArrayLike
) -> optax.GradientTransformation:
    """The optimiser with its schedule and decoupled weight decay. steps: of the whole training."""
    rate = scheduled(spec, learning_rate, steps)
    kinds = {
        "sgd": optax.identity,
        "momentum": lambda: optax.trace(0.9),
        "adam": optax.scale_by_adam,
    }
    return optax.chain(
        kinds[spec.kind](),
        optax.add_decayed_weights(spec.weight_decay),
        optax.scale_by_learning_rate(rate),
    )


def scheduled(spec: OptimiserSpec, rate: Any, steps: int) -> Any:
    """The learning rate on the optimiser's schedule: a number, or a function of the step."""
    if spec.schedule == "constant":
        return rate
    factor = {
        "cosine": lambda: optax.cosine_decay_schedule(1.0, steps),
        "warmup": lambda: optax.warmup_cosine_decay_schedule(
            1.0, 1.1, max(1, steps // 10), steps, 0.1
        ),
        "step": lambda: optax.piecewise_constant_schedule(
            1.0, {round(steps * m): spec.factor for m in spec.milestones}
        ),
    }[spec.schedule]()
    return lambda count: rate * factor(count)


def by_largest(
    last: optax.GradientTransformation, spec: OptimiserSpec, steps: int
) -> optax.GradientTransformation:
    """The optimiser `last` on the last layer; hidden layers take updates of a fixed largest entry.

    Each array of a hidden layer is divided by its largest absolute entry, then multiplied by the
    learning rate `spec.largest`.
    """

    def divided(updates, params):
        del params
        largest = jax.tree.map(lambda g: jnp.abs(g).max(), updates)
        return jax.tree.map(lambda g, most: g / jnp.where(most > 0, most, 1), updates, largest)

    hidden = optax.chain(
        optax.stateless(divided), optax.scale_by_learning_rate(scheduled(spec, spec.largest, steps))
    )
    return optax.partition(
        {"hidden": hidden, "last": last}, lambda params: ("hidden",) * (len(params) - 1) + ("last",)
    )


def constraints(spec: OptimiserSpec) -> list[optax.GradientTransformation]:
    """The constraints on the net's weights, applied after the rest of the optimiser.

    Weights in the state of a rule, such as feedback weights, are not constrained.
    """
    found = []
    if spec.bits < 32:
        found.append(projections.low_bit(spec.bits, spec.bound))
    elif spec.bound is not None:
        found.append(projections.bounded(-spec.bound, spec.bound))
    if spec.dale:
        found.append(projections.dale())
    if spec.density < 1:
        found.append(projections.sparse(spec.density, seed_key(0)))
    return found


def train_last_only(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """`tx` on the last layer, and no update of the others.

    Without this, weight decay would shrink the random features of the frozen baseline.
    """

    def labels(params):
        return tuple("train" if l == len(params) - 1 else "keep" for l in range(len(params)))

    return optax.partition({"train": tx, "keep": optax.set_to_zero()}, labels)
