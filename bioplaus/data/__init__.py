"""Data sets.

`load(name)` reads one of `LOADERS`, or one from another package; `own(x, y)` makes one from a
user's arrays.

noisy: degraded training data. augment: changes images at each presentation. tasks: a data set as a
sequence of tasks. label_maps: contexts that decide its labels. clutter: images on canvases, alone
or beside another one. corrupted: the published MNIST-C and CIFAR-10-C.
"""

import difflib
from collections.abc import Callable

from bioplaus.data import (
    augment,
    cifar10,
    clutter,
    corrupted,
    digits,
    events,
    label_maps,
    mnist,
    noisy,
    patterns,
    recall,
    sequential,
    spoken_digits,
    tasks,
)
from bioplaus.data.dataset import Dataset, own
from bioplaus.data.fetch import DataError
from bioplaus.extensions import with_extensions

LOADERS: dict[str, Callable[[], Dataset]] = {
    "digits": digits.load,
    "digits-in-contexts": label_maps.load_digits,
    "mnist": mnist.load_mnist,
    "fashion-mnist": mnist.load_fashion_mnist,
    "cifar10": cifar10.load,
    "mnist-rows": sequential.load_rows,
    "mnist-pixels": sequential.load_pixels,
    "mnist-pixels-permuted": sequential.load_permuted,
    "spoken-digits": spoken_digits.load,
    **{
        f"spoken-digits-without-{who}": spoken_digits.without(who) for who in spoken_digits.SPEAKERS
    },
    "shd": events.load_shd,
    "nmnist": events.load_nmnist,
    "evidence-accumulation": recall.load_evidence,
    "store-recall": recall.load_store_recall,
    "delayed-match": recall.load_delayed_match,
    "pattern-generation": patterns.load_pattern,
    "random-manifolds": patterns.load_manifolds,
}
"""name -> the function that reads it. `bioplaus list` prints the first line of its docstring."""

SEQUENCES = frozenset(
    name for name in LOADERS if name not in ("digits", "mnist", "fashion-mnist", "cifar10")
)
"""The sets whose examples are sequences [T, ...], which a net over time takes."""

DATASETS = {name: (loader.__doc__ or "").split("\n")[0] for name, loader in LOADERS.items()}
"""name -> a one-line description."""


def available() -> dict[str, Callable[[], Dataset]]:
    """`LOADERS`, and the data sets that other packages register as entry points `bioplaus.data`.

    Raises ExtensionError, a ValueError, if two have the same name, or if a package's loader cannot
    be loaded.
    """
    return with_extensions("bioplaus.data", LOADERS)


def load(name: str) -> Dataset:
    """The data set `name`, split in the same way every time.

    x: float32 [N, ...], images [N, H, W, C] in [0, 1]. y: one-hot float32 [N, C]. Files are looked
    for in $BIOPLAUS_DATA/<name>/, then in the cache, then downloaded, and used only if their
    SHA-256 is correct. Raises ValueError for an unknown name, and DataError for a file that is
    missing or corrupt.
    """
    loaders = available()
    if name not in loaders:
        near = difflib.get_close_matches(str(name), loaders, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"No data set is named {name!r}.{hint} There are: {', '.join(loaders)}.")
    found = loaders[name]()
    if not isinstance(found, Dataset):
        raise DataError(
            f"{name}: its loader returned {type(found).__name__}; expected a bioplaus.data.Dataset,"
            " as bioplaus.data.own makes"
        )
    return found._replace(name=name)


__all__ = [
    "DATASETS",
    "LOADERS",
    "SEQUENCES",
    "DataError",
    "Dataset",
    "augment",
    "available",
    "clutter",
    "corrupted",
    "events",
    "label_maps",
    "load",
    "noisy",
    "own",
    "patterns",
    "recall",
    "sequential",
    "spoken_digits",
    "tasks",
]
