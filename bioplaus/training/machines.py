"""Several machines: one process per machine or device. All compute the same run over one mesh, and
only process 0 writes files.

Process 0 makes every control-flow decision and broadcasts it; arrays read on the host are gathered
first. All processes therefore execute the same steps. A run on one machine is the same code with
one process.
"""

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from bioplaus.types import PyTree

T = TypeVar("T")

STOPPED = 3  # exit code of all processes if one of them stops
LEAVING = 60  # seconds that a process which leaves with an error waits for others to leave with it


def first() -> bool:
    """Whether this process is the one that writes."""
    return jax.process_index() == 0


def by_first(act: Callable[[], T], error: type[ValueError] = ValueError) -> T:
    """The result of `act`, which is called only in process 0 and broadcast. It must be
    JSON-serialisable. An exception of type `error` is raised in all processes.
    """
    if jax.process_count() == 1:
        return act()
    found, wrong = None, None
    if first():
        try:
            found = act()
        except error as raised:
            wrong = str(raised)
    text = np.frombuffer(json.dumps([found, wrong]).encode(), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.int32(text.size)))
    # its size is a power of two, so that few sizes are compiled
    room = np.zeros(1 << (length - 1).bit_length(), np.uint8)
    room[: text.size if first() else 0] = text if first() else 0
    found, wrong = json.loads(
        bytes(multihost_utils.broadcast_one_to_all(room).astype(np.uint8)[:length])
    )
    if wrong is not None:
        raise error(wrong)
    return found


def greatest(*numbers: float) -> tuple[float, ...]:
    """The largest value of each number over all processes, so that all decide alike."""
    if jax.process_count() == 1:
        return numbers
    return tuple(multihost_utils.process_allgather(np.array(numbers, np.float32)).max(0).tolist())


def here(tree: PyTree) -> PyTree:
    """The same arrays and keys, each whole on this machine.

    They are gathered if other processes hold a part of them.
    """
    leaves = jax.tree.leaves(tree)
    if all(a.is_fully_addressable for a in leaves):
        return tree
    whole = NamedSharding(leaves[0].sharding.mesh, PartitionSpec())
    return jax.tree.map(lambda a: a.addressable_data(0), jax.jit(_same, out_shardings=whole)(tree))


def _same(tree: PyTree) -> PyTree:  # a function of the module, so that it is compiled once
    return tree


@contextlib.contextmanager
def joined(
    expected: tuple[type[Exception], ...], missing: type[ValueError] = ValueError
) -> Iterator[None]:
    """Join the other processes of a run. Call it before any use of JAX.

    JAX finds them through Slurm, Open MPI, Kubernetes or a TPU pod.

    expected: exceptions that pass through, because every process raises them. Any other exception
    ends this process at once, because a process that waited for lost ones would wait for ever. The
    exit code is `STOPPED`, or 128 + the number of the signal that stopped it. The other processes
    then end in their next exchange. If a process is killed, the others end in the same way, or by
    JAX's monitoring, which ends a process with SIGABRT within 100 seconds. missing: the exception
    that is raised if no cluster is found.
    """
    # this service would keep SIGTERM from ending a process
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(shutdown_timeout_seconds=LEAVING)
    except (ValueError, RuntimeError) as error:
        raise missing(
            f"no cluster was found to join ({error}); start one process a machine or device under"
            " Slurm (srun), Open MPI, Kubernetes or on a TPU pod, or leave --distributed out"
        ) from error
    try:
        yield
        by_first(lambda: None)  # no process leaves while another still works
    except expected:
        raise
    except BaseException as error:
        interrupted = isinstance(error, KeyboardInterrupt)  # by a signal: nothing went wrong
        if not interrupted:
            traceback.print_exc()
        print(
            f"bioplaus: process {jax.process_index()} of {jax.process_count()} has stopped"
            f" ({type(error).__name__}), and with it the run. If another process stopped first, its"
            " last messages say why. Start all of them again, with --resume",
            file=sys.stderr,
            flush=True,
        )
        sys.stdout.flush()
        # a normal exit would wait for other processes, which wait for this one
        os._exit(128 + getattr(error, "signal", signal.SIGINT) if interrupted else STOPPED)
