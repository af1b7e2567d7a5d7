"""Tasks of memory: their answers can be read off their inputs, and their rates are as stated."""

import hashlib

import numpy as np
import pytest

import bioplaus as bp
from bioplaus.data import load, recall
from bioplaus.data.recall import delayed_match, evidence_accumulation, store_recall

CERTAIN = {"rate": 1e5, "dt": 10.0}  # a neuron fires in every moment of its population's turn
QUICK = {"n": 60, "population": 2, **CERTAIN}


def populations(batch, size):
    """Which populations are on [n, T, populations], of spikes at a rate that leaves no doubt."""
    x = np.asarray(batch.x).reshape(*batch.x.shape[:2], -1, size)
    assert (x == x[..., :1]).all()
    return x[..., 0]


def checked(batch, asked_for):
    """The answers [n], after what all tasks have in common."""
    assert batch.x.dtype == batch.y.dtype == np.float32
    assert (batch.asked.sum(1) == asked_for).all()
    assert (batch.y == batch.y[:, :1]).all()
    assert (batch.y.sum(-1) == 1).all()
    return np.asarray(batch.y)[:, 0].argmax(1)


def test_evidence_is_the_side_of_more_cues():
    batch = evidence_accumulation(**QUICK, delay=300.0)
    answer, on = checked(batch, 15), populations(batch, 2)
    assert on.shape == (60, 7 * 15 + 30, 4)
    cues = on[:, : 7 * 15].reshape(60, 7, 15, 4)
    assert not cues[:, :, :5, :2].any()  # a gap before each
    assert (cues[:, :, 5:, :2].sum(-1) == 1).all()  # then one of the sides
    assert (cues[:, :, 5:] == cues[:, :, 5:6]).all()
    right = cues[:, :, 5, 1].sum(1)
    assert ((right > 3.5) == answer).all()
    assert not on[:, 105:, :2].any()
    assert (on[..., 2] == batch.asked).all()
    assert batch.asked is not None
    assert batch.asked[:, -15:].all()
    assert on[..., 3].all()


def test_cues_agree_with_the_side_of_the_trial():
    """right | side ~ Binomial(7, 0.7 or 0.3): its variance is 7 0.7 0.3 + (7 0.4)^2 / 4."""
    batch = evidence_accumulation(**QUICK | {"n": 2_000}, cue=10.0, gap=10.0, delay=20.0, recall=10)
    right = populations(batch, 2)[:, 1:14:2, 1].sum(1)
    assert abs(right.mean() - 3.5) < 4 * 1.85 / 2_000**0.5
    assert abs(right.var() / (7 * 0.21 + 1.96) - 1) < 0.15


def test_rates_are_in_hertz():
    batch = evidence_accumulation(200, 3, delay=200.0, dt=2.0)
    share = np.asarray(batch.x).reshape(200, -1, 4, 10)
    calls = share[:, -75:, 2].mean()
    noise = share[:, :, 3].mean()
    assert abs(calls - (1 - np.exp(-0.08))) < 4 * (0.077 / (200 * 75 * 10)) ** 0.5
    assert abs(noise - (1 - np.exp(-0.02))) < 4 * (0.02 / share[:, :, 3].size) ** 0.5


def test_store_recall_asks_for_the_stored_value():
    batch = store_recall(**QUICK, values=3, segments=6, segment=20.0)
    answer, on = checked(batch, 2), populations(batch, 2)
    assert on.shape == (60, 12, 5)
    segments = on[:, ::2]
    assert (segments == on[:, 1::2]).all()
    store, call = segments[..., 3].argmax(1), segments[..., 4].argmax(1)
    assert (segments[..., 3:].sum(1) == 1).all()
    assert (store < call).all()
    assert set((call - store).tolist()) == {1, 2, 3, 4, 5}
    assert (segments[np.arange(60), store, :3].argmax(1) == answer).all()
    assert (segments[np.arange(60), 0, :3].argmax(1) != answer).any()  # control
    shown = segments[..., :3].sum(-1)
    assert (shown == (np.arange(6) != call[:, None])).all()
    assert (batch.asked == on[..., 4]).all()


def test_delayed_match_compares_test_and_sample():
    batch = delayed_match(**QUICK, stimuli=3, sample=20.0, delay=30.0, test=20.0, answer=10.0)
    answer, on = checked(batch, 1), populations(batch, 2)
    assert on.shape == (60, 8, 5)
    assert (on[:, :2, :3].sum(-1) == 1).all()
    assert not on[:, 2:5, :3].any()
    assert (on[:, 5:7, :3].sum(-1) == 1).all()
    assert ((on[:, 0, :3].argmax(1) == on[:, 5, :3].argmax(1)) == answer).all()
    assert 10 < answer.sum() < 50
    assert (on[..., 3] == batch.asked).all()


@pytest.mark.parametrize(
    ("make", "known"),
    [
        (evidence_accumulation, "5c2a4a6743b1"),
        (store_recall, "8812ca46db12"),
        (delayed_match, "4f786cb9a6e2"),
    ],
)
def test_the_same_seed_gives_the_same_trials_everywhere(make, known):
    def mark(seed):
        batch = make(3, seed, dt=10.0)
        parts = (batch.x, batch.y, batch.asked)
        return hashlib.sha256(b"".join(p.astype("<f4").tobytes() for p in parts)).hexdigest()[:12]

    assert mark(1) == known != mark(2)


def test_data_sets_have_parts_of_their_own(monkeypatch):
    monkeypatch.setattr(recall, "SIZES", (6, 4, 5))
    for name in ("evidence-accumulation", "store-recall", "delayed-match"):
        data = load(name)
        assert data.dt == 5.0
        assert [len(part.x) for part in data[1:4]] == [6, 4, 5]
        assert not np.array_equal(data.train.x[:4], data.validation.x)
        assert not np.array_equal(data.validation.x, data.test.x[:4])


def test_a_net_takes_them_as_they_are(monkeypatch):
    batch = delayed_match(4, sample=20.0, delay=10.0, test=20.0, answer=10.0, dt=10.0)
    net = (bp.over_time(bp.dense(3, bp.lif()), dt=10.0), bp.over_time(bp.dense(2), dt=10.0))
    params = bp.init(net, bp.seed_keys(1)[0], batch.x)
    loss = bp.at_each_moment(bp.cross_entropy)
    info = bp.rules.backprop(net, loss).grad(params, (), batch, bp.seed_keys(1)[0])[2]
    assert np.isfinite(info["loss"])


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: evidence_accumulation(2, cues=6), "give an odd number"),
        (lambda: evidence_accumulation(0), "got 0 trials"),
        (lambda: evidence_accumulation(2, dt=-1.0), "dt above 0"),
        (lambda: evidence_accumulation(2, gap=0.1), r"gap is 0\.1 ms, less than a moment"),
        (lambda: store_recall(2, segments=1), "give 2 or more"),
        (lambda: delayed_match(2, stimuli=1), "expected 2 or more"),
    ],
)
def test_refusals(act, message):
    with pytest.raises(ValueError, match=message):
        act()
