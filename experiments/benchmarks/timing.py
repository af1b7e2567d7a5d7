"""Time programs in turn, round after round, and compare them within a round."""

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Ratio(NamedTuple):
    """Of two times within a round, over rounds."""

    median: float
    min: float
    max: float


def one_core() -> None:
    """Keep this process on one core; call it before JAX is first used, which counts its cores then.

    Other work on that core costs wall-clock time and no CPU time: take `time.process_time`.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def runner(state, advance, clock: Callable[[], float] = time.perf_counter) -> Callable[[], float]:
    """A function that calls `advance` once, keeps the new state, and returns the seconds taken.

    clock: `time.process_time` counts CPU time.
    `advance` is called twice before: the first call compiles, and the second may compile again,
    because the state that the first returns can have another device placement.
    """
    # here: the comparison with peers takes its ratios from this file, in a process that stays small
    import jax

    # or it would run on while another is timed
    box = [jax.block_until_ready(advance(advance(state)))]

    def timed() -> float:
        jax.block_until_ready(box[0])
        start = clock()
        box[0] = jax.block_until_ready(advance(box[0]))
        return clock() - start

    return timed


def rounds(programs: Mapping[str, Callable[[], float]], count: int) -> dict[str, list[float]]:
    """Seconds of every program in each round.

    Programs run in turn, so that a machine whose speed drifts slows all of them.
    """
    seconds = {name: [] for name in programs}
    for _ in range(count):
        for name, run in programs.items():
            seconds[name].append(run())
    return seconds


def ratio(a: list[float], b: list[float]) -> Ratio:
    """a / b, round by round."""
    values = [x / y for x, y in zip(a, b, strict=True)]
    return Ratio(statistics.median(values), min(values), max(values))


def memory(function: Callable, *shapes) -> float:
    """The peak memory of a call in MiB, as XLA plans it: arguments, results and temporaries."""
    import jax

    plan = jax.jit(function).lower(*shapes).compile().memory_analysis()
    if plan is None:
        raise RuntimeError(
            f"memory: XLA plans none on {jax.default_backend()}; run this benchmark on a CPU or"
            " a GPU"
        )
    return (
        plan.argument_size_in_bytes
        + plan.output_size_in_bytes
        + plan.temp_size_in_bytes
        - plan.alias_size_in_bytes
    ) / 2**20
