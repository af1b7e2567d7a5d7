"""Pattern generation and random manifolds: what is made is what the formulas say."""

import hashlib

import numpy as np
import pytest

from bioplaus.data import load, recall
from bioplaus.data.dataset import uniform
from bioplaus.data.patterns import pattern_generation, random_manifolds


def test_patterns_are_five_sines():
    batch = pattern_generation(3, dt=5.0)
    y = np.asarray(batch.y)
    assert y.shape == (3, 200, 3)
    assert (y == y[:1]).all()
    assert np.allclose(np.abs(y).max(1), 1)
    spectrum = np.abs(np.fft.rfft(y[0], axis=0))
    assert (spectrum[1:6] > 1).all()
    assert np.delete(spectrum, range(1, 6), 0).max() < 1e-4
    other = pattern_generation(3, pattern=1, dt=5.0)
    assert np.abs(y - other.y).max() > 0.1
    assert np.array_equal(batch.x, other.x)
    assert not np.array_equal(batch.x, pattern_generation(3, 1, dt=5.0).x)
    assert batch.asked is not None
    assert batch.asked.all()


def test_inputs_tell_the_time():
    x = pattern_generation(2, groups=4, population=3, rate=1e5, duration=80.0, dt=10.0).x
    assert x.shape == (2, 8, 12)
    want = np.repeat(np.repeat(np.eye(4), 2, 0), 3, 1)
    assert np.array_equal(x[1], want)


def test_a_point_by_hand():
    """The time of one spike, from the formula, in two dimensions."""
    batch = random_manifolds(
        5, 4, manifolds=9, classes=2, dimensions=2, inputs=3, smoothness=1.5, moments=1_000
    )
    k = np.arange(1, 100)  # K = 100
    a, b, c = np.moveaxis(uniform(2 * 3 * 3 * 2 * 99, (9, 300)).reshape(2, 3, 3, 2, 99), 1, 0)
    label, i, n = int(batch.y[2].argmax()), 1, 2

    def f(z):
        found = 1.0
        for d in range(2):
            waves = np.sin(2 * np.pi * (k * z[d] * b[label, i, d] + c[label, i, d]))
            found *= (a[label, i, d] / (k + 1) ** 1.5 * waves).sum()
        return found

    cloud = [f(z) for z in uniform(2_000, (9, 303)).reshape(1_000, 2)]
    value = f(uniform(10, (4, 302)).reshape(5, 2)[n])
    moment = 1_000 * (value - min(cloud)) / (max(cloud) - min(cloud))
    assert abs(batch.x[n, :, i].argmax() - moment) <= 1
    assert (batch.x.sum(1) == 1).all()


def nearest(train, test) -> float:
    """Share of test points whose nearest training point is of their class."""
    times = [np.asarray(b.x).argmax(1).astype(float) for b in (train, test)]
    near = ((times[1][:, None] - times[0][None]) ** 2).sum(-1).argmin(1)
    return float((np.asarray(train.y)[near].argmax(1) == np.asarray(test.y).argmax(1)).mean())


def test_classes_are_smooth_manifolds():
    """Neighbours share a class on curves; less on rough ones, and not if manifolds differ."""
    smooth, rough = (
        [
            random_manifolds(n, s, classes=4, inputs=6, smoothness=alpha)
            for s, n in enumerate((300, 100))
        ]
        for alpha in (2.0, 1.0)
    )
    assert nearest(*smooth) > 0.95
    assert nearest(*rough) < nearest(*smooth)
    other = random_manifolds(100, 1, manifolds=5, classes=4, inputs=6)
    assert nearest(smooth[0], other) < 0.6


def test_the_same_seed_gives_the_same_points_everywhere():
    def mark(seed):
        batch = random_manifolds(20, seed, classes=3, inputs=4, moments=10)
        return hashlib.sha256(batch.x.astype("<f4").tobytes()).hexdigest()[:12]

    assert mark(0) == "b5555b9aaf65" != mark(1)


def test_data_sets(monkeypatch):
    monkeypatch.setattr(recall, "SIZES", (6, 4, 5))
    for name, dt, axes in (("pattern-generation", 5.0, 3), ("random-manifolds", 1.0, 2)):
        data = load(name)
        assert data.dt == dt
        assert data.train.y.ndim == axes
        assert [len(part.x) for part in data[1:4]] == [6, 4, 5]
        assert not np.array_equal(data.validation.x, data.test.x[:4])


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: pattern_generation(2, duration=3.0), "3 moments for 5 groups"),
        (lambda: random_manifolds(0), "got 0 points"),
        (lambda: random_manifolds(2, classes=1), "2 classes or more"),
        (lambda: random_manifolds(2, smoothness=0.0), "smoothness above 0"),
    ],
)
def test_refusals(act, message):
    with pytest.raises(ValueError, match=message):
        act()
