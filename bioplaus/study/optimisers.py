"""Builds the optimiser of an arm, with its schedule, clipping and constraints on the weights."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from bioplaus.optim import langevin, projections
from bioplaus.structure import STRUCTURES
from bioplaus.study.settings import Arm, StudyError
from bioplaus.study.tables import OptimiserSpec
from bioplaus.training.seeds import seed_key
from bioplaus.types import Net


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
    last = optax.scale_by_learning_rate(rate)
    if spec.temperature:
        last = langevin(rate, spec.temperature, seed_key(0))
    return optax.chain(kinds[spec.kind](), optax.add_decayed_weights(spec.weight_decay), last)


def clipping(spec: OptimiserSpec) -> list[optax.GradientTransformation]:
    """What is done to gradients before the rest of the optimiser."""
    return [] if spec.clip is None else [optax.clip_by_global_norm(spec.clip)]


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


def restructured(
    arm: Arm, tx: optax.GradientTransformation, net: Net
) -> optax.GradientTransformation:
    """`tx` with the structure that the arm asks for. The hidden layers of frozen stay as they are.

    A structure is given what its signature names: the net, or a key.
    """
    if arm.structure.kind == "none" or arm.rule == "frozen":
        return tx
    if arm.optimiser.largest is not None:
        raise StudyError(
            "structure: optimiser.largest gives hidden layers an optimiser of their own, whose"
            " moments a new unit or synapse cannot reset; leave out one of the two"
        )
    structure = STRUCTURES[arm.structure.kind]
    takes = inspect.signature(structure).parameters
    given = {n: v for n, v in (("net", net), ("key", seed_key(0))) if n in takes}
    return structure(tx, **given, **arm.structure.numbers)
