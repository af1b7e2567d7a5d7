"""CIFAR-10, from any of several forms, but never from the pickled one.

Records are the official binary ones: a label byte, then 32 x 32 red, green and blue bytes, with
10,000 records per batch. Every form is converted to these and compared with the SHA-256 of the
official batches, so that all forms give the same bytes in the same order:

    $BIOPLAUS_DATA/cifar10/cifar-10-binary.tar.gz      the official archive, which is also what is
                                                       downloaded
    $BIOPLAUS_DATA/cifar10/cifar10.npz                 x_train [50000, 32, 32, 3] uint8, y_train,
                                                       x_test, y_test
    $BIOPLAUS_DATA/cifar10/train_batch_1.xz to _5.xz   packed without loss (packed.py), with
                                                       labels.npz

The first form that is found is used. The packed form has no full test set, and an npz may have
fewer than 10,000 test images.
"""

import io
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from bioplaus.data.dataset import VALIDATION, Dataset, batch, divided, one_hot, scaled
from bioplaus.data.fetch import DataError, File, cache, given, read, sha256, store
from bioplaus.data.packed import decode

# The SHA-256 of the archive and of its batches as MLDatasets.jl and torchvision-ruby publish them;
# they agree.
ARCHIVE = File(
    "cifar10/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
)
BATCHES = {
    "data_batch_1.bin": "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "data_batch_2.bin": "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "data_batch_3.bin": "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "data_batch_4.bin": "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "data_batch_5.bin": "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "test_batch.bin": "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
}
NPZ = "cifar10/cifar10.npz"
LABELS = File(
    "cifar10/labels.npz", "b7817019a95f42df948eef86e70b736fb1fe56fea4c40a011acb9ed0abd9ffa3"
)
PACKED = (
    File(
        "cifar10/train_batch_1.xz",
        "73d3238a3098a832363041125ce5576f83cfd0fc9c3b1e9b4bc2943277118474",
    ),
    File(
        "cifar10/train_batch_2.xz",
        "d3a46c5ebb0813e6217bc41ed1cd90fdf40ddcafc38308881ff7880efceb6f06",
    ),
    File(
        "cifar10/train_batch_3.xz",
        "e8a430cd1704e4a2d77f8b30084793a9e2cf07560f20eb3df511b3266dc6612d",
    ),
    File(
        "cifar10/train_batch_4.xz",
        "31ee44c4d55c8c383f815e8843d2d56e064879c7368776f9ec1af5354374ca1a",
    ),
    File(
        "cifar10/train_batch_5.xz",
        "7e7b26883106d1097450fca380f3aa258512f1a1aadd8a396e51081880d768e2",
    ),
)

CITE = " Cite: Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009."
OFFICIAL = (
    "Test set: the official 10,000. Split: the first 45,000 of the official 50,000 train, the last"
    " 5,000 validate." + CITE
)
HELD_OUT = (
    "Test set: a hold-out of the official training set, because the full official test set is not"
    ' here. Accuracy on it is NOT "CIFAR-10 test accuracy". Split: the official 50,000 in order,'
    " 40,000 train, 5,000 validate, 5,000 test." + CITE
)


def load() -> Dataset:
    """Animals and vehicles: 60,000 colour images of 32 x 32, 10 classes; 170 MB to download.

    45,000 train, 5,000 validation and 10,000 test images [32, 32, 3] of 10 classes. Without the
    official test images there are 40,000 train and 5,000 validation images, and 5,000 test images
    held out from the training set; the note says which. Raises DataError.
    """
    source, batches = _batches()
    for content, (name, expected) in zip(batches, BATCHES.items(), strict=False):
        if sha256(content) != expected:
            raise DataError(
                f"{source} is not CIFAR-10 in its official order: as {name} its images and labels"
                f" should have the SHA-256 {expected}. Delete the file and retry, or put"
                f" {ARCHIVE.name} beside it."
            )
    n = VALIDATION
    x, y = _examples(b"".join(batches[:5]))
    if len(batches) == 5:
        parts = slice(None, -2 * n), slice(-2 * n, -n), slice(-n, None)
        return divided("cifar10", x, y, parts, HELD_OUT)
    return Dataset(
        "cifar10",
        batch(x[:-n], y[:-n]),
        batch(x[-n:], y[-n:]),
        batch(*_examples(batches[5])),
        OFFICIAL,
    )


def _batches() -> tuple[str, list[bytes]]:
    """The source, and the records of the official batches.

    There are five, and the test batch if it is complete.
    """
    if not given(ARCHIVE.name):
        if path := given(NPZ):
            return str(path), _from_npz(path)
        if any(given(file.name) for file in PACKED):
            return "the packed form in $BIOPLAUS_DATA/cifar10", _from_packed()
    return ARCHIVE.name, _from_archive(read(ARCHIVE))


def _from_archive(content: bytes) -> list[bytes]:
    """Read in memory: nothing from an archive is written to the disk."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            members = [archive.extractfile(f"cifar-10-batches-bin/{name}") for name in BATCHES]
            return [member.read() for member in members if member]
    except (tarfile.TarError, KeyError, OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{ARCHIVE.name} is not the whole official archive: {error}. Delete the file and retry."
        ) from error


def _from_npz(path: Path) -> list[bytes]:
    """The arrays as five batches, and the test batch if x_test has as many images as one."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            x, y, test_x, test_y = (
                arrays[key] for key in ("x_train", "y_train", "x_test", "y_test")
            )
        batches = [_records(*part) for part in zip(np.split(x, 5), np.split(y, 5), strict=True)]
        return [*batches, _records(test_x, test_y)] if 5 * len(test_x) == len(x) else batches
    except (
        OSError,
        EOFError,
        LookupError,
        TypeError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(
            f"{path} cannot be used: {error}. It must hold x_train [50000, 32, 32, 3] uint8,"
            " y_train [50000] integers, x_test and y_test, without pickled objects. Make it anew,"
            " or delete it."
        ) from error


def _from_packed() -> list[bytes]:
    """Decoded once, and kept in the cache as the official batches. A batch is cached only if its
    SHA-256 is correct.
    """
    with np.load(io.BytesIO(read(LABELS)), allow_pickle=False) as arrays:
        labels = np.split(arrays["train"], 5)
    batches = []
    for file, y, (name, expected) in zip(PACKED, labels, BATCHES.items(), strict=False):
        content, path = read(file), cache() / "cifar10/cifar-10-batches-bin" / name
        kept = path.read_bytes() if path.is_file() else b""
        if sha256(kept) != expected:
            kept = _records(decode(content), y)
            if sha256(kept) == expected:
                store(path, kept)
        batches.append(kept)
    return batches


def _records(x: np.ndarray, y: np.ndarray) -> bytes:
    """Images [N, 32, 32, 3] uint8 and N integer labels -> official records. Raises ValueError for
    other arrays.
    """
    if x.shape[1:] != (32, 32, 3) or x.dtype != np.uint8 or y.dtype.kind not in "iu":
        raise ValueError(
            f"images of {x.dtype} {list(x.shape)} with labels of {y.dtype} {list(y.shape)}"
        )
    planes = x.transpose(0, 3, 1, 2).reshape(len(x), -1)
    return np.concatenate([y.reshape(len(x), 1).astype(np.uint8), planes], axis=1).tobytes()


def _examples(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Official records -> x float32 [N, 32, 32, 3] in [0, 1], y one-hot [N, 10]."""
    records = np.frombuffer(content, np.uint8).reshape(-1, 3073)
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return scaled(planes.transpose(0, 2, 3, 1), 255), one_hot(records[:, 0], 10)
