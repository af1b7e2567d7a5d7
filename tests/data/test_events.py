"""Recorded events: small files of the published layout, served, checked, and put into moments."""

import io
import sys
import zipfile

import numpy as np
import pytest

from bioplaus.data import LOADERS, DataError, events
from bioplaus.data.fetch import File

h5py = pytest.importorskip("h5py")

RNG = np.random.default_rng(0)


def md5(content: bytes) -> str:
    file = File("", "md5:")
    return file.found(content).replace("MD5 ", "md5:")


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in files.items():
            archive.writestr(name, member)
    return content.getvalue()


def heidelberg(name: str, recordings, labels) -> bytes:
    """recordings: (seconds, units) of each. As the data set has them: float16 and uint16."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for key, kind, column in (("times", np.float16, 0), ("units", np.uint16, 1)):
            rows = file.create_dataset(
                f"spikes/{key}", len(recordings), dtype=h5py.vlen_dtype(np.dtype(kind))
            )
            for i, recording in enumerate(recordings):
                rows[i] = recording[column].astype(kind)
        file["labels"] = np.asarray(labels, np.uint8)
    return zipped({name: content.getvalue()})


def packed(t, column, row, brighter) -> bytes:
    """Events of an N-MNIST file; t: microseconds [n] below 2^23."""
    high = (np.asarray(brighter) << 7) | (np.asarray(t) >> 16)
    middle, low = (np.asarray(t) >> 8) & 255, np.asarray(t) & 255
    return np.stack([column, row, high, middle, low], 1).astype(np.uint8).tobytes()


def serve(monkeypatch, served, table: str, contents: dict[str, bytes]):
    folder, address, asked = served
    files = {}
    for part, content in contents.items():
        (folder / f"{table}-{part}").write_bytes(content)
        file = getattr(events, table)[part]
        files[part] = file._replace(checksum=md5(content), urls=(f"{address}{table}-{part}",))
    monkeypatch.setattr(events, table, files)
    return asked


RECORDINGS = [(np.sort(RNG.uniform(0, 0.09, 40)), RNG.integers(0, 700, 40)) for _ in range(24)]
LABELS = [0, 19] * 12


@pytest.fixture
def shd(monkeypatch, cache, served):
    """20 train and 4 test recordings of classes 0 and 19."""
    return serve(
        monkeypatch,
        served,
        "SHD",
        {
            "train": heidelberg("shd_train.h5", RECORDINGS[:20], LABELS[:20]),
            "test": heidelberg("shd_test.h5", RECORDINGS[20:], LABELS[20:]),
        },
    )


def test_heidelberg_digits(shd):
    data = events.shd(dt=20.0, moments=3, pool=7)
    assert data.dt == 20.0
    assert [part.x.shape for part in data[1:4]] == [(18, 3, 100), (2, 3, 100), (4, 3, 100)]
    for found, (seconds, units) in zip(data.test.x, RECORDINGS[20:], strict=True):
        want = np.zeros((3, 100))
        for s, u in zip(seconds.astype(np.float16).astype(float), units, strict=True):
            if s < 0.06:
                want[int(s * 1_000 // 20), u // 7] = 1
        assert np.array_equal(found, want)
        assert 0 < want.sum() < 40
    assert data.test.y.argmax(1).tolist() == [0, 19, 0, 19]
    assert data.validation.y.sum(0)[[0, 19]].tolist() == [1, 1]
    together = np.concatenate([data.train.x, data.validation.x]).sum((1, 2))
    whole = events._heidelberg(events.SHD["train"], 20.0, 3, 7).x.sum((1, 2))
    assert sorted(together) == sorted(whole)
    assert len(shd) == 2  # once each, then from the cache


def test_a_download_with_another_md5_is_not_used(shd, monkeypatch, cache):
    file = events.SHD["test"]._replace(checksum="md5:" + "0" * 32)
    monkeypatch.setitem(events.SHD, "test", file)
    with pytest.raises(DataError, match="Expected MD5 0000"):
        LOADERS["shd"]()
    assert not (cache / file.name).exists()


def test_a_given_file_with_another_md5_is_not_used(shd, monkeypatch, tmp_path):
    place = tmp_path / "mine" / "shd"
    place.mkdir(parents=True)
    (place / "shd_train.h5.zip").write_bytes(b"another")
    monkeypatch.setenv("BIOPLAUS_DATA", str(tmp_path / "mine"))
    with pytest.raises(DataError, match=r"corrupt: it has the MD5 \w+, expected MD5"):
        events.load_shd()


@pytest.mark.parametrize(
    "content", [b"none", zipped({"other.h5": b""}), zipped({"shd_train.h5": b"x"})]
)
def test_files_of_another_layout(content, monkeypatch, cache, served):
    serve(monkeypatch, served, "SHD", {"train": content, "test": content})
    with pytest.raises(DataError, match="is not a file of the Heidelberg digits"):
        events.load_shd()


def test_without_h5py(shd, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"pip install 'bioplaus\[events\]'"):
        events.load_shd()


def test_events_of_a_camera():
    t, column, row, brighter = [5, 70_000, 8_388_607], [0, 33, 7], [1, 33, 9], [1, 0, 1]
    found = events.events_of(packed(t, column, row, brighter))
    assert [a.tolist() for a in found] == [t, column, row, [0, 1, 0]]
    # the clock overflows before the second event
    found = events.events_of(packed([9, 0, 9], [1, 0, 2], [3, 240, 4], [0, 0, 0]))
    assert found[0].tolist() == [9, 8_201]
    assert found[1].tolist() == [1, 2]
    with pytest.raises(ValueError, match="reshape"):
        events.events_of(b"1234")


def test_nmnist(monkeypatch, cache, served):
    columns, rows, brighter = [0, 33, 33], [0, 33, 33], [1, 0, 0]
    recordings = {
        f"{c}/{n:05}.bin": packed([1_000 * n, 25_000, 61_000], columns, rows, brighter)
        for c in range(2)
        for n in range(10)
    }
    serve(
        monkeypatch,
        served,
        "NMNIST",
        {
            part: zipped({f"{part.title()}/{k}": v for k, v in recordings.items()})
            for part in ("train", "test")
        },
    )
    data = events.nmnist(dt=20.0, moments=3, pool=17)
    assert [part.x.shape for part in data[1:4]] == [(18, 3, 8), (2, 3, 8), (20, 3, 8)]
    want = np.zeros((3, 8))
    want[0, 0] = want[1, 7] = (
        1  # brighter at the top left, darker at the bottom right; one too late
    )
    assert all(np.array_equal(x, want) for x in data.test.x)
    assert data.test.y.argmax(1).tolist() == [0] * 10 + [1] * 10
    whole = events.nmnist(dt=70.0, moments=1, pool=1).test.x[0, 0]
    assert np.flatnonzero(whole).tolist() == [0, 34 * 34 + 33 * 34 + 33]


@pytest.mark.parametrize("sizes", [{"dt": 0.0}, {"moments": 0}, {"pool": 3}, {"pool": 0}], ids=str)
def test_sizes_that_do_not_fit(sizes):
    for load in (events.shd, events.nmnist):
        with pytest.raises(ValueError, match="give 1 or more"):
            load(**sizes)


def test_every_address_is_https_and_has_a_checksum():
    files = [*events.SHD.values(), *events.NMNIST.values()]
    assert len({file.checksum for file in files}) == 4
    for file in files:
        assert len(file.expected()) == len("MD5 ") + 32
        assert file.urls
        assert all(url.startswith("https://") for url in file.urls)
