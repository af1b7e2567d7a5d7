"""Optical recognition of handwritten digits: the default data set, embedded in the package.

digits.csv.gz is scikit-learn's, bit for bit: each row has 64 pixels of 0..16 and a label. Its
licence is in digits.LICENSE.txt.
"""

import gzip
from importlib.resources import files

import numpy as np

from bioplaus.data.dataset import SPLIT, Dataset, divided, one_hot, scaled, stratified
from bioplaus.data.fetch import DataError, sha256

SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"

NOTE = (
    "Test set: 359 of the 1,797 examples of the UCI test set; the UCI training set is not in here."
    f" Split: {SPLIT}; the writers are not known, so one may be in all three. Cite: Alpaydin &"
    " Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,"
    " doi:10.24432/C50P49."
)


def load() -> Dataset:
    """Handwritten digits: 1,797 images of 8 x 8, 10 classes; they ship with the package.

    1,258 train, 180 validation and 359 test images [8, 8, 1] of 10 digits. Raises DataError if the
    package is damaged.
    """
    path = files("bioplaus.data") / "digits.csv.gz"
    content = path.read_bytes() if path.is_file() else b""
    if sha256(content) != SHA256:
        raise DataError(
            f"{path} is missing or corrupt: expected SHA-256 {SHA256}. Reinstall bioplaus."
        )
    table = np.loadtxt(gzip.decompress(content).decode().splitlines(), delimiter=",").astype(
        np.int64
    )
    x, labels = table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1]
    return divided("digits", scaled(x, 16), one_hot(labels, 10), stratified(labels), NOTE)
