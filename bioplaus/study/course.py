"""The values of an arm's array hyperparameters over its training: constant, or on a schedule."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp

from bioplaus.study.build import arrays_of
from bioplaus.study.settings import Arm, StudyError
from bioplaus.types import Array


class Course(NamedTuple):
    """Dotted key -> value, at the first and at the last step."""

    start: dict[str, float]
    end: dict[str, float]


COURSES: dict[str, Callable[[Any, Any, Array], Array]] = {
    "linear": lambda a, b, t: a + (b - a) * t,
    "cosine": lambda a, b, t: b + (a - b) * 0.5 * (1 + jnp.cos(jnp.pi * t)),
    "exponential": lambda a, b, t: a * (b / a) ** t,
}
"""From a at t = 0 to b at t = 1."""


def course_of(arm: Arm) -> Course:
    """Raises StudyError for a schedule of a setting that is not an array hyperparameter of the arm,
    or that cannot be followed.
    """
    start = arrays_of(arm)
    for name, schedule in arm.schedules.items():
        if name not in start:
            raise StudyError(
                f"schedules.{name}: is not among the settings of this arm that can change:"
                f" {', '.join(start)}"
            )
        if schedule.kind == "exponential" and not start[name] * schedule.to > 0:
            raise StudyError(
                f"schedules.{name}: an exponential goes from {start[name]:g} to {schedule.to:g};"
                " both must be above 0"
            )
    return Course(start, start | {name: schedule.to for name, schedule in arm.schedules.items()})


def at(course: Course, arm: Arm, t: Any) -> Mapping[str, Any]:
    """The values at a fraction t of training; t and the course may be tracers."""
    moved = {
        name: COURSES[s.kind](course.start[name], course.end[name], t)
        for name, s in arm.schedules.items()
    }
    return course.start | moved
