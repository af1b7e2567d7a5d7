"""Data sets larger than the device: batches are gathered on the host, chunk by chunk, while the
device trains on the chunk before.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.entry import as_batch
from bioplaus.training.train import (
    Program,
    Train,
    TrainState,
    apart,
    check_keys,
    check_size,
    counted,
)
from bioplaus.types import Array, Batch, Key, PyTree


def stream(
    program: Program,
    data: Batch,
    hyper: PyTree = (),
    *,
    chunk: int = 64,
    over: Callable[..., Any] | None = None,
) -> Train:
    """As `bioplaus.training.train.bind`, for data that stay where they are: arrays of the host, or
    files that numpy has mapped into memory.

    The same batches in the same order as with data on the device, and the same results. chunk:
    steps whose batches lie on the device at a time, and once more while the next ones are made
    ready. over: `jax.vmap` or `bioplaus.training.loops.in_turn` for many seeds, each of which sees
    its own batches. Raises ValueError for a chunk below 1, a batch that does not fit in the data,
    and in init for keys of many seeds that `bioplaus.training.train.replicate` refuses.
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

    def advance(
        state: TrainState, n: int, count: int | None = None
    ) -> tuple[TrainState, dict[str, Array]]:
        state, (n, count) = apart(state), counted(n, count)
        begin, keys, parts = int(np.asarray(state.step).max()), jax.random.clone(state.key), []
        length, total = min(chunk, n), n if count is None else count

        def gathered(at: int) -> Batch:
            steps = length if count is not None else min(length, n - at)
            shown = np.asarray(rows(keys, jnp.int32(begin + at), steps))
            return jax.tree.map(lambda a: jax.device_put(np.asarray(a[shown])), data)

        ready = gathered(0)
        for at in range(0, total, length):
            taken = min(length, total - at)
            # returns at once; the device works
            state, history = follow(state, ready, None if count is None else taken)
            parts.append((taken, history))
            if at + length < total:
                ready = gathered(at + length)  # meanwhile
        history = {
            name: jnp.asarray(np.concatenate([np.asarray(h[name])[..., :t] for t, h in parts], -1))
            for name in parts[0][1]
        }
        return state, history

    return Train(init, advance, program, data, hyper)
