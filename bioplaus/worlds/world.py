"""The contract of a world: pure functions of one agent's world, which `run` maps over many."""

from typing import NamedTuple, Protocol

from bioplaus.types import Array, Key, PyTree


class ResetFn(Protocol):
    """The first moment of a trial: (state, x). x: what the agent sees, [...]."""

    def __call__(self, key: Key, /) -> tuple[PyTree, Array]: ...


class WorldStepFn(Protocol):
    """What an action leads to: (state, x, reward [], done []). action: [], 0 to actions - 1. done:
    whether the trial has ended; x is then seen, but no action follows."""

    def __call__(
        self, state: PyTree, action: Array, key: Key, /
    ) -> tuple[PyTree, Array, Array, Array]: ...


class World(NamedTuple):
    """A task in trials. actions: the number of actions, 2 or more."""

    reset: ResetFn
    step: WorldStepFn
    actions: int
