"""Training in parts of about two seconds, after which a run can be saved and stopped."""

import time

import jax
import numpy as np

from bioplaus.study.stop import asked
from bioplaus.training.machines import greatest
from bioplaus.training.program import TrainState
from bioplaus.training.train import Train

# a part: above what a look at the clock costs, and far below the 10 s in which a run has to stop
PART_SECONDS = 2.0
MAX_PART_STEPS = (
    4096  # steps of a part at most: which examples all of them show is found out at its start
)
MAX_PART_GROWTH = (
    8  # how many times as long as the part before a part may be, while steps seem quick
)


class Pace:
    """How many steps to take at a time. The first part is one step, since compiling may take most
    of its time.

    Parts of any length are runs of one compiled program, see `Train.advance`: where training is
    divided does not change its results.
    unsaved: seconds since whoever uses it has set it to 0; on many machines the same on all.
    """

    def __init__(self) -> None:
        self.steps: int = 1
        self.unsaved: float = 0.0

    def advance(
        self, train: Train, state: TrainState, chunk: int, left: int
    ) -> tuple[TrainState, dict[str, np.ndarray], int, int]:
        """-> (state, history, steps taken, the signal that told a process of the run to stop or 0),
        of at most `left` steps of a chunk.
        """
        count, began = min(self.steps, left, MAX_PART_STEPS), time.perf_counter()
        state, history = train.advance(state, min(chunk, MAX_PART_STEPS), count)
        history = {name: np.asarray(values)[:, :count] for name, values in history.items()}
        jax.block_until_ready(state)
        seconds, signal = greatest(time.perf_counter() - began, asked())
        self.unsaved += seconds
        self.steps = max(
            1, min(MAX_PART_GROWTH * max(count, self.steps), int(count * PART_SECONDS / seconds))
        )
        return state, history, count, int(signal)
