"""Whether an arm can fit at all: memory that it cannot do without, counted from its settings before
anything is made.

The count is a lower bound (feedback weights, gradients and what a rule keeps beside them are left
out), so that nothing is refused that would have run. What it refuses is far too large, and would
otherwise die after minutes, or take the machine with it.
"""

import itertools
import math
import os
from collections.abc import Iterator

import jax

from bioplaus.data import Dataset
from bioplaus.measure.robustness import CURVES
from bioplaus.study.settings import Arm, Study, StudyError
from bioplaus.study.tables import MOST

ARMS = 10_000  # more than these are asked for by mistake, unless one says `many`
LAYERS = 1_000  # a program is compiled with each of its layers written out
ROW = 300  # bytes of a row of results, at the least
SAMPLES = 512  # test examples that are disturbed

UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")


def check_count(study: Study, many: bool = False) -> None:
    """Raise StudyError for a study of more than ARMS arms, unless it is to have so many."""
    n = math.prod(len(values) for values in study.grid.values()) + len(study.extra)
    if n > ARMS and not many:
        raise StudyError(
            f"grid: makes {n:,} arms with [[extra]], and {ARMS:,} is the most unless --many is"
            " given; cross fewer values"
        )


def check_size(arm: Arm, data: Dataset, *, own_net: bool = False, devices: int = 1) -> None:
    """Raise StudyError for an arm whose memory, layers or steps are beyond what there is.

    own_net: the run was given a net, which is not counted. devices: over which the arm is divided.
    """
    if arm.net.kind == "mlp" and len(arm.net.hidden) > LAYERS:
        raise StudyError(
            f"net.hidden: {arm.rule} has {len(arm.net.hidden):,} hidden layers, expected {LAYERS:,}"
            " or fewer"
        )
    if arm.steps > MOST:
        raise StudyError(
            f"epochs: {arm.rule} trains for {arm.steps:.3g} steps, expected {MOST:,} or fewer; give"
            " fewer epochs"
        )
    there, needs = memory() * devices, dict(needed(arm, data, own_net))
    total = sum(needs.values())
    if total > there:
        what = max(needs, key=lambda part: needs[part])
        raise StudyError(
            f"memory: {arm.rule} needs at least {in_words(total)}, and there are {in_words(there)};"
            f" most of it is for {what}"
        )


def memory() -> int:
    """Bytes of a device's own memory, or of this machine where it has none; 1 TiB where neither can
    be known.
    """
    own = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if own:
        return own
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 2**40


def needed(arm: Arm, data: Dataset, own_net: bool = False) -> Iterator[tuple[str, int]]:
    """(what it is for, with the settings that decide it; bytes) of every part."""
    n, test, word = len(data.train.x), len(data.test.x), 8 if arm.precision == "float64" else 4
    inputs, classes = math.prod(data.train.x.shape[1:]), data.train.y.shape[-1]
    weights, widths = (0, [inputs, classes]) if own_net else _shape(arm, inputs, classes)
    copies = 1 + {"sgd": 0, "momentum": 1, "adam": 2}[arm.optimiser.kind] + arm.energy
    chunk = -(-arm.steps // arm.points)
    held = min(arm.stream, chunk)
    yield "weights and their optimiser (net.hidden, seeds)", arm.seeds * weights * copies * word
    yield "activities of a batch (batch_size, net.hidden)", arm.batch_size * sum(widths) * word
    yield "activities on the test set (net.hidden)", test * max(widths) * word
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
        2 * ROW * arm.seeds * min(arm.points, arm.steps),
    )
    side = max(data.train.x.shape[1:3]) + 2 * arm.jitter
    yield (
        "images that are moved (jitter, batch_size)",
        arm.batch_size * side**2 * word if arm.jitter else 0,
    )
    if arm.robustness:
        random = [len(CURVES[name].severities) for name in arm.curves if CURVES[name].random]
        yield (
            "answers under disturbance (draws)",
            arm.draws * max(random, default=0) * min(SAMPLES, test),
        )
    if arm.robustness and arm.adversarial.suite:
        a = arm.adversarial
        tries = min(a.examples, test) * a.draws * 2 * (3 * a.restarts + a.samples)
        yield "answers under attack (adversarial: draws, examples, restarts, samples)", tries


def _shape(arm: Arm, inputs: int, classes: int) -> tuple[int, list[int]]:
    """How many weights the arm's net has, and how many units each of its layers."""
    # the parts of `bioplaus.layers.cnn` that are the same for images of any size
    if arm.net.kind == "cnn":
        widths = [inputs, 28 * 28 * 6, 10 * 10 * 16, 120, 84, classes]
        return 25 * 6 + 25 * 6 * 16 + 400 * 120 + 120 * 84 + 84 * classes, widths
    widths = [inputs, *arm.net.hidden, classes]
    return sum(a * b for a, b in itertools.pairwise(widths)), widths


def in_words(size: float) -> str:
    """'3.7 TB'."""
    power = min(int(math.log10(max(size, 1)) // 3), len(UNITS) - 1)
    return f"{size / 1000**power:.3g} {UNITS[power]}"
