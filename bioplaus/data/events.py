"""Data sets of recorded events, as spikes in moments: spoken digits (SHD) and digits (N-MNIST).

An event at t ms of unit u sets x[floor(t / dt), u] = 1: x [N, T, units] are spikes of 0 and 1, and
further events of a unit in one moment are lost, as are events after the last moment. Units may be
pooled: neighbours then share an input. Files are checked by the MD5 that their publishers give,
which finds damage and no forgery. While a data set is read it takes twice its memory.
"""

import io
import zipfile
from typing import Any

import numpy as np

from bioplaus.data.dataset import Dataset, batch, one_hot, picked, stratified
from bioplaus.data.fetch import DataError, File, read
from bioplaus.types import Batch

SHD_PLACES = ("https://zenkelab.org/datasets/", "https://compneuro.net/datasets/")
SHD = {
    "train": File(
        "shd/shd_train.h5.zip",
        "md5:f3252aeb598ac776c1b526422d90eecb",
        tuple(f"{place}shd_train.h5.zip" for place in SHD_PLACES),
    ),
    "test": File(
        "shd/shd_test.h5.zip",
        "md5:1503a5064faa34311c398fb0a1ed0a6f",
        tuple(f"{place}shd_test.h5.zip" for place in SHD_PLACES),
    ),
}
SHD_UNITS, SHD_CLASSES = 700, 20

NMNIST_PLACE = "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/"
NMNIST = {
    "train": File(
        "nmnist/train.zip",
        "md5:20959b8e626244a1b502305a9e6e2031",
        (f"{NMNIST_PLACE}39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",),
    ),
    "test": File(
        "nmnist/test.zip",
        "md5:69ca8762b2fe404d9b9bad1103e97832",
        (f"{NMNIST_PLACE}05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",),
    ),
}
SIDE = 34
"""Pixels along each axis of the camera's image."""


def load_shd() -> Dataset:
    """Spiking Heidelberg Digits: 20 spoken digits as 100 moments of 140 units; needs h5py.

    See `shd`, whose defaults these are. Raises DataError.
    """
    return shd()


def shd(*, dt: float = 10.0, moments: int = 100, pool: int = 5) -> Dataset:
    """The spikes of 700 cochlear units for spoken digits 0 to 9, in English and in German.

    pool: neighbouring units that share an input. dt, moments: 100 moments of 10 ms take 0.6 GB at
    pool 5, and 2.9 GB at pool 1. 8,156 recordings train, of which a tenth of each class validates;
    the official 2,264 test, two of whose speakers are in no other part.

    Cramer, Stradmann, Schemmel, Zenke, "The Heidelberg Spiking Data Sets for the Systematic
    Evaluation of Spiking Neural Networks", 2020, doi:10.1109/TNNLS.2020.3044364. Raises ValueError
    for sizes that do not fit, and DataError, also where h5py is missing.
    """
    _check(dt, moments, pool, SHD_UNITS)
    train, test = (_heidelberg(SHD[part], dt, moments, pool) for part in ("train", "test"))
    note = (
        "Test set: the official one. Split: a tenth of each class of the official training set"
        " validates. Cite: Cramer et al., 2020, doi:10.1109/TNNLS.2020.3044364, CC BY 4.0."
    )
    return _held_out("shd", train, test, note, dt)


def _heidelberg(file: File, dt: float, moments: int, pool: int) -> Batch:
    try:
        import h5py
    except ImportError as error:
        raise DataError(
            "The Heidelberg digits are HDF5 files, which h5py reads: pip install 'bioplaus[events]'"
        ) from error
    name = file.name.rpartition("/")[2].removesuffix(".zip")
    try:
        with zipfile.ZipFile(io.BytesIO(read(file))) as archive:
            content = io.BytesIO(archive.read(name))
        with h5py.File(content) as found:
            # Any: h5py's own types do not tell a data set from a group
            times: Any = found["spikes/times"]
            units: Any = found["spikes/units"]
            labels = np.asarray(found["labels"], int)
            x = np.zeros((len(labels), moments, SHD_UNITS // pool), np.float32)
            for i in range(len(labels)):
                seconds = np.asarray(times[i], float)
                binned(x[i], seconds * 1_000, np.asarray(units[i], int) // pool, dt)
            return batch(x, one_hot(labels, SHD_CLASSES))
    except (zipfile.BadZipFile, OSError, LookupError, ValueError) as error:
        raise DataError(
            f"{file.name} is not a file of the Heidelberg digits: {error}. Delete it and retry."
        ) from error


def load_nmnist() -> Dataset:
    """N-MNIST: digits seen by an event camera, 30 moments of 578 units; takes 5 GB of memory.

    See `nmnist`, whose defaults these are. Raises DataError.
    """
    return nmnist()


def nmnist(*, dt: float = 10.0, moments: int = 30, pool: int = 2) -> Dataset:
    """The events of a camera of 34 x 34 pixels that moves before the digits of MNIST.

    Units: pixels that became brighter, row by row, then those that became darker. pool: side of the
    squares of pixels that share an input, 1, 2, 17 or 34. The three movements take 300 ms. dt,
    moments: 30 moments of 10 ms take 5 GB at pool 2 (and 19 GB at pool 1). 60,000 recordings train,
    of which a tenth of each class validates; the official 10,000 test.

    Orchard, Jayawant, Cohen, Thakor, "Converting static image datasets to spiking neuromorphic
    datasets using saccades", 2015, doi:10.3389/fnins.2015.00437. Raises ValueError for sizes that
    do not fit, and DataError.
    """
    _check(dt, moments, pool, SIDE)
    train, test = (_camera(NMNIST[part], dt, moments, pool) for part in ("train", "test"))
    note = (
        "Test set: the official one. Split: a tenth of each class of the official training set"
        " validates. Cite: Orchard et al., 2015, doi:10.3389/fnins.2015.00437."
    )
    return _held_out("nmnist", train, test, note, dt)


def _camera(file: File, dt: float, moments: int, pool: int) -> Batch:
    side = SIDE // pool
    try:
        with zipfile.ZipFile(io.BytesIO(read(file))) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".bin"))
            labels = np.array([int(name.split("/")[-2]) for name in names])
            x = np.zeros((len(names), moments, 2 * side * side), np.float32)
            for i, name in enumerate(names):
                t, column, row, darker = events_of(archive.read(name))
                unit = (darker * side + row // pool) * side + column // pool
                binned(x[i], t / 1_000, unit, dt)
            return batch(x, one_hot(labels, 10))
    except (zipfile.BadZipFile, OSError, LookupError, ValueError) as error:
        raise DataError(
            f"{file.name} is not an archive of N-MNIST: {error}. Delete it and retry."
        ) from error


def events_of(content: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Time in microseconds, column, row, and 1 if darker, of each event of an N-MNIST file.

    An event has 5 bytes: column, row, then the polarity (1 is brighter) in 1 bit and the time in
    23. Row 240 marks an overflow of the clock, after which times are 8192 more. Raises ValueError
    for bytes that are no whole events.
    """
    raw = np.frombuffer(content, np.uint8).reshape(-1, 5).astype(np.int64)
    column, row, brighter = raw[:, 0], raw[:, 1], raw[:, 2] >> 7
    t = ((raw[:, 2] & 127) << 16) | (raw[:, 3] << 8) | raw[:, 4]
    t = t + 8_192 * np.cumsum(row == 240)
    seen = row != 240
    return t[seen], column[seen], row[seen], 1 - brighter[seen]


def binned(x: np.ndarray, ms: np.ndarray, units: np.ndarray, dt: float) -> None:
    """Set x [T, units] to 1 where events fall; events beyond the last moment are left out."""
    moment = np.floor(ms / dt).astype(int)
    inside = (moment >= 0) & (moment < len(x))
    x[moment[inside], units[inside]] = 1


def _held_out(name: str, train: Batch, test: Batch, note: str, dt: float) -> Dataset:
    validates = stratified(np.asarray(train.y).argmax(1))[1]
    trains = np.setdiff1d(np.arange(len(train.x)), validates)
    return Dataset(name, picked(train, trains), picked(train, validates), test, note, dt)


def _check(dt: float, moments: int, pool: int, units: int) -> None:
    if not dt > 0 or moments < 1 or pool < 1 or units % pool:
        raise ValueError(
            f"got {moments} moments of {dt} ms, and pools of {pool}; give 1 or more, dt above 0,"
            f" and a divisor of {units}"
        )
