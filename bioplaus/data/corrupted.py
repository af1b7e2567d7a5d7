"""The published corrupted test sets MNIST-C and CIFAR-10-C, from a user's copy. Arrays are never
read as pickles.

    mnist_c(folder)     folder/<corruption>/test_images.npy   uint8 [10000, 28, 28, 1], with
                        test_labels.npy beside it
    cifar10_c(folder)   folder/<corruption>.npy               uint8 [50000, 32, 32, 3], 10,000 per
                        severity, with labels.npy beside them

MNIST-C has one severity of each corruption and an uncorrupted set, `identity`; CIFAR-10-C has five
severities.

Mu, Gilmer, "MNIST-C", 2019, arXiv:1906.02337, doi:10.5281/zenodo.3239543; Hendrycks, Dietterich,
"Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", 2019,
arXiv:1903.12261, doi:10.5281/zenodo.2535967.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from bioplaus.data.dataset import one_hot
from bioplaus.data.fetch import DataError


class Corrupted(NamedTuple):
    """images: corruption -> uint8 [severities, N, H, W, C]. y: one-hot float32 [N, 10], the same
    for all corruptions.
    """

    name: str
    images: dict[str, np.ndarray]
    y: np.ndarray


def mnist_c(folder: str | Path) -> Corrupted:
    """MNIST-C's test sets of every corruption in the folder except `identity`. Raises DataError."""
    found, labels = {}, None
    for part in sorted(p for p in _folder(folder).iterdir() if p.is_dir() and p.name != "identity"):
        images, y = (
            _array(part / "test_images.npy", (28, 28, 1)),
            _labels(part / "test_labels.npy"),
        )
        if len(images) != len(y) or (labels is not None and not np.array_equal(y, labels)):
            raise DataError(
                f"{part}: its labels are not one for each image, or not those of the other"
                " corruptions. Unpack it anew."
            )
        found[part.name.replace("_", " ")], labels = images[None], y
    return _whole("MNIST-C", found, labels, folder, "<corruption>/test_images.npy")


def cifar10_c(folder: str | Path) -> Corrupted:
    """CIFAR-10-C, for every corruption in the folder. Raises DataError."""
    folder = _folder(folder)
    labels, found = _labels(folder / "labels.npy"), {}
    n = len(labels) // 5
    if len(labels) != 5 * n or not (labels.reshape(5, n) == labels[:n]).all():
        raise DataError(
            f"{folder / 'labels.npy'}: expected the labels of the test set five times over. Unpack"
            " it anew."
        )
    for path in sorted(p for p in folder.glob("*.npy") if p.name != "labels.npy"):
        images = _array(path, (32, 32, 3))
        if len(images) != len(labels):
            raise DataError(
                f"{path} has {len(images)} images for {len(labels)} labels. Unpack it anew."
            )
        found[path.stem.replace("_", " ")] = images.reshape(5, n, 32, 32, 3)
    return _whole("CIFAR-10-C", found, labels[:n], folder, "<corruption>.npy")


def _folder(folder: str | Path) -> Path:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise DataError(
            f"{path} is not a folder. Give the one that MNIST-C or CIFAR-10-C was unpacked to."
        )
    return path


def _array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    images = _read(path)
    if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
        raise DataError(
            f"{path} holds {images.dtype} {list(images.shape)}, expected uint8 [N,"
            f" {', '.join(map(str, shape))}]."
        )
    return images


def _labels(path: Path) -> np.ndarray:
    labels = _read(path)
    if (
        labels.ndim != 1
        or labels.dtype.kind not in "iu"
        or not len(labels)
        or labels.min() < 0
        or labels.max() > 9
    ):
        raise DataError(
            f"{path} holds {labels.dtype} {list(labels.shape)}, expected whole numbers from 0 to 9,"
            " [N]."
        )
    return labels


def _read(path: Path) -> np.ndarray:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{path} cannot be read as an array: {error}. Unpack the published archive anew."
        ) from error
    if not isinstance(found, np.ndarray):
        raise DataError(
            f"{path} is an archive, expected one array. Unpack the published archive anew."
        )
    return found


def _whole(
    name: str,
    images: dict[str, np.ndarray],
    labels: np.ndarray | None,
    folder: str | Path,
    what: str,
) -> Corrupted:
    if labels is None or not images:
        raise DataError(f"{folder} holds no {what}. Give the folder that {name} was unpacked to.")
    return Corrupted(name, images, one_hot(labels, 10))
