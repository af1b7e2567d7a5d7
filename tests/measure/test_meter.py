"""Measured energy with a simulated counter, the fit to it, and the brain in comparison."""

import sys

import numpy as np
import pytest

from bioplaus.measure import brain
from bioplaus.measure.energy import meter


class Gpu:
    """A simulated GPU: 100 W at rest, 40 J and 0.1 s per call, a counter updated every 20 ms."""

    def __init__(self, stuck=False):
        self.now, self.energy, self.stuck = 0.0, 0.0, stuck

    def wait(self, seconds):
        self.now, self.energy = self.now + seconds, self.energy + 100 * seconds

    def call(self):
        self.wait(0.1)
        self.energy += 40

    def counter(self):
        def joules():
            return 0.0 if self.stuck else self.energy - 100 * (self.now % 0.02)

        return meter.Counter(joules, lambda: self.now, self.wait)


WINDOW = meter.Window(warm=1, seconds=5, ticks=20, repeats=4, idle=2)


def test_energy_of_a_call():
    gpu = Gpu()
    found = meter.measure(gpu.call, gpu.counter(), WINDOW)
    assert found.net == pytest.approx(40, rel=0.01)
    assert found.gross == pytest.approx(50, rel=0.01)
    assert found.seconds == pytest.approx(0.1)
    assert found.idle == pytest.approx((100, 100), rel=0.02)
    assert 0 < found.net_error < 0.4


def test_a_window_waits_for_the_counter():
    """500 ticks at one tick a call: 500 calls, though 5 s are over after 50."""
    gpu, calls = Gpu(), []

    def call():
        calls.append(1)
        gpu.call()

    meter.measure(call, gpu.counter(), WINDOW._replace(ticks=500, repeats=2))
    assert len(calls) >= 2 * 500


def test_impossible_measurements_are_refused(monkeypatch):
    gpu = Gpu(stuck=True)
    with pytest.raises(RuntimeError, match="moved 0 times"):
        meter.measure(gpu.call, gpu.counter(), WINDOW)
    with pytest.raises(ValueError, match="standard error"):
        meter.measure(gpu.call, gpu.counter(), WINDOW._replace(repeats=1))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(RuntimeError, match=r"pip install 'bioplaus\[nvml\]'"):
        meter.nvml()


class Nvml:
    """A simulated pynvml with four GPUs, of which GPU-c2 is split into two MIG instances.

    The joules that a GPU reports are its index.
    """

    NVMLError = type("NVMLError", (Exception,), {})
    uuids = ("GPU-a0", "GPU-b1", "GPU-c2", "GPU-c3")

    def nvmlInit(self):
        pass

    def nvmlDeviceGetCount(self):
        return len(self.uuids)

    def nvmlDeviceGetHandleByIndex(self, index):
        if not 0 <= index < len(self.uuids):
            raise self.NVMLError("Invalid Argument")
        return index

    def nvmlDeviceGetUUID(self, handle):
        return self.uuids[handle].encode()

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid.startswith("MIG-"):
            return uuid
        if uuid not in self.uuids:
            raise self.NVMLError("Not Found")
        return self.uuids.index(uuid)

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle):
        return {"MIG-11": 2, "MIG-12": 2}[handle]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        if not isinstance(handle, int):
            raise self.NVMLError("Not Supported")  # a part of a GPU has no counter
        return 1000 * handle


@pytest.mark.parametrize(
    ("visible", "device", "gpu"),
    [
        (None, 0, 0),
        (None, 3, 3),
        ("3", 0, 3),
        ("2, 1", 0, 2),
        ("2, 1", 1, 1),
        ("GPU-b1", 0, 1),
        ("GPU-a0,GPU-c3", 1, 3),
        ("GPU-b", 0, 1),  # CUDA takes a beginning that is one GPU's alone
        ("MIG-12", 0, 2),
        ("0,MIG-11", 1, 2),
        ("MIG-GPU-c2/5/0", 0, 2),
        ("3,-1,2", 0, 3),
    ],
)
def test_the_counter_is_of_the_gpu_that_cuda_sees(monkeypatch, visible, device, gpu):
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert meter.nvml(device).joules() == gpu


@pytest.mark.parametrize(
    ("visible", "device", "said"),
    [
        ("3", 1, "shows 1 GPUs"),
        ("", 0, "shows 0 GPUs"),
        ("3,-1,2", 1, "shows 1 GPUs"),  # CUDA stops at the first name that is none
        ("none", 0, "shows 0 GPUs"),
        ("2", -1, "no GPU -1"),
        ("7", 0, "no NVIDIA GPU 0"),
        ("GPU-c", 0, "no NVIDIA GPU 0"),  # two GPUs begin so
        (None, 4, "no NVIDIA GPU 4"),
    ],
)
def test_no_counter_of_a_gpu_that_cuda_does_not_see(monkeypatch, visible, device, said):
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(RuntimeError, match=said):
        meter.nvml(device)


@pytest.mark.parametrize("at", [1.0, 7.0, 23.0])
def test_a_counter_that_goes_backwards_is_refused(at):
    """A counter that is reset raises an error, whenever the reset happens.

    It is reset while idle, in the first window, or while idle at the end; later it passes its first
    value again.
    """
    gpu, window = Gpu(), WINDOW._replace(delay=0.0)
    before, usual = gpu.counter(), gpu.wait

    def wait(seconds):
        reset = gpu.now < at <= gpu.now + seconds
        usual(seconds)
        if reset:
            gpu.energy = 0.0

    gpu.wait, gpu.energy = wait, 1e3
    with pytest.raises(RuntimeError, match=r"went from .* J to .* J"):
        meter.measure(gpu.call, before._replace(wait=wait), window)


def points(noise, n=16):
    rng = np.random.default_rng(0)
    x = np.exp(rng.uniform([20, 15, -8], [28, 23, 0], (n, 3)))
    joules = x @ [1e-12, 2e-10, 60.0] * np.exp(noise * rng.normal(size=n))
    return [
        meter.Point(float(row[0]), float(row[1]), float(row[2]), float(j))
        for row, j in zip(x, joules, strict=True)
    ]


def test_the_fit():
    """The fit recovers the constants of exact points, and its error shows how well the law holds.

    With 10 % of noise the error on points left out is below 15 %; for shuffled energies it is not.
    """
    exact = meter.fit(points(0.0))
    assert (exact.a, exact.b, exact.c) == pytest.approx((1e-12, 2e-10, 60.0), rel=1e-6)
    assert exact.error < 1e-6
    assert 0.01 < meter.fit(points(0.1)).error < 0.15
    shuffled = [
        p._replace(joules=q.joules) for p, q in zip(points(0.0), reversed(points(0.0)), strict=True)
    ]
    assert meter.fit(shuffled).error > 0.3
    with pytest.raises(ValueError, match="12 or more"):
        meter.fit(points(0.0, 11))


def test_the_brain():
    """Energies per operation of the brain equal sums by hand, beside an H200's, kT and ATP.

    20 W over 1e15 operations per second is 2e-14 J, 35 times less than an H200 in bfloat16; over
    1e21 it is 4.7 kT, a quarter of an ATP.
    """
    assert brain.joule_per_flop(20, 1e15) == pytest.approx(2e-14)
    each = {p.place.name: p for p in brain.beside_the_brain(2e12, 5.0)}
    h200 = each["H200, bfloat16"].joule_per_operation
    assert h200 / brain.joule_per_flop(20, 1e15) == pytest.approx(35, rel=0.02)
    least = brain.joule_per_flop(20, 1e21)
    assert least / (brain.BOLTZMANN * brain.BODY) == pytest.approx(4.7, abs=0.05)
    assert least / brain.ATP == pytest.approx(0.24, abs=0.005)
    assert each["H200, bfloat16"].joules == pytest.approx(2e12 * h200)
    assert each["H200, bfloat16"].ratio == pytest.approx(5 / (2e12 * h200))
    assert each["TrueNorth"].joules == pytest.approx(1e12 / 46e9)  # a MAC is one synaptic event
    assert [p.place.rate for p in each.values()][:4] == [1e13, 1e15, 1e17, 1e21]
    for wrong in ((0, 1.0), (1.0, 0)):
        with pytest.raises(ValueError, match="above 0"):
            brain.beside_the_brain(*wrong)
        with pytest.raises(ValueError, match="above 0"):
            brain.joule_per_flop(*wrong)
