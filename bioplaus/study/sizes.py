"""Refuses arms that cannot fit into memory, by a lower bound computed from their settings.

The bound leaves out gradients, feedback weights and other state of a rule, so that no arm is
refused that could run. An arm above it would fail after minutes, or bring the machine down.
"""

import itertools
import math
import os
from collections.abc import Iterator

import jax

from bioplaus.data import Dataset
from bioplaus.measure.robustness import CURVES
from bioplaus.study.forms import MAX_COUNT
from bioplaus.study.sequences import moments_of
from bioplaus.study.settings import Arm, Study, StudyError

MAX_ARMS = 10_000  # a larger study is taken for a mistake, unless `many` is given
MAX_LAYERS = 1_000  # each layer adds to the length of the program that is compiled
ROW_BYTES = 300  # a lower bound of the memory for one row of results
DISTURBED_EXAMPLES = 512  # number of test examples that are disturbed

UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")


def check_count(study: Study, many: bool = False) -> None:
    """Raise StudyError for a study of more than MAX_ARMS arms, unless `many` allows it."""
    n = math.prod(len(values) for values in study.grid.values()) + len(study.extra)
    if n > MAX_ARMS and not many:
        raise StudyError(
            f"grid: makes {n:,} arms with [[extra]], and {MAX_ARMS:,} is the most without --many;"
            " cross fewer values, or give --many"
        )


def check_size(arm: Arm, data: Dataset, *, own_net: bool = False, devices: int = 1) -> None:
    """Raise StudyError for an arm of too many layers or steps, or that needs too much memory.

    own_net: the user gave the run a net, which is not counted. devices: the number of devices that
    the arm is divided over.
    """
    if arm.net.kind != "cnn" and len(arm.net.hidden) > MAX_LAYERS:
        raise StudyError(
            f"net.hidden: {arm.rule} has {len(arm.net.hidden):,} hidden layers, expected"
            f" {MAX_LAYERS:,} or fewer"
        )
    if arm.steps > MAX_COUNT:
        raise StudyError(
            f"epochs: {arm.rule} trains for {arm.steps:.3g} steps, expected {MAX_COUNT:,} or"
            " fewer; give fewer epochs"
        )
    there, needs = memory() * devices, dict(needed(arm, data, own_net))
    total = sum(needs.values())
    if total > there:
        what = max(needs, key=lambda part: needs[part])
        raise StudyError(
            f"memory: {arm.rule} needs at least {in_words(total)}, and {in_words(there)} are"
            f" available; the largest part is for {what}"
        )


def memory() -> int:
    """Bytes of memory of one device, or of this machine if the device shares its memory.

    1 TiB if neither is known.
    """
    of_device = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if of_device:
        return of_device
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 2**40


def needed(arm: Arm, data: Dataset, own_net: bool = False) -> Iterator[tuple[str, int]]:
    """Each part of the memory: (its purpose, with the settings that decide it; bytes)."""
    n, test, word = len(data.train.x), len(data.test.x), 8 if arm.precision == "float64" else 4
    inputs, classes = math.prod(data.train.x.shape[1:]), data.train.y.shape[-1]
    spiking = not own_net and arm.net.kind == "spiking"
    moments, n_in = moments_of(arm, data) if spiking else (1, inputs)
    weights, widths = (0, [inputs, classes]) if own_net else _shape(arm, n_in, classes)
    copies = 1 + {"sgd": 0, "momentum": 1, "adam": 2}[arm.optimiser.kind] + arm.energy
    chunk = -(-arm.steps // arm.points)
    held = min(arm.stream, chunk)
    yield "weights and their optimiser (net.hidden, seeds)", arm.seeds * weights * copies * word
    yield (
        "activities of a batch (batch_size, net.hidden)",
        (arm.batch_size * moments * sum(widths) * word),
    )
    yield "activities on the test set (net.hidden)", test * moments * max(widths) * word
    yield (
        "the training data on the device (stream sends them in parts)",
        0 if arm.stream else n * inputs * word,
    )
    yield (
        "batches on their way to the device (stream, batch_size, seeds)",
        2 * held * arm.seeds * arm.batch_size * inputs * word,
    )
    yield (
        "the order of examples, and losses, between two measures (steps / points, batch_size)",
        chunk * (arm.seeds + (0 if arm.stream else arm.batch_size)) * 4,
    )
    yield (
        "measures during training (points, seeds)",
        2 * ROW_BYTES * arm.seeds * min(arm.points, arm.steps),
    )
    side = max(data.train.x.shape[1:3]) + 2 * arm.jitter
    yield (
        "images that are shifted (jitter, batch_size)",
        arm.batch_size * side**2 * word if arm.jitter else 0,
    )
    if arm.robustness:
        random = [len(CURVES[name].severities) for name in arm.curves if CURVES[name].random]
        yield (
            "answers under disturbance (draws)",
            arm.draws * max(random, default=0) * min(DISTURBED_EXAMPLES, test),
        )
    if arm.robustness and arm.adversarial.suite:
        a = arm.adversarial
        tries = min(a.examples, test) * a.draws * 2 * (3 * a.restarts + a.samples)
        yield "answers under attack (adversarial: draws, examples, restarts, samples)", tries


def _shape(arm: Arm, inputs: int, classes: int) -> tuple[int, list[int]]:
    """The number of weights of the arm's net, and the number of units of each of its layers."""
    # of a cnn, the parts of `bioplaus.layers.cnn` that are the same for images of any size
    if arm.net.kind == "cnn":
        widths = [inputs, 28 * 28 * 6, 10 * 10 * 16, 120, 84, classes]
        return 25 * 6 + 25 * 6 * 16 + 400 * 120 + 120 * 84 + 84 * classes, widths
    widths = [inputs, *arm.net.hidden, classes]
    own = sum(n * n for n in arm.net.hidden) if arm.net.recurrent else 0
    return sum(a * b for a, b in itertools.pairwise(widths)) + own, widths


def in_words(size: float) -> str:
    """A number of bytes with its unit, such as '3.7 TB'."""
    power = min(int(math.log10(max(size, 1)) // 3), len(UNITS) - 1)
    return f"{size / 1000**power:.3g} {UNITS[power]}"
