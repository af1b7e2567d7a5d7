"""Training on data sets larger than the device's memory.

Batches are gathered on the host, chunk by chunk, while the device trains on the chunk before.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.batches import as_batch
from bioplaus.training.program import Program, TrainState, check_size
from bioplaus.training.seeds import check_keys
from bioplaus.training.train import Train, check_steps, unaliased
from bioplaus.types import Array, Batch, Key, PyTree


def stream(
    program: Program,
    data: Batch,
    hyper: PyTree = (),
    *,
    chunk: int = 64,
    over: Callable[..., Any] | None = None,
) -> Train:
    """As `bioplaus.training.train.bind`, for data that are not copied to the device as a whole:
    arrays on the host, or files that numpy has mapped into memory.

    Batches, their order and all results are the same as with data on the device. chunk: number of
    steps whose batches are on the device at once. The next chunk is prepared meanwhile, so memory
    holds two. over: `jax.vmap` or `bioplaus.training.loops.in_turn` for many seeds, each of which
    sees batches in an order of its seed. Raises ValueError for a chunk below 1, for a batch that
    does not fit in the data, and in init for keys of many seeds that
    `bioplaus.training.train.replicate` refuses.
    """
    data = as_batch(data)
    size = np.shape(data.x)[0]
    if chunk < 1:
        raise ValueError(f"stream: chunk is {chunk}, expected 1 or more steps")
    check_size(program.batch_size, data)
    many = over or (lambda f: f)
    first = jax.tree.map(lambda a: jnp.asarray(np.asarray(a[: program.batch_size])), data)
    start = jax.jit(many(lambda key: program.init(key, first, hyper)))
    rows = jax.jit(
        lambda keys, step, n: many(lambda key: program.rows(key, step, n, size))(keys),
        static_argnums=2,
    )

    @functools.partial(jax.jit, donate_argnums=0)
    def follow(
        states: TrainState, batches: Batch, count: Array | None
    ) -> tuple[TrainState, dict[str, Array]]:
        return many(lambda s, b: program.follow(s, b, hyper, count))(states, batches)

    def init(keys: Key) -> TrainState:
        if over is not None:
            check_keys(keys)
        return start(keys)

    def gathered(keys: Key, step: int, n: int) -> Batch:
        shown = np.asarray(rows(keys, jnp.int32(step), n))
        return jax.tree.map(lambda a: jax.device_put(np.asarray(a[shown])), data)

    def advance(
        state: TrainState, n: int, count: int | None = None
    ) -> tuple[TrainState, dict[str, Array]]:
        check_steps(n, count)
        state, parts = unaliased(state), []
        begin, keys = int(np.asarray(state.step).max()), jax.random.clone(state.key)
        for at, length, taken in _chunks(n, count, chunk):
            batches = gathered(keys, begin + at, length)
            # returns at once: the next chunk is gathered while the device works on this one
            state, history = follow(state, batches, None if count is None else taken)
            parts.append((taken, history))
        return state, _joined(parts)

    return Train(init, advance, program, data, hyper)


def _chunks(n: int, count: int | None, chunk: int) -> Iterator[tuple[int, int, int]]:
    """(first step, length, steps to take) of each chunk. With a count all have the same length, so
    that one program serves every count.
    """
    longest, total = min(chunk, n), n if count is None else count
    for at in range(0, total, longest):
        length = longest if count is not None else min(longest, n - at)
        yield at, length, min(longest, total - at)


def _joined(parts: list[tuple[int, dict[str, Array]]]) -> dict[str, Array]:
    """One history from those of the chunks, each with the number of steps that were taken."""
    return {
        name: jnp.asarray(np.concatenate([np.asarray(h[name])[..., :n] for n, h in parts], -1))
        for name in parts[0][1]
    }
