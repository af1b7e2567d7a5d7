"""Spoken digits as sequences: 50 moments of 10 ms, each the energy in 40 bands of frequencies.

The recordings are those of the Free Spoken Digit Dataset, 8 kHz, 16 bits, found in either form:

    $BIOPLAUS_DATA/fsdd/recordings/<digit>_<speaker>_<index>.wav    as the project publishes them:
        git clone https://github.com/Jakobovski/free-spoken-digit-dataset $BIOPLAUS_DATA/fsdd
    $BIOPLAUS_DATA/fsdd/fsdd_audio_delta_planes.xz, fsdd_labels.npz   packed without loss

Both give the same samples in the same order, that of the file names, and these are checked by
SHA-256. A recording is divided by its largest sample. Moment t holds, for each band m,
    x_tm = log(sum_f W_mf |F_tf|^2 + 1e-4),
F_t: the Fourier transform of 25 ms from 10 t ms on, under a Hann window;  W: triangles, equally
wide in mel, 2595 log10(1 + f / 700), from 50 to 4000 Hz. What a recording lacks of 50 moments is
silent; what it has beyond is left out. Each band is standardised by its mean and deviation in
training.
"""

import io
import lzma
import wave
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bioplaus.data.dataset import Dataset, divided, one_hot
from bioplaus.data.fetch import VARIABLE, DataError, File, given, read, sha256

AUDIO = File(
    "fsdd/fsdd_audio_delta_planes.xz",
    "758e2cc4117d9a751e1d415f0e125db4c2c32231c86806e36760866e26347528",
)
LABELS = File(
    "fsdd/fsdd_labels.npz", "17b6970c261890765f07d7cdeb551abf51fb83c14f0c72bd1d008d8aa44ef465"
)
RECORDINGS = "fsdd/recordings"
CONTENT = "6f643a7422de89763625dfc9aa79427e69f7a690223a5bc5752a2f56db5af465"
"""The SHA-256 of all samples, little-endian, one recording after the other."""

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")

MOMENTS, BANDS, DT = 50, 40, 10.0  # ms
HERTZ, WINDOW, HOP, POINTS = 8_000, 200, 80, 256
FLOOR = 1e-4

CITE = (
    " Cite: Jackson et al., Free Spoken Digit Dataset, 2018, doi:10.5281/zenodo.1342401, CC BY-SA"
    " 4.0."
)


class Recordings(NamedTuple):
    """audio: int16, all recordings one after the other. length: samples of each [N]. digit, speaker
    (a number of SPEAKERS), take (the index of the file name): of each [N]."""

    audio: np.ndarray
    length: np.ndarray
    digit: np.ndarray
    speaker: np.ndarray
    take: np.ndarray


def load() -> Dataset:
    """Spoken digits: 3,000 recordings of 6 speakers, 50 moments of 40 bands; from a git clone.

    2,400 train, 300 validation and 300 test sequences [50, 40] of 10 digits, split by utterance:
    of each speaker and digit, recordings 0 to 4 are the test set, as the data set has it, and 5 to
    9 validate. All speakers are in all three. Raises DataError.
    """
    found = recordings()
    parts = found.take > 9, (found.take > 4) & (found.take < 10), found.take < 5
    note = (
        "Test set: the official one, recordings 0 to 4 of each speaker and digit; 5 to 9 validate."
        " Every speaker is in the training set."
    )
    return _dataset("spoken-digits", found, parts, note + CITE)


def without(speaker: str) -> Callable[[], Dataset]:
    """The loader of the spoken digits whose test set is all of one speaker, who does not train.

    500 sequences test; of the others' 2,500, recordings 0 to 4 validate and 2,250 train.
    """

    def load() -> Dataset:
        found = recordings()
        tested, early = found.speaker == SPEAKERS.index(speaker), found.take < 5
        note = f"Test set: all of {speaker}, who is not in the training set; of the others, "
        note += "recordings 0 to 4 of each digit validate."
        parts = ~tested & ~early, ~tested & early, tested
        return _dataset(f"spoken-digits-without-{speaker}", found, parts, note + CITE)

    load.__doc__ = f"Spoken digits, tested on {speaker}, whom training has not heard; as above."
    return load


def recordings() -> Recordings:
    """All recordings, checked. Raises DataError if they are missing, or others."""
    folder = given(RECORDINGS)
    source, found = (RECORDINGS, _from_files(folder)) if folder else (AUDIO.name, _from_packed())
    if sha256(found.audio.astype("<i2").tobytes()) != CONTENT:
        raise DataError(
            f"{source} are not the 3,000 recordings of version 1.0.10: their samples should have"
            f" the SHA-256 {CONTENT}. Put the official ones in their place."
        )
    return found


def _from_packed() -> Recordings:
    """The samples' differences (mod 2^16), low bytes and then high bytes."""
    if not given(AUDIO.name):
        raise DataError(
            f"The spoken digits are missing. Set {VARIABLE} to a folder of data sets, and there run"
            " git clone https://github.com/Jakobovski/free-spoken-digit-dataset fsdd"
        )
    low, high = np.frombuffer(lzma.decompress(read(AUDIO)), np.uint8).reshape(2, -1)
    audio = np.cumsum(low | (high.astype(np.uint16) << 8), dtype=np.uint16).view(np.int16)
    with np.load(io.BytesIO(read(LABELS)), allow_pickle=False) as labels:
        return Recordings(
            audio, *(labels[name].astype(int) for name in ("length", "digit", "speaker", "index"))
        )


def _from_files(folder: Path) -> Recordings:
    audio, rows = [], []
    for path in sorted(folder.glob("*.wav")):
        try:
            digit, speaker, index = path.stem.split("_")
            with wave.Wave_read(str(path)) as file:
                audio.append(np.frombuffer(file.readframes(file.getnframes()), "<i2"))
            rows.append((len(audio[-1]), int(digit), SPEAKERS.index(speaker), int(index)))
        except (ValueError, EOFError, OSError, wave.Error) as error:
            raise DataError(
                f"{path} is none of the spoken digits: {error}. Clone the data set anew."
            ) from error
    if not rows:
        raise DataError(f"{folder} holds no .wav file. Clone the data set anew.")
    return Recordings(np.concatenate(audio), *np.array(rows).T)


def _dataset(name: str, of: Recordings, parts: tuple, note: str) -> Dataset:
    x = features(of)
    train = x[parts[0]]
    mean, deviation = train.mean((0, 1)), train.std((0, 1))
    x = ((x - mean) / np.where(deviation > 0, deviation, 1)).astype(np.float32)
    return divided(name, x, one_hot(of.digit, 10), parts, note, dt=DT)


def features(of: Recordings) -> np.ndarray:
    """The log of the energy in each band, [N, 50, 40], not standardised."""
    bank, window = _triangles(), np.hanning(WINDOW)
    found = np.full((len(of.length), MOMENTS, BANDS), np.log(FLOOR))
    ends = np.cumsum(of.length)
    for i, (start, end) in enumerate(zip(ends - of.length, ends, strict=True)):
        samples = of.audio[start:end].astype(float)
        samples = samples / max(np.abs(samples).max(), 1)
        samples = np.pad(samples, (0, max(0, WINDOW - len(samples))))
        frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP][:MOMENTS]
        power = np.abs(np.fft.rfft(frames * window, POINTS)) ** 2
        found[i, : len(frames)] = np.log(power @ bank.T + FLOOR)
    return found


def _triangles() -> np.ndarray:
    """W [bands, frequencies]."""
    low, high = (2595 * np.log10(1 + f / 700) for f in (50, HERTZ / 2))
    corners = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    left, middle, right = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    f = np.fft.rfftfreq(POINTS, 1 / HERTZ)
    return np.maximum(0, np.minimum((f - left) / (middle - left), (right - f) / (right - middle)))
