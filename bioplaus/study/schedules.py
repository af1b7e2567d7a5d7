"""Values of an arm's array hyperparameters during training: constant, or on a schedule."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from bioplaus.study.build import arrays_of
from bioplaus.study.settings import Arm, StudyError
from bioplaus.types import Array


class Schedules(NamedTuple):
    """Dotted key -> value, at the first step (start) and at the last step (end) of training."""

    start: dict[str, float]
    end: dict[str, float]


SCHEDULE_SHAPES: dict[str, Callable[[Any, Any, Array], Array]] = {
    "linear": lambda a, b, t: a + (b - a) * t,
    "cosine": lambda a, b, t: b + (a - b) * 0.5 * (1 + jnp.cos(jnp.pi * t)),
    "exponential": lambda a, b, t: a * (b / a) ** t,
}
"""Kind of schedule -> the value at a fraction t of training, from a at t = 0 to b at t = 1."""


def schedules_of(arm: Arm) -> Schedules:
    """Where each array hyperparameter of an arm starts and ends.

    Raises StudyError for a schedule of any other setting, and for an exponential schedule between
    values of different signs.
    """
    start = arrays_of(arm)
    for name, schedule in arm.schedules.items():
        if name not in start:
            raise StudyError(
                f"schedules.{name}: cannot change during training; the settings of this arm that"
                f" can are {', '.join(start)}"
            )
        if schedule.kind == "exponential" and not start[name] * schedule.to > 0:
            raise StudyError(
                f"schedules.{name}: an exponential goes from {start[name]:g} to {schedule.to:g};"
                " both must be above 0"
            )
    return Schedules(start, start | {name: schedule.to for name, schedule in arm.schedules.items()})


def evaluate(schedules: Schedules, arm: Arm, t: Any) -> Mapping[str, Any]:
    """Dotted key -> value at a fraction t of training; t and the schedules may be tracers."""
    changed = {
        name: SCHEDULE_SHAPES[s.kind](schedules.start[name], schedules.end[name], t)
        for name, s in arm.schedules.items()
    }
    return schedules.start | changed
