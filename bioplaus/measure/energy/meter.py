"""Measured energy of a GPU: the counter of its driver over long windows, idle power taken off, and
a fit to what was computed.

    E_gross = counter after - counter before,
        E_net = E_gross - P_idle t            over a window of >= 30 s and >= 500 ticks
    E_net = a FLOP + b bytes + c t,
        a, b, c >= 0        fitted to relative errors; judged by leaving out one point after another
The counter (NVML's total energy, mJ since the driver was loaded, Volta and later) moves every 20 to
100 ms; the sensor under it samples a part of the time only, so that windows are repeated at random
delays.

Yang, Adamek, Armour, "Accurate and Convenient Energy Measurements for GPUs", 2023,
arXiv:2312.02741. On a GPU that is not full, E follows t: rules that save operations need not save
joules. This measures a GPU, and says nothing of neuromorphic hardware.
"""

import itertools
import os
import random
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class Counter(NamedTuple):
    """joules: () -> energy so far. clock: () -> seconds. wait: (seconds) -> None."""

    joules: Callable[[], float]
    clock: Callable[[], float] = time.perf_counter
    wait: Callable[[float], None] = time.sleep


class Window(NamedTuple):
    """How long to measure. ticks: least changes of the counter in a window. idle: seconds before
    and after all of them.
    """

    warm: float = 10.0
    seconds: float = 30.0
    ticks: int = 500
    repeats: int = 8
    idle: float = 10.0
    delay: float = 0.1


class Measured(NamedTuple):
    """Of one call: joules gross and net, mean and standard error over repeats; seconds a call; idle
    power before and after, W.
    """

    gross: float
    gross_error: float
    net: float
    net_error: float
    seconds: float
    idle: tuple[float, float]


class Point(NamedTuple):
    """One call: floating-point operations, bytes moved, seconds, joules net."""

    flop: float
    bytes: float
    seconds: float
    joules: float


class Fit(NamedTuple):
    """a: J/FLOP; b: J/byte; c: W. error: median relative error of a point that was left out;
    errors: of each.
    """

    a: float
    b: float
    c: float
    error: float
    errors: tuple[float, ...]


def nvml(device: int = 0) -> Counter:
    """The energy counter of an NVIDIA GPU. Raises RuntimeError, saying what to do, without its
    library, driver or counter.

    device: as CUDA counts the GPUs that this process sees, `jax.Device.local_hardware_id`. NVML
    counts all GPUs of the machine, so that the entry of CUDA_VISIBLE_DEVICES says which one that
    is. Of a part of a GPU (MIG) the counter is that of the whole GPU: measure while its other parts
    rest. On a machine with GPUs of several kinds set CUDA_DEVICE_ORDER=PCI_BUS_ID, the order in
    which NVML counts.
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
    # CUDA stops at the first name that is no GPU's
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
    """The GPU of a UUID, or of the beginning of one, which CUDA takes as well."""
    try:
        return pynvml.nvmlDeviceGetHandleByUUID(name)
    except pynvml.NVMLError:
        every = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        meant = [
            handle for handle in every if _text(pynvml.nvmlDeviceGetUUID(handle)).startswith(name)
        ]
        if len(meant) != 1:
            raise
        return meant[0]


def _text(found: str | bytes) -> str:
    # older versions of pynvml give bytes
    return found.decode() if isinstance(found, bytes) else found


PROTOCOL = Window()


def measure(call: Callable[[], None], counter: Counter, window: Window = PROTOCOL) -> Measured:
    """Energy of one call. call: blocks until its work is done (`jax.block_until_ready`), and has
    been compiled.

    Raises ValueError for fewer than two repeats, RuntimeError for a counter that stands still or
    goes backwards.
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
    points or a joule of 0 or less.
    """
    if len(points) < 12 or any(not p.joules > 0 for p in points):
        raise ValueError(
            f"fit: got {len(points)} points, the least energy"
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
    """Power without work, W."""
    start, since = counter.joules(), counter.clock()
    counter.wait(seconds)
    return _gained(start, counter.joules()) / (counter.clock() - since)


def _gained(before: float, after: float) -> float:
    """Joules between two readings. Raises RuntimeError where the counter went backwards."""
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
    """Call for so long and until the counter has moved so often: joules, seconds, calls."""
    start, since = counter.joules(), counter.clock()
    calls, moved, joules, last = 0, 0, 0.0, start
    while (elapsed := counter.clock() - since) < seconds or moved < ticks:
        call()
        calls, now = calls + 1, counter.joules()
        # of each step, as a counter that was reset may have passed its start again
        gained = _gained(last, now)
        moved, joules, last = moved + (gained > 0), joules + gained, now
        if elapsed > 10 * seconds + 60:
            raise RuntimeError(
                f"measure: the energy counter moved {moved} times in {elapsed:.0f} s, expected"
                f" {ticks}; is this the GPU that works?"
            )
    return joules, counter.clock() - since, calls
