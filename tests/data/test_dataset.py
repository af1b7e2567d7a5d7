"""The split, a user's arrays, the embedded digits, and names."""

import hashlib
import inspect

import numpy as np
import pytest

import bioplaus as bp
from bioplaus.data import DATASETS, LOADERS, DataError, available, digits, load, own
from bioplaus.data.dataset import PARTS, centred, stratified


def fingerprint(parts):
    return hashlib.sha256(b"|".join(part.astype("<i8").tobytes() for part in parts)).hexdigest()


@pytest.mark.parametrize("counts", [[5, 5], [178, 182, 177], [100, 1, 3], [1] * 10])
def test_stratified_divides_all_and_each_class(counts):
    labels = np.random.default_rng(1).permutation(np.repeat(np.arange(len(counts)), counts))
    parts = stratified(labels)
    together = np.concatenate(parts)
    assert len(together) == len(labels) == len(np.unique(together))
    for part, share in zip(parts, (0.7, 0.1, 0.2), strict=True):
        assert len(part) > 0
        assert (np.diff(part) > 0).all()
        assert (
            abs(np.bincount(labels[part], minlength=len(counts)) - share * np.array(counts)) < 2
        ).all()
    tested = np.bincount(labels[parts[2]], minlength=len(counts))
    assert (abs(tested - 0.2 * np.array(counts)) < 1).all()


def test_split_of_digits_is_fixed():
    known = "4ae21cb99c7b0c306fed462b80de704397fb276ce39c1cf6318c1b41dd0a2fc9"
    labels = np.loadtxt(digits_csv(), delimiter=",")[:, -1].astype(int)
    assert fingerprint(stratified(labels)) == known
    labels[[0, 1]] = labels[[1, 0]]
    assert fingerprint(stratified(labels)) != known


def digits_csv():
    return inspect.getfile(digits).replace("digits.py", "digits.csv.gz")


def test_digits():
    data = load("digits")
    assert data.name == "digits"
    parts = data.train, data.validation, data.test
    assert [part.x.shape for part in parts] == [(1258, 8, 8, 1), (180, 8, 8, 1), (359, 8, 8, 1)]
    assert [part.y.shape for part in parts] == [(1258, 10), (180, 10), (359, 10)]
    for part in parts:
        assert isinstance(part.x, np.ndarray)
        assert part.x.dtype == part.y.dtype == np.float32
        assert part.x.min() == 0
        assert part.x.max() == 1
        assert (part.y.sum(1) == 1).all()
        assert abs(part.y.mean(0) - 0.1).max() < 0.01
    assert np.concatenate([part.y for part in parts]).sum(0).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]
    assert "10.24432/C50P49" in data.note


def test_digits_labels_fit_their_images():
    """The nearest class mean predicts most test labels, and few of the labels shifted by one."""
    data = load("digits")
    x, y = data.train.x.reshape(len(data.train.x), -1), data.train.y
    means = (y.T @ x) / y.sum(0)[:, None]
    nearest = ((data.test.x.reshape(-1, 1, 64) - means) ** 2).sum(-1).argmin(1)
    assert (nearest == data.test.y.argmax(1)).mean() > 0.85
    assert (nearest == np.roll(data.test.y.argmax(1), 1)).mean() < 0.3


def test_damaged_digits_are_refused(monkeypatch, tmp_path):
    for content in (None, b"not the file"):
        if content:
            (tmp_path / "digits.csv.gz").write_bytes(content)
        monkeypatch.setattr(digits, "files", lambda package: tmp_path)
        with pytest.raises(DataError, match="Reinstall"):
            load("digits")


def test_unknown_name():
    with pytest.raises(
        ValueError,
        match=r"'fashion_mnist'.*mean 'fashion-mnist'.*digits, digits-in-contexts, mnist",
    ):
        load("fashion_mnist")
    with pytest.raises(ValueError, match="There are"):
        load("x")


def test_every_name_is_described_and_loads():
    assert list(DATASETS) == list(LOADERS) == list(available())
    assert all(text.endswith(".") and "\n" not in text for text in DATASETS.values())


def test_own_keeps_examples_with_their_labels():
    x = np.arange(60).reshape(30, 2)
    labels = np.arange(30) % 3
    data = own(x, labels)
    assert [len(part.x) for part in (data.train, data.validation, data.test)] == [21, 3, 6]
    for part in (data.train, data.validation, data.test):
        assert part.x.dtype == part.y.dtype == np.float32
        assert (part.y.argmax(1) == part.x[:, 0] / 2 % 3).all()
    one_hot = own(x, np.eye(3)[labels])
    assert all((a == b).all() for a, b in zip(data.test[:2], one_hot.test[:2], strict=True))
    assert own(x, np.eye(4)[labels]).test.y.shape == (6, 4)


def test_a_class_of_one_example_is_trained_and_reported_as_untested():
    moved = 0
    # wherever the split would have put it: of ten neighbouring sizes, three
    for n in range(20, 30):
        labels = np.append(np.arange(n) % 2, 2)
        data = own(np.arange(2.0 * (n + 1)).reshape(-1, 2), labels)
        moved += labels.size - 1 not in stratified(labels)[0]
        assert data.train.y[:, 2].sum() == 1
        assert data.validation.y[:, 2].sum() == data.test.y[:, 2].sum() == 0
        assert data.note.endswith("Not in the test set, with too few examples: class 2.")
        assert sum(len(part.x) for part in (data.train, data.validation, data.test)) == n + 1
    assert moved == 3
    assert own(X, Y).note.endswith("every time.")


X, Y = np.zeros((20, 3)), np.arange(20) % 2
NAN = np.where(np.arange(60).reshape(20, 3) == 7, np.nan, 0.0)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, Y[:19], "20 and 19 rows"),
        (NAN, Y, "finite"),
        (X + 1e300, Y, "finite"),
        (X[:9], Y[:9], "10 examples or more, got 9"),
        (X, Y[:, None, None], "rank 3"),
        (X, 3, "rank 0"),
        (X[:, 0], Y, "rank 2 or more"),
        (X.astype(str), Y, "real numbers"),
        (X, Y + 0.5, "integer labels"),
        (X, Y + 1, r"0\.\.C-1"),
        (X, 0 * Y, "C >= 2"),
        (X, Y[:, None], "one-hot"),
        (X, np.full((20, 2), 0.5), "one-hot"),
        (X, np.ones((20, 2)), "one-hot"),
        (X, np.arange(20), "6 classes have one example each"),
    ],
)
def test_own_refuses(x, y, message):
    own(X, Y)
    with pytest.raises(ValueError, match=message):
        own(x, y)


def test_centred_inputs():
    data = bp.data.load("digits")
    moved = centred(data)
    for part in PARTS:
        np.testing.assert_array_equal(getattr(moved, part).x, 2 * getattr(data, part).x - 1)
        np.testing.assert_array_equal(getattr(moved, part).y, getattr(data, part).y)
    assert moved.note == data.note
