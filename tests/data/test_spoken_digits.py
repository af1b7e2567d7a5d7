"""Spoken digits: both forms of the recordings, the bands, the splits; the real set where it is."""

import io
import lzma
import os
import wave

import numpy as np
import pytest

from bioplaus.data import DataError, load, spoken_digits
from bioplaus.data.fetch import sha256

TIME = np.arange(6_000) / 8_000
WHO, DIGITS, INDICES = ("george", "theo"), (0, 1), (0, 12, 7)


def tone(hertz: float, samples: int) -> np.ndarray:
    return (9_000 * np.sin(2 * np.pi * hertz * TIME[:samples])).astype("<i2")


@pytest.fixture
def folder(tmp_path, monkeypatch, cache):
    """12 recordings, tones of 400 Hz for digit 0 and of 1600 Hz for 1, in $BIOPLAUS_DATA."""
    place = tmp_path / "mine" / "fsdd" / "recordings"
    place.mkdir(parents=True)
    names = sorted(f"{d}_{who}_{i}" for d in DIGITS for who in WHO for i in INDICES)
    audio = [tone(400 * 4 ** int(name[0]), 1_000 + 300 * n) for n, name in enumerate(names)]
    for name, samples in zip(names, audio, strict=True):
        with wave.Wave_write(str(place / f"{name}.wav")) as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8_000)
            file.writeframes(samples.tobytes())
    monkeypatch.setattr(spoken_digits, "CONTENT", sha256(np.concatenate(audio).tobytes()))
    monkeypatch.setenv("BIOPLAUS_DATA", str(tmp_path / "mine"))
    return place


def pack(folder, monkeypatch):
    """The packed form of the recordings, in the place of the files."""
    found = spoken_digits.recordings()
    difference = np.diff(found.audio.view(np.uint16), prepend=np.uint16(0)).astype(np.uint16)
    planes = np.stack([difference & 255, difference >> 8]).astype(np.uint8)
    arrays = io.BytesIO()
    np.savez(arrays, index=found.take, **found._asdict())
    contents = lzma.compress(planes.tobytes()), arrays.getvalue()
    for name, content in zip(("AUDIO", "LABELS"), contents, strict=True):
        file = getattr(spoken_digits, name)
        monkeypatch.setattr(spoken_digits, name, file._replace(checksum=sha256(content)))
        (folder.parent / file.name.partition("/")[2]).write_bytes(content)
    for path in folder.glob("*"):
        path.unlink()
    folder.rmdir()
    return found


def test_both_forms_are_the_same_recordings(folder, monkeypatch):
    found = pack(folder, monkeypatch)
    again = spoken_digits.recordings()
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    assert found.length.tolist() == [1_000 + 300 * n for n in range(12)]
    assert found.take.tolist() == [0, 12, 7] * 4
    assert found.speaker.tolist() == [0, 0, 0, 4, 4, 4] * 2


def test_bands_of_tones(folder):
    """A tone is loudest in the band at its frequency, at every moment that it lasts."""
    found = spoken_digits.recordings()
    x = spoken_digits.features(found)
    assert x.shape == (12, 50, 40)
    mel = lambda f: 2595 * np.log10(1 + f / 700)  # noqa: E731
    centres = np.linspace(mel(50), mel(4_000), 42)[1:-1]
    for i, (length, digit) in enumerate(zip(found.length, found.digit, strict=True)):
        moments = (length - 200) // 80 + 1
        loudest = x[i, :moments].argmax(1)
        assert np.abs(centres[loudest] - mel(400 * 4**digit)).max() < centres[1] - centres[0]
        assert np.allclose(x[i, moments:], np.log(1e-4))
        assert x[i, :moments].max(1).min() > 2
    louder = found._replace(audio=found.audio * 2)
    assert np.allclose(spoken_digits.features(louder), x)
    short = found._replace(audio=found.audio[:90], length=np.array([90]))
    assert (spoken_digits.features(short)[0, 1:] == np.log(1e-4)).all()


def test_a_band_by_hand(folder):
    """Band 3 at moment 2, from the definition of the Fourier transform."""
    found = spoken_digits.recordings()
    samples = found.audio[:1_000].astype(float) / np.abs(found.audio[:1_000]).max()
    frame = samples[160:360] * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(200) / 199))
    low, high = 2595 * np.log10(1 + np.array([50, 4_000]) / 700)
    left, middle, right = 700 * (10 ** (np.linspace(low, high, 42)[3:6] / 2595) - 1)
    total = 0.0
    for k in range(129):
        f = k * 8_000 / 256
        weight = max(0, min((f - left) / (middle - left), (right - f) / (right - middle)))
        total += weight * abs((frame * np.exp(-2j * np.pi * f * np.arange(200) / 8_000)).sum()) ** 2
    assert np.isclose(spoken_digits.features(found)[0, 2, 3], np.log(total + 1e-4))


def test_split_by_utterance(folder):
    data = load("spoken-digits")
    assert data.dt == 10.0
    assert [b.x.shape for b in data[1:4]] == [(4, 50, 40)] * 3
    assert np.abs(data.train.x.mean((0, 1))).max() < 1e-5
    spread = data.train.x.std((0, 1))
    assert np.allclose(spread[spread > 0], 1, atol=1e-4)
    assert data.test.y.sum(0)[:2].tolist() == [2, 2]
    by_index = spoken_digits.features(spoken_digits.recordings())[0::3]  # index 0 of each
    test = np.asarray(data.test.x)
    assert np.corrcoef(by_index[:, :, 5].ravel(), test[:, :, 5].ravel())[0, 1] > 0.999


def test_one_speaker_left_out(folder):
    data = load("spoken-digits-without-theo")
    assert [len(b.x) for b in data[1:4]] == [4, 2, 6]
    assert "theo" in data.note
    assert len(load("spoken-digits-without-george").test.x) == 6
    found = spoken_digits.recordings()
    sounding = (np.asarray(data.test.x)[:5] != data.test.x[:5, -1:]).any(2).sum(1)
    assert sounding.tolist() == ((found.length[found.speaker == 4][:5] - 200) // 80 + 1).tolist()


def test_wrong_or_missing_recordings(folder, monkeypatch):
    (folder / "0_george_0.wav").unlink()
    with pytest.raises(DataError, match="not the 3,000 recordings"):
        load("spoken-digits")
    (folder / "0_nobody_0.wav").write_bytes(b"none")
    with pytest.raises(DataError, match=r"0_nobody_0\.wav is none of the spoken digits"):
        load("spoken-digits")
    for path in folder.glob("*"):
        path.unlink()
    with pytest.raises(DataError, match=r"holds no \.wav file"):
        load("spoken-digits")
    folder.rmdir()
    with pytest.raises(DataError, match="git clone"):
        load("spoken-digits")


def test_real():
    folder = os.environ.get("BIOPLAUS_DATA", "")
    if not os.path.isdir(os.path.join(folder, "fsdd")):
        pytest.skip("BIOPLAUS_DATA is not set to a folder that holds fsdd")
    data = load("spoken-digits")
    assert [b.x.shape for b in data[1:4]] == [(2_400, 50, 40), (300, 50, 40), (300, 50, 40)]
    assert all((b.y.sum(0) == len(b.y) / 10).all() for b in data[1:4])
    left_out = load("spoken-digits-without-lucas")
    assert [len(b.x) for b in left_out[1:4]] == [2_250, 250, 500]
