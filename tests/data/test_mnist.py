"""MNIST and Fashion-MNIST: download, cache and corrupt files; the real sets where they are."""

import gzip
import os
import socket
import struct
from typing import NamedTuple

import numpy as np
import pytest

from bioplaus.data import DataError, cifar10, load, mnist
from bioplaus.data.fetch import sha256

PARTS: list[str] = [mnist.TRAIN_X, mnist.TRAIN_Y, mnist.TEST_X, mnist.TEST_Y]


class Tiny(NamedTuple):
    files: dict[str, bytes]
    images: np.ndarray
    labels: np.ndarray


def idx(array):
    return gzip.compress(
        b"\0\0\x08"
        + bytes([array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.tobytes()
    )


@pytest.fixture
def tiny(monkeypatch, cache) -> Tiny:
    """30 train and 10 test images of 4 x 4 in the place of MNIST, nowhere to be downloaded from."""
    rng = np.random.default_rng(0)
    images, labels = (
        rng.integers(0, 256, (40, 4, 4), np.uint8),
        rng.integers(0, 10, 40).astype(np.uint8),
    )
    files = dict(
        zip(PARTS, map(idx, (images[:30], labels[:30], images[30:], labels[30:])), strict=True)
    )
    register(monkeypatch, files)
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setitem(mnist.MIRRORS, "mnist", (f"http://127.0.0.1:{free.getsockname()[1]}/",))
    monkeypatch.setattr(mnist, "VALIDATION", 6)
    return Tiny(files, images, labels)


def register(monkeypatch, files):
    monkeypatch.setitem(
        mnist.SHA256, "mnist", {part: sha256(content) for part, content in files.items()}
    )


def put(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def check(data, tiny):
    parts = data.train, data.validation, data.test
    assert [len(part.x) for part in parts] == [24, 6, 10]
    assert np.array_equal(np.concatenate([part.x for part in parts]) * 255, tiny.images[..., None])
    assert np.array_equal(np.concatenate([part.y for part in parts]).argmax(1), tiny.labels)


def test_download_then_cache(tiny, monkeypatch, cache, served):
    folder, address, asked = served
    put(folder, tiny.files)
    # the first mirror is down
    monkeypatch.setitem(mnist.MIRRORS, "mnist", (*mnist.MIRRORS["mnist"], address))
    check(load("mnist"), tiny)
    assert sorted(asked) == sorted("/" + part for part in PARTS)
    assert sorted(path.name for path in cache.rglob("*") if path.is_file()) == sorted(PARTS)
    check(load("mnist"), tiny)
    assert len(asked) == 4
    # in the cache, unlike in $BIOPLAUS_DATA, it is fetched anew
    (cache / "mnist" / mnist.TRAIN_Y).write_bytes(b"damaged")
    check(load("mnist"), tiny)
    assert len(asked) == 5


@pytest.mark.parametrize("prefix", ["", "cut-"])
def test_wrong_or_broken_download_leaves_nothing(prefix, tiny, monkeypatch, cache, served):
    folder, address, asked = served
    content = tiny.files[mnist.TRAIN_X] if prefix else tiny.files[mnist.TRAIN_Y]
    put(folder, {prefix + mnist.TRAIN_X: content})
    monkeypatch.setitem(mnist.MIRRORS, "mnist", (address + prefix,))
    with pytest.raises(DataError, match=mnist.TRAIN_X) as caught:
        load("mnist")
    assert len(asked) == 1
    assert mnist.SHA256["mnist"][mnist.TRAIN_X] in str(caught.value)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_offline(tiny, cache):
    with pytest.raises(
        DataError, match=r"Set BIOPLAUS_DATA .*mnist/train-images-idx3-ubyte\.gz .*not set"
    ) as caught:
        load("mnist")
    assert mnist.MIRRORS["mnist"][0] in str(caught.value)


def test_given_folder_comes_first(tiny, monkeypatch, tmp_path, cache):
    put(tmp_path / "mine" / "mnist", tiny.files)
    monkeypatch.setenv("BIOPLAUS_DATA", str(tmp_path / "mine"))
    check(load("mnist"), tiny)
    assert not cache.exists()
    (tmp_path / "mine" / "mnist" / mnist.TEST_Y).unlink()
    with pytest.raises(DataError, match=r"mnist/t10k-labels.*could not be downloaded"):
        load("mnist")


def test_corrupt_given_file_is_neither_used_nor_replaced(
    tiny, monkeypatch, tmp_path, cache, served
):
    folder, address, asked = served
    put(folder, tiny.files)
    monkeypatch.setitem(mnist.MIRRORS, "mnist", (address,))
    path = tmp_path / "mine" / "mnist" / mnist.TEST_X
    put(path.parent, tiny.files)
    path.write_bytes(tiny.files[mnist.TEST_X][:-9])
    monkeypatch.setenv("BIOPLAUS_DATA", str(tmp_path / "mine"))
    with pytest.raises(DataError, match=r"t10k-images.*corrupt.*Delete the file"):
        load("mnist")
    assert path.read_bytes() == tiny.files[mnist.TEST_X][:-9]
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"t10k-images.*cannot be read"):
        load("mnist")
    assert not asked


@pytest.mark.parametrize("folder", ["absent", ".", "mnist"])
def test_wrong_given_folder(folder, tiny, monkeypatch, tmp_path):
    put(tmp_path / "mnist", tiny.files)
    monkeypatch.setenv("BIOPLAUS_DATA", str(tmp_path / folder))
    if folder == ".":
        return check(load("mnist"), tiny)
    with pytest.raises(DataError, match="not a folder of data sets"):
        load("mnist")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(np.zeros((30, 4, 4), np.uint8))[:-9], "not a whole gzipped IDX file"),
        (b"plain", "not a whole gzipped IDX file"),
        (gzip.compress(b"\0\0\x0d\x01" + bytes(8)), "unsigned bytes"),
        (gzip.compress(b"\0\0\x08\x03" + bytes(6)), "IDX"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x05abcd"), "13 bytes, it has 12"),
    ],
    ids=["cut", "plain", "floats", "no shape", "too short"],
)
def test_content_that_is_not_idx(content, message, tiny, monkeypatch, tmp_path):
    """Its SHA-256 right, its content wrong: an official file that changed its form."""
    files = {**tiny.files, mnist.TRAIN_X: content}
    register(monkeypatch, files)
    put(tmp_path / "mnist", files)
    monkeypatch.setenv("BIOPLAUS_DATA", str(tmp_path))
    with pytest.raises(DataError, match=message):
        load("mnist")


@pytest.mark.parametrize(
    ("name", "mean", "counts"),
    [
        ("mnist", 33.3184, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        ("fashion-mnist", 72.9404, [6000] * 10),
    ],
)
def test_real(name, mean, counts):
    """Means and class counts of the 60,000 as they are published."""
    folder = os.environ.get("BIOPLAUS_DATA", "")
    if not os.path.isdir(os.path.join(folder, name)):
        pytest.skip(f"BIOPLAUS_DATA is not set to a folder that holds {name}")
    data = load(name)
    assert [len(part.x) for part in (data.train, data.validation, data.test)] == [
        55_000,
        5_000,
        10_000,
    ]
    assert data.train.x.shape[1:] == (28, 28, 1)
    assert data.train.x.dtype == np.float32
    assert abs((11 * data.train.x.mean() + data.validation.x.mean()) / 12 * 255 - mean) < 0.01
    assert (data.train.y.sum(0) + data.validation.y.sum(0)).tolist() == counts


def test_every_address_is_https():
    urls = [url for mirrors in mnist.MIRRORS.values() for url in mirrors] + list(
        cifar10.ARCHIVE.urls
    )
    assert len(urls) >= 4
    assert not [url for url in urls if not url.startswith("https://")]
