"""Corrupted data sets: files in the published layout, and files with every kind of damage."""

import numpy as np
import pytest

from bioplaus.data import DataError
from bioplaus.data.corrupted import cifar10_c, mnist_c

RNG = np.random.default_rng(0)


def _mnist(folder, n=4):
    labels = RNG.integers(0, 10, n)
    for name in ("identity", "shot_noise", "fog"):
        (folder / name).mkdir(parents=True)
        np.save(
            folder / name / "test_images.npy", RNG.integers(0, 256, (n, 28, 28, 1)).astype(np.uint8)
        )
        np.save(folder / name / "test_labels.npy", labels)
    return labels


def _cifar(folder, n=4):
    folder.mkdir()
    labels = RNG.integers(0, 10, n)
    np.save(folder / "labels.npy", np.tile(labels, 5))
    np.save(
        folder / "gaussian_noise.npy", RNG.integers(0, 256, (5 * n, 32, 32, 3)).astype(np.uint8)
    )
    return labels


def test_mnist_c(tmp_path):
    labels = _mnist(tmp_path / "c")
    found = mnist_c(tmp_path / "c")
    assert set(found.images) == {"shot noise", "fog"}
    np.testing.assert_array_equal(
        found.images["fog"][0], np.load(tmp_path / "c" / "fog" / "test_images.npy")
    )
    np.testing.assert_array_equal(found.y.argmax(1), labels)
    np.save(tmp_path / "c" / "fog" / "test_labels.npy", (labels + 1) % 10)
    with pytest.raises(DataError, match="labels"):
        mnist_c(tmp_path / "c")


def test_cifar10_c(tmp_path):
    labels = _cifar(tmp_path / "c")
    found = cifar10_c(tmp_path / "c")
    written = np.load(tmp_path / "c" / "gaussian_noise.npy")
    np.testing.assert_array_equal(found.images["gaussian noise"][3], written[12:16])  # severity 4
    np.testing.assert_array_equal(found.y.argmax(1), labels)
    np.save(
        tmp_path / "c" / "labels.npy",
        np.repeat(labels, 5) if len(set(labels)) > 1 else np.arange(20) % 10,
    )
    with pytest.raises(DataError, match="five times"):
        cifar10_c(tmp_path / "c")


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda p: p.write_bytes(b"\x93NUMPY"), "cannot be read"),
        (lambda p: np.save(p, np.array([{"a": 1}], object)), "cannot be read"),
        (lambda p: np.save(p, np.zeros((20, 32, 32, 3), np.float32)), "expected uint8"),
        (lambda p: np.save(p, np.zeros((20, 28, 28, 3), np.uint8)), "expected uint8"),
        (lambda p: np.save(p, np.zeros((10, 32, 32, 3), np.uint8)), "10 images for 20 labels"),
        (lambda p: p.unlink(), "holds no"),
    ],
)
def test_damaged_files_are_refused(tmp_path, damage, match):
    _cifar(tmp_path / "c")
    damage(tmp_path / "c" / "gaussian_noise.npy")
    with pytest.raises(DataError, match=match):
        cifar10_c(tmp_path / "c")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="not a folder"):
        mnist_c(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no"):
        mnist_c(tmp_path / "empty")
