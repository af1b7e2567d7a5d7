"""Oracle: the transition matrices of the definitions, and counts worked by hand."""

import numpy as np
import pytest

from bioplaus.data import load
from bioplaus.data.noisy import SIMILAR, flipped_evenly, flipped_to, with_noise

DIGITS = load("digits")
N, C = 200_000, 10
LABELS = np.random.default_rng(0).integers(0, C, N)


def _transitions(given):
    counts = np.zeros((C, C))
    np.add.at(counts, (LABELS, given), 1)
    return counts / counts.sum(1, keepdims=True)


def _agree(found, expected):
    error = np.sqrt(expected * (1 - expected) / np.bincount(LABELS)[:, None])
    return (np.abs(found - expected) <= 4 * error + 1e-12).all()  # of 100 entries


def test_symmetric_transitions():
    found = _transitions(flipped_evenly(LABELS, C, 0.4, seed=3))
    expected = np.where(np.eye(C), 0.6, 0.4 / (C - 1))
    assert _agree(found, expected)
    # uniform over all classes, the true one among them
    assert not _agree(found, np.where(np.eye(C), 0.6 + 0.04, 0.04))


def test_asymmetric_transitions():
    found = _transitions(flipped_to(LABELS, SIMILAR["cifar10"], 0.3, seed=3))
    expected = np.eye(C)
    for a, b in ((9, 1), (2, 0), (4, 7), (3, 5), (5, 3)):
        expected[a, a], expected[a, b] = 0.7, 0.3
    assert _agree(found, expected)
    assert not _agree(found, expected.T)


def test_flipped_labels_are_kept_apart():
    data, flipped = with_noise(DIGITS, symmetric=0.3)
    was, now = DIGITS.train.y.argmax(1), data.train.y.argmax(1)
    wrong = np.asarray(was != now)
    assert abs(wrong.mean() - 0.3) < 3 * np.sqrt(0.21 / len(wrong))
    np.testing.assert_array_equal(flipped.x, DIGITS.train.x[wrong])
    np.testing.assert_array_equal(flipped.given, data.train.y[wrong])
    np.testing.assert_array_equal(flipped.truth, DIGITS.train.y[wrong])
    np.testing.assert_array_equal(data.train.x, DIGITS.train.x)
    assert data.name == "digits + 30% symmetric label noise"
    for part in ("validation", "test"):
        assert getattr(data, part) is getattr(DIGITS, part)


def test_zero_noise_changes_nothing():
    data, flipped = with_noise(DIGITS)
    assert (data.name, data.note) == (DIGITS.name, DIGITS.note)
    np.testing.assert_array_equal(data.train.x, DIGITS.train.x)
    np.testing.assert_array_equal(data.train.y, DIGITS.train.y)
    assert len(flipped.x) == 0


def test_imbalance_and_fraction_by_hand():
    before = np.asarray(DIGITS.train.y).sum(0)
    counts = np.asarray(with_noise(DIGITS, imbalance=100)[0].train.y).sum(0)
    np.testing.assert_array_equal(
        counts, [round(n * 100 ** (-c / 9)) for c, n in enumerate(before)]
    )
    few = with_noise(DIGITS, fraction=0.1)[0]
    np.testing.assert_array_equal(np.asarray(few.train.y).sum(0), [round(0.1 * n) for n in before])
    assert (np.asarray(with_noise(DIGITS, fraction=1e-4)[0].train.y).sum(0) == 1).all()


def test_input_noise_has_its_moments():
    data, flipped = with_noise(DIGITS, input_noise=0.5)
    noise = (np.asarray(data.train.x) - np.asarray(DIGITS.train.x)).ravel() / 0.5
    assert abs(noise.mean()) < 3 / np.sqrt(noise.size)
    assert abs(noise.var() - 1) < 3 * np.sqrt(2 / noise.size)
    assert data.train.x.dtype == np.float32
    assert len(flipped.x) == 0


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"symmetric": 1.2}, "0 to 1"),
        ({"fraction": 0.0}, "fraction"),
        ({"imbalance": 0.5}, "imbalance"),
        ({"symmetric": 0.2, "asymmetric": 0.2}, "not both"),
    ],
)
def test_refuses(settings, match):
    with pytest.raises(ValueError, match=match):
        with_noise(DIGITS, **settings)
    with pytest.raises(ValueError, match="no similar classes"):
        with_noise(DIGITS._replace(name="own"), asymmetric=0.1)
