"""Divides training into parts of about two seconds; a run can be saved or stopped after each."""

import time

import jax
import numpy as np

from bioplaus.study.stop import received
from bioplaus.training.machines import greatest
from bioplaus.training.program import TrainState
from bioplaus.training.train import Train

# long against the overhead of a part, and short against the 10 s within which a run has to stop
PART_SECONDS = 2.0
MAX_PART_STEPS = (
    4096  # steps of a part at most: which examples all of them show is found out at its start
)
MAX_PART_GROWTH = (
    8  # how many times as long as the part before a part may be, while steps seem quick
)


class Pace:
    """Chooses the number of steps of each part, from the duration of the part before it.

    The first part is one step, because compiling may take most of its time. All parts are runs of
    one compiled program, see `Train.advance`, so that the division does not change results.
    unsaved: seconds of training since the caller has last set it to 0; the same on all machines.
    """

    def __init__(self) -> None:
        self.steps: int = 1
        self.unsaved: float = 0.0

    def advance(
        self, train: Train, state: TrainState, chunk: int, left: int
    ) -> tuple[TrainState, dict[str, np.ndarray], int, int]:
        """Train for one part, of at most `left` steps of a chunk.

        Returns (state, history, number of steps, signal). signal: the number of the one that asked
        a process of the run to stop, or 0.
        """
        count, began = min(self.steps, left, MAX_PART_STEPS), time.perf_counter()
        state, history = train.advance(state, min(chunk, MAX_PART_STEPS), count)
        history = {name: np.asarray(values)[:, :count] for name, values in history.items()}
        jax.block_until_ready(state)
        seconds, signal = greatest(time.perf_counter() - began, received())
        self.unsaved += seconds
        self.steps = max(
            1, min(MAX_PART_GROWTH * max(count, self.steps), int(count * PART_SECONDS / seconds))
        )
        return state, history, count, int(signal)
