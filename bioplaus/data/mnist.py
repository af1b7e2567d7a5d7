"""MNIST and Fashion-MNIST: four gzipped IDX files each, with the same names."""

import gzip
import math
import zlib

import numpy as np

from bioplaus.data.dataset import VALIDATION, Dataset, batch, one_hot, scaled
from bioplaus.data.fetch import DataError, File, read

TRAIN_X, TRAIN_Y = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
TEST_X, TEST_Y = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"

MIRRORS = {
    # The original address, yann.lecun.com/exdb/mnist, no longer serves the files.
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
}

SHA256 = {
    "mnist": {
        TRAIN_X: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        TRAIN_Y: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        TEST_X: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        TEST_Y: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    "fashion-mnist": {
        TRAIN_X: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        TRAIN_Y: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        TEST_X: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        TEST_Y: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
}

NOTE = (
    "Test set: the official 10,000. Split: the first 55,000 of the official 60,000 train, the last"
    " 5,000 validate. Cite: "
)


def load_mnist() -> Dataset:
    """Handwritten digits: 70,000 images of 28 x 28, 10 classes; 12 MB to download.

    55,000 train, 5,000 validation and 10,000 test images [28, 28, 1] of 10 digits. Raises
    DataError.
    """
    return _load(
        "mnist",
        "LeCun, Bottou, Bengio & Haffner, Gradient-Based Learning Applied to Document Recognition,"
        " 1998.",
    )


def load_fashion_mnist() -> Dataset:
    """Clothes: 70,000 images of 28 x 28, 10 classes; 31 MB to download.

    55,000 train, 5,000 validation and 10,000 test images [28, 28, 1] of 10 garments. Raises
    DataError.
    """
    return _load("fashion-mnist", "Xiao, Rasul & Vollgraf, Fashion-MNIST, 2017, arXiv:1708.07747.")


def _load(name: str, cite: str) -> Dataset:
    x, labels, test_x, test_labels = (
        _array(name, part) for part in (TRAIN_X, TRAIN_Y, TEST_X, TEST_Y)
    )
    x, y = scaled(x[..., None], 255), one_hot(labels, 10)
    return Dataset(
        name,
        train=batch(x[:-VALIDATION], y[:-VALIDATION]),
        validation=batch(x[-VALIDATION:], y[-VALIDATION:]),
        test=batch(scaled(test_x[..., None], 255), one_hot(test_labels, 10)),
        note=NOTE + cite,
    )


def _array(name: str, part: str) -> np.ndarray:
    """One file of the set, as an array."""
    path = f"{name}/{part}"
    content = read(File(path, SHA256[name][part], tuple(mirror + part for mirror in MIRRORS[name])))
    try:
        return read_idx(gzip.decompress(content))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise DataError(
            f"{path} is not a whole gzipped IDX file: {error}. Delete the file and retry."
        ) from error


def read_idx(content: bytes) -> np.ndarray:
    """IDX of unsigned bytes -> uint8 array. The format is: 0, 0, type 8, rank, the shape as
    big-endian uint32, the data in C order.

    Raises ValueError for any other content, and for more or fewer bytes than the header says.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError("it does not begin like an IDX file of unsigned bytes")
    start = 4 + 4 * content[3]
    shape = tuple(int(n) for n in np.frombuffer(content[4:start], ">u4"))
    if len(content) != start + math.prod(shape):
        raise ValueError(f"its header says {start + math.prod(shape)} bytes, it has {len(content)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
