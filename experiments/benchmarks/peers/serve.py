"""What every worker shares: its task, the images, and the loop that answers requests.

Runs in the peer's environment. A worker is started with its task as JSON. It prints a line when it
is ready, and one for each line "go N" that it reads: the seconds that N steps took and the peak of
its memory. Lines of the protocol begin with MARK; libraries may print others.
"""

import importlib.metadata
import json
import os
import resource
import sys
import time

MARK = "@worker "
EXAMPLES = 60_000  # MNIST's, where a task does not say


def task() -> dict:
    """What this worker was started for: sizes, batch, rule, ...

    A task of one core keeps the process on it; call this before a library counts its cores.
    """
    told = json.loads(sys.argv[1])
    if told.get("one_core") and hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return told


def images(inputs: int, classes: int):
    """Random images and labels: x [N, inputs] in [0, 1), float32; labels [N]."""
    import numpy as np

    rng, count = np.random.default_rng(0), task().get("examples", EXAMPLES)
    return rng.random((count, inputs), np.float32), rng.integers(0, classes, count)


def spikes(moments: int, inputs: int, classes: int, *, time_first: bool):
    """Random spikes, 3 in 100 inputs a moment, as 0 and 1, float32; labels [N].

    x: [N, T, inputs]; time_first: [T, N, inputs].
    """
    import numpy as np

    rng, count = np.random.default_rng(0), task()["examples"]
    x = rng.random((count, moments, inputs), np.float32) < 0.03
    x = np.ascontiguousarray(x.swapaxes(0, 1) if time_first else x, np.float32)
    return x, rng.integers(0, classes, count)


def batches(size: int):
    """Rows of one batch after another, in a new random order each epoch, without end."""
    import numpy as np

    rng, count = np.random.default_rng(1), task().get("examples", EXAMPLES)
    while True:
        yield from rng.permutation(count)[: count // size * size].reshape(-1, size)


def answer(**values) -> None:
    print(MARK + json.dumps(values), flush=True)


def serve(train, device: str, *packages: str, clock=time.perf_counter) -> None:
    """Answer requests until the input ends.

    train: takes a number of steps, and returns when the work is done. packages: report their
    versions. clock: of the seconds; `time.process_time` in tasks of one core.
    """
    answer(device=device, versions={name: importlib.metadata.version(name) for name in packages})
    for line in sys.stdin:
        steps = int(line.removeprefix("go "))
        start = clock()
        train(steps)
        seconds = clock() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            2**20 if sys.platform == "darwin" else 2**10
        )
        answer(seconds=seconds, peak_mib=peak)
