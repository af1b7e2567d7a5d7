"""Data sets. DATASETS: name -> one line on it; `load(name)` reads one; `own(x, y)` makes one of a user's arrays.

noisy: training data made worse; augment: made anew at each presentation; tasks: a data set as a sequence of tasks; corrupted: the
published MNIST-C and CIFAR-10-C.
"""

import difflib

from bioplaus.data import augment, cifar10, corrupted, digits, mnist, noisy, tasks
from bioplaus.data.dataset import Dataset, own
from bioplaus.data.fetch import DataError

DATASETS = {
    "digits": "handwritten digits, 1,797 images of 8 x 8, 10 classes; ships with the package",
    "mnist": "handwritten digits, 70,000 images of 28 x 28, 10 classes; 12 MB to download",
    "fashion-mnist": "clothes, 70,000 images of 28 x 28, 10 classes; 31 MB to download",
    "cifar10": "animals and vehicles, 60,000 colour images of 32 x 32, 10 classes; 170 MB to download",
}

_LOADERS = {
    "digits": digits.load,
    "mnist": mnist.load_mnist,
    "fashion-mnist": mnist.load_fashion_mnist,
    "cifar10": cifar10.load,
}


def load(name: str) -> Dataset:
    """The data set `name`, split the same way every time. x: float32 [N, H, W, C] in [0, 1]; y: one-hot float32 [N, 10].

    Files are looked for in $BIOPLAUS_DATA/<name>/, then in the cache, then downloaded, and used only if their SHA-256 is right.
    Raises ValueError for an unknown name, and DataError for a file that is missing or corrupt.
    """
    if name not in _LOADERS:
        near = difflib.get_close_matches(str(name), _LOADERS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"No data set is named {name!r}.{hint} There are: {', '.join(DATASETS)}.")
    return _LOADERS[name]()


__all__ = ["DATASETS", "DataError", "Dataset", "augment", "corrupted", "load", "noisy", "own", "tasks"]
