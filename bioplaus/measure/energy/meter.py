"""Measured energy of a GPU.

It is read from the driver's energy counter over long windows, less idle power, and fitted to the
operations and bytes of the computation.

    E_gross = counter after - counter before, over a window of >= 30 s and >= 500 ticks
    E_net   = E_gross - P_idle t
    E_net   = a FLOP + b bytes + c t,    a, b, c >= 0
t: length of the window; P_idle: power of the idle GPU; FLOP, bytes: floating-point operations and
bytes moved. The fit minimises relative errors, and is judged by leaving out one point after
another. The counter (NVML's total energy, in mJ since the driver was loaded; Volta and later) ticks
every 20 to 100 ms. The sensor behind it samples only a part of the time, so windows are repeated at
random delays.

Yang, Adamek, Armour, "Accurate and Convenient Energy Measurements for GPUs", 2023,
arXiv:2312.02741. On a GPU that is not fully used, E follows t: rules that save operations need not
save joules. The result holds for this GPU, and says nothing about neuromorphic hardware.
"""

import itertools
import os
import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Counter(NamedTuple):
    """An energy counter. joules: () -> energy so far. clock: () -> seconds. wait: (seconds) ->
    None.
    """

    joules: Callable[[], float]
    clock: Callable[[], float] = time.perf_counter
    wait: Callable[[float], None] = time.sleep


class Window(NamedTuple):
    """How long to measure.

    warm: seconds of calls before the first window. seconds: length of a window. ticks: smallest
    number of changes of the counter in a window. repeats: number of windows. idle: seconds without
    calls before and after all of them. delay: longest random delay between windows, in seconds.
    """

    warm: float = 10.0
    seconds: float = 30.0
    ticks: int = 500
    repeats: int = 8
    idle: float = 10.0
    delay: float = 0.1


class Measured(NamedTuple):
    """One call. gross, net: joules, means over repeats, with their standard errors. seconds: per
    call. idle: power without calls before and after, in W.
    """

    gross: float
    gross_error: float
    net: float
    net_error: float
    seconds: float
    idle: tuple[float, float]


class Point(NamedTuple):
    """One call: floating-point operations, bytes moved, seconds, and net joules."""

    flop: float
    bytes: float
    seconds: float
    joules: float


class Fit(NamedTuple):
    """a: J/FLOP; b: J/byte; c: W. errors: relative error of each point when it is left out of the
    fit. error: their median.
    """

    a: float
    b: float
    c: float
    error: float
    errors: tuple[float, ...]


def nvml(device: int = 0) -> Counter:
    """The energy counter of an NVIDIA GPU.

    device: the GPU's number among those that CUDA shows to this process,
    `jax.Device.local_hardware_id`. NVML counts all GPUs of the machine; the entry of
    CUDA_VISIBLE_DEVICES says which one is meant. A part of a GPU (MIG) has the counter of the whole
    GPU: measure while the other parts are idle. On a machine with several kinds of GPUs set
    CUDA_DEVICE_ORDER=PCI_BUS_ID, the order in which NVML counts. Raises RuntimeError, which says
    what to do, if the library, the driver or the counter is missing.
    """
    try:
        import pynvml  # type: ignore[import-not-found]
    except ImportError as error:
        raise RuntimeError("measured energy needs pynvml: pip install 'bioplaus[nvml]'") from error
    try:
        pynvml.nvmlInit()
        handle = _handle(pynvml, device)
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError as error:
        raise RuntimeError(
            f"no NVIDIA GPU {device} with an energy counter (Volta or later) here: {error}"
        ) from error
    return Counter(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000)


def _handle(pynvml, device: int):
    """NVML's handle of the GPU that CUDA calls `device` in this process."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return pynvml.nvmlDeviceGetHandleByIndex(device)
    # CUDA ignores all names from the first on that is not a GPU's
    names = (name.strip() for name in named.split(","))
    visible = list(itertools.takewhile(_names_a_gpu, names))
    if not 0 <= device < len(visible):
        raise RuntimeError(
            f"CUDA_VISIBLE_DEVICES={named!r} shows {len(visible)} GPUs to this process, so that"
            f" there is no GPU {device}; choose one of those, or start the process with another"
            " CUDA_VISIBLE_DEVICES"
        )
    name = visible[device]
    if name.isascii() and name.isdecimal():
        return pynvml.nvmlDeviceGetHandleByIndex(int(name))
    # the older form, MIG-GPU-<uuid>/<instance>/<instance>: the name of the whole GPU is in it
    if name.startswith("MIG-GPU-"):
        return pynvml.nvmlDeviceGetHandleByUUID(name.removeprefix("MIG-").partition("/")[0])
    if name.startswith("MIG-"):
        return pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(
            pynvml.nvmlDeviceGetHandleByUUID(name)
        )
    return _of_uuid(pynvml, name)


def _names_a_gpu(name: str) -> bool:
    return name.isascii() and (name.isdecimal() or name.startswith(("GPU-", "MIG-")))


def _of_uuid(pynvml, name: str):
    """The GPU with this UUID. As in CUDA, the beginning of a UUID is enough."""
    try:
        return pynvml.nvmlDeviceGetHandleByUUID(name)
    except pynvml.NVMLError:
        every = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        matches = [
            handle for handle in every if _text(pynvml.nvmlDeviceGetUUID(handle)).startswith(name)
        ]
        if len(matches) != 1:
            raise
        return matches[0]


def _text(found: str | bytes) -> str:
    # older versions of pynvml give bytes
    return found.decode() if isinstance(found, bytes) else found


PROTOCOL = Window()


def measure(call: Callable[[], None], counter: Counter, window: Window = PROTOCOL) -> Measured:
    """Energy of one call. call: an already compiled function, which returns when its work is done
    (`jax.block_until_ready`).

    Raises ValueError for fewer than two repeats, and RuntimeError for a counter that stands still
    or goes backwards.
    """
    if window.repeats < 2:
        raise ValueError(
            f"measure: {window.repeats} repeats give no standard error; take 2 or more"
        )
    before = _idle(counter, window.idle)
    _repeat(call, counter, window.warm, 0)
    gross, seconds = [], []
    for _ in range(window.repeats):
        counter.wait(random.uniform(0, window.delay))
        joules, t, calls = _repeat(call, counter, window.seconds, window.ticks)
        gross.append(joules / calls)
        seconds.append(t / calls)
    after = _idle(counter, window.idle)
    net = np.array(gross) - (before + after) / 2 * np.array(seconds)

    def error(x) -> float:
        return float(np.std(x, ddof=1) / len(x) ** 0.5)

    return Measured(
        float(np.mean(gross)),
        error(gross),
        float(net.mean()),
        error(net),
        float(np.mean(seconds)),
        (before, after),
    )


def fit(points: Sequence[Point]) -> Fit:
    """Least squares of relative errors, with a, b, c >= 0. Raises ValueError for fewer than 12
    points or an energy of 0 or less.
    """
    if len(points) < 12 or any(not p.joules > 0 for p in points):
        raise ValueError(
            f"fit: got {len(points)} points, the smallest energy"
            f" {min((p.joules for p in points), default=0)} J; give 12 or more, above 0"
        )
    x, y = (
        np.array([p[:3] for p in points], np.float64),
        np.array([p.joules for p in points], np.float64),
    )
    errors = []
    for i in range(len(points)):
        rest = np.arange(len(points)) != i
        errors.append(float(abs(x[i] @ _solved(x[rest], y[rest]) / y[i] - 1)))
    a, b, c = _solved(x, y)
    return Fit(float(a), float(b), float(c), float(np.median(errors)), tuple(errors))


def _solved(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    from scipy.optimize import nnls

    scale = x.max(0)
    return nnls(x / scale / y[:, None], np.ones(len(y)))[0] / scale


def _idle(counter: Counter, seconds: float) -> float:
    """Power without calls, in W."""
    start, since = counter.joules(), counter.clock()
    counter.wait(seconds)
    return _gained(start, counter.joules()) / (counter.clock() - since)


def _gained(before: float, after: float) -> float:
    """Joules between two readings. Raises RuntimeError if the counter went backwards."""
    if not after >= before:
        raise RuntimeError(
            f"measure: the energy counter went from {before:g} J to {after:g} J: it was reset or"
            " ran over, and what was used between is not known; measure again (counters that run"
            " over, such as RAPL's, are to be unwrapped in `Counter.joules`)"
        )
    return after - before


def _repeat(
    call: Callable[[], None], counter: Counter, seconds: float, ticks: int
) -> tuple[float, float, int]:
    """Call until `seconds` have passed and the counter has changed `ticks` times. Returns joules,
    seconds and the number of calls.
    """
    start, since = counter.joules(), counter.clock()
    calls, moved, joules, last = 0, 0, 0.0, start
    while (elapsed := counter.clock() - since) < seconds or moved < ticks:
        call()
        calls, now = calls + 1, counter.joules()
        # checked at each step, because a counter that was reset may have passed its start again
        gained = _gained(last, now)
        moved, joules, last = moved + (gained > 0), joules + gained, now
        if elapsed > 10 * seconds + 60:
            raise RuntimeError(
                f"measure: the energy counter moved {moved} times in {elapsed:.0f} s, expected"
                f" {ticks}; is this the GPU that works?"
            )
    return joules, counter.clock() - since, calls
