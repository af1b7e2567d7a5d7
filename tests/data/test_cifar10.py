"""CIFAR-10 in its three file formats, on a tiny set that is encoded here.

One real packed batch is read as well, on machines that have it.
"""

import io
import lzma
import os
import socket
import tarfile
from pathlib import Path

import numpy as np
import pytest

from bioplaus.data import DataError, cifar10, load
from bioplaus.data.fetch import VARIABLE, sha256
from bioplaus.data.packed import decode


def pack(images):
    """Images uint8 [N, 32, 32, 3] -> .xz of median-edge residuals, pixel by pixel."""
    red, green, blue = np.moveaxis(images.astype(int), -1, 0)
    planes = np.stack([green, (red - green + 128) % 256, (blue - green + 128) % 256])
    residual = np.zeros_like(planes)
    for p, n, i, j in np.ndindex(planes.shape):
        plane = planes[p, n]
        if i and j:
            left, up, corner = plane[i, j - 1], plane[i - 1, j], plane[i - 1, j - 1]
            if corner >= max(left, up):
                guess = min(left, up)
            elif corner <= min(left, up):
                guess = max(left, up)
            else:
                guess = left + up - corner
        else:
            guess = plane[i, j - 1] if j else plane[i - 1, j] if i else 0
        residual[p, n, i, j] = (plane[i, j] - guess) % 256
    return lzma.compress(residual.astype(np.uint8).tobytes(), preset=0)


def saved(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.fixture(scope="module")
def made():
    """Six batches of two images in each file format, as a dictionary from file names to contents.

    One image of each batch is noise; the other is a ramp, which is smooth as photographs are.
    """
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (12, 32, 32, 3), np.uint8)
    x[::2] = (np.arange(32)[:, None, None] * 5 + np.arange(32)[:, None] * 3 + x[::2] // 32) % 256
    y = np.arange(12, dtype=np.uint8) % 10
    batches = [
        bytes(b for n in (2 * k, 2 * k + 1) for b in (y[n], *x[n].transpose(2, 0, 1).ravel()))
        for k in range(6)
    ]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in zip(cifar10.BATCHES, batches, strict=True):
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    files = {"cifar-10-binary.tar.gz": archive.getvalue(), "labels.npz": saved(train=y[:10])}
    files |= {f"train_batch_{k + 1}.xz": pack(x[2 * k : 2 * k + 2]) for k in range(5)}
    return x, y, batches, files


@pytest.fixture
def folder(made, monkeypatch, tmp_path, cache):
    """An empty $BIOPLAUS_DATA/cifar10, the tiny set registered for CIFAR-10."""
    _, _, batches, files = made

    def registered(file):
        return file._replace(checksum=sha256(files[Path(file.name).name]))

    with socket.create_server(("127.0.0.1", 0)) as free:
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}/"
    monkeypatch.setattr(
        cifar10, "BATCHES", dict(zip(cifar10.BATCHES, map(sha256, batches), strict=True))
    )
    monkeypatch.setattr(cifar10, "ARCHIVE", registered(cifar10.ARCHIVE)._replace(urls=(nowhere,)))
    monkeypatch.setattr(cifar10, "LABELS", registered(cifar10.LABELS))
    monkeypatch.setattr(cifar10, "PACKED", tuple(map(registered, cifar10.PACKED)))
    monkeypatch.setattr(cifar10, "VALIDATION", 2)
    monkeypatch.setenv("BIOPLAUS_DATA", str(tmp_path / "mine"))
    (tmp_path / "mine" / "cifar10").mkdir(parents=True)
    return tmp_path / "mine" / "cifar10"


def put_packed(folder, made):
    for name, content in made[3].items():
        if not name.endswith(".gz"):
            (folder / name).write_bytes(content)


def check(data, made, sizes):
    """All images with their labels, in their order."""
    x, y, _, _ = made
    parts = data.train, data.validation, data.test
    assert [len(part.x) for part in parts] == sizes
    assert all(part.x.dtype == np.float32 and part.x.flags.c_contiguous for part in parts)
    assert np.array_equal(
        np.concatenate([part.x for part in parts]) * np.float32(255), x[: sum(sizes)]
    )
    assert np.array_equal(np.concatenate([part.y for part in parts]).argmax(1), y[: sum(sizes)])
    assert ("NOT" in data.note) == (sum(sizes) == 10)


def test_decode_inverts_the_encoding(made):
    x = made[0]
    packed = made[3]["train_batch_1.xz"]
    assert np.array_equal(decode(packed), x[:2])
    raw = bytearray(lzma.decompress(packed))
    raw[5] ^= 1
    assert not np.array_equal(decode(lzma.compress(bytes(raw))), x[:2])


def test_decode_refuses(made):
    packed = made[3]["train_batch_1.xz"]
    for content in (packed[:-20], b"plain", lzma.compress(b"short")):
        with pytest.raises(DataError, match="not packed images"):
            decode(content)


def test_archive_gives_the_official_test_set(folder, made):
    (folder / "cifar-10-binary.tar.gz").write_bytes(made[3]["cifar-10-binary.tar.gz"])
    check(load("cifar10"), made, [8, 2, 2])


def test_archive_is_downloaded(folder, made, monkeypatch, cache, served):
    place, address, asked = served
    (place / "cifar-10-binary.tar.gz").write_bytes(made[3]["cifar-10-binary.tar.gz"])
    monkeypatch.setattr(
        cifar10, "ARCHIVE", cifar10.ARCHIVE._replace(urls=(address + "cifar-10-binary.tar.gz",))
    )
    check(load("cifar10"), made, [8, 2, 2])
    check(load("cifar10"), made, [8, 2, 2])
    assert len(asked) == 1


def test_packed_gives_a_hold_out_and_is_decoded_once(folder, made, monkeypatch, cache):
    put_packed(folder, made)
    check(load("cifar10"), made, [6, 2, 2])
    kept = sorted(path for path in cache.rglob("*") if path.is_file())
    assert [path.name for path in kept] == [f"data_batch_{k}.bin" for k in range(1, 6)]
    kept[2].write_bytes(kept[2].read_bytes()[:-1])
    decoded = []
    monkeypatch.setattr(cifar10, "decode", lambda content: decoded.append(1) or decode(content))
    check(load("cifar10"), made, [6, 2, 2])
    assert len(decoded) == 1
    check(load("cifar10"), made, [6, 2, 2])
    assert len(decoded) == 1


def test_packed_works_without_a_cache(folder, made, cache):
    put_packed(folder, made)
    cache.parent.mkdir()
    cache.write_bytes(b"a file in the place of the folder")
    with pytest.warns(UserWarning, match="could not be cached"):
        check(load("cifar10"), made, [6, 2, 2])


def test_packed_must_be_whole_and_right(folder, made, cache, monkeypatch):
    put_packed(folder, made)
    load("cifar10")
    # an error even where the cache has the batch
    (folder / "train_batch_4.xz").write_bytes(made[3]["train_batch_3.xz"])
    with pytest.raises(DataError, match=r"train_batch_4\.xz is corrupt"):
        load("cifar10")
    (folder / "train_batch_4.xz").unlink()
    with pytest.raises(DataError, match=r"train_batch_4\.xz is missing"):
        load("cifar10")
    put_packed(folder, made)
    monkeypatch.setitem(cifar10.BATCHES, "data_batch_2.bin", "0" * 64)
    with pytest.raises(
        DataError, match=r"not CIFAR-10 in its official order: as data_batch_2\.bin"
    ):
        load("cifar10")


@pytest.mark.parametrize(("tests", "sizes"), [(2, [8, 2, 2]), (1, [6, 2, 2])])
def test_npz(tests, sizes, folder, made):
    x, y, _, _ = made
    arrays = {
        "x_train": x[:10],
        "y_train": y[:10, None].astype(int),
        "x_test": x[10 : 10 + tests],
        "y_test": y[10 : 10 + tests],
    }
    (folder / "cifar10.npz").write_bytes(saved(**arrays))
    check(load("cifar10"), made, sizes)
    arrays["x_train"] = x[9::-1]
    (folder / "cifar10.npz").write_bytes(saved(**arrays))
    with pytest.raises(DataError, match="official order"):
        load("cifar10")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "form", ["float", "shape", "scalar", "lacking", "pickled", "bare pickle", "cut", "plain"]
)
def test_npz_refused(form, folder, made, tmp_path):
    x, y, _, _ = made
    good = {"x_train": x[:10], "y_train": y[:10], "x_test": x[10:], "y_test": y[10:]}
    trap = np.empty(10, object)
    trap[:] = Trap(tmp_path / "sprung")
    content = {
        "float": lambda: saved(**{**good, "x_train": x[:10] / 255}),
        "shape": lambda: saved(**{**good, "x_train": x[:10].transpose(0, 3, 1, 2)}),
        "scalar": lambda: saved(**{**good, "x_train": 3}),
        "lacking": lambda: saved(x_train=x[:10], y_train=y[:10]),
        "pickled": lambda: saved(**{**good, "y_train": trap}),
        "bare pickle": trap.dumps,
        "cut": lambda: saved(**good)[:-50],
        "plain": lambda: b"plain",
    }[form]()
    (folder / "cifar10.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"cifar10\.npz cannot be used"):
        load("cifar10")
    assert not (tmp_path / "sprung").exists()


def test_archive_of_the_right_hash_but_no_archive(folder, monkeypatch):
    (folder / "cifar-10-binary.tar.gz").write_bytes(b"plain")
    monkeypatch.setattr(cifar10, "ARCHIVE", cifar10.ARCHIVE._replace(checksum=sha256(b"plain")))
    with pytest.raises(DataError, match="not the whole official archive"):
        load("cifar10")


def test_offline(folder):
    with pytest.raises(DataError, match=r"Set BIOPLAUS_DATA .*cifar-10-binary\.tar\.gz"):
        load("cifar10")


def test_real_packed_batch():
    """A packed batch decodes to the official one, by its published SHA-256."""
    folder = Path(os.environ.get(VARIABLE, ""), "cifar10")
    if not (folder / "train_batch_1.xz").is_file():
        pytest.skip(f"{VARIABLE} is not set to a folder that holds cifar10/train_batch_1.xz")
    with np.load(folder / "labels.npz", allow_pickle=False) as arrays:
        labels = arrays["train"][:10_000]
    records = cifar10._records(decode((folder / "train_batch_1.xz").read_bytes()), labels)
    assert sha256(records) == cifar10.BATCHES["data_batch_1.bin"]
