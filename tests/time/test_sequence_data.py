"""Data sets of sequences: what belongs to an example goes where the example goes."""

import jax
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.data import noisy, tasks
from bioplaus.data.dataset import centred

N, T, C = 40, 5, 3


def sequences():
    """Each array says in all its entries which example, and moment, it belongs to."""
    example, moment = np.indices((N, T)).astype(np.float32)
    x = np.stack([example, moment], -1)
    y = np.stack([example, moment, example * moment], -1)
    return x, y, np.random.default_rng(0).random((N, T)) < 0.5


def check_together(part):
    x, y, asked = part.x, part.y, part.asked
    _, _, all_asked = sequences()
    np.testing.assert_array_equal(y[..., :2], x)
    np.testing.assert_array_equal(y[..., 2], x[..., 0] * x[..., 1])
    np.testing.assert_array_equal(asked, all_asked[x[:, 0, 0].astype(int)])


@pytest.fixture
def data():
    x, y, asked = sequences()
    return bp.data.own(x, y, dt=2.0, asked=asked)


def test_a_split_keeps_answers_and_asked_moments_with_their_examples(data):
    parts = (data.train, data.validation, data.test)
    assert [len(p.x) for p in parts] == [28, 4, 8]
    assert data.dt == 2.0
    for part in parts:
        check_together(part)
    mixed = data.train._replace(asked=data.train.asked[::-1])
    with pytest.raises(AssertionError):
        check_together(mixed)


def test_fewer_and_noisy_examples_keep_theirs(data):
    few, _ = noisy.with_noise(data, fraction=0.5)
    assert len(few.train.x) == 14
    check_together(few.train)
    noise, _ = noisy.with_noise(data, input_noise=0.1)
    np.testing.assert_array_equal(noise.train.y, data.train.y)
    np.testing.assert_array_equal(noise.train.asked, data.train.asked)
    assert not np.array_equal(noise.train.x, data.train.x)


def test_centring_changes_inputs_alone(data):
    found = centred(data).test
    np.testing.assert_array_equal(found.x, 2 * data.test.x - 1)
    np.testing.assert_array_equal(found.y, data.test.y)
    np.testing.assert_array_equal(found.asked, data.test.asked)


def test_what_asks_for_a_class_of_each_example_refuses_answers_at_each_moment(data):
    for make in (
        lambda: noisy.with_noise(data, symmetric=0.1),
        lambda: noisy.with_noise(data, imbalance=2.0),
        lambda: tasks.split(data, "class"),
        lambda: tasks.permuted(data, 2),
    ):
        with pytest.raises(ValueError, match="answers at each moment"):
            make()


BAD = {
    "dt of 0": (dict(dt=0.0), "above 0 ms"),
    "no dt": (dict(), "rank 3"),
    "asked of another T": (dict(dt=1.0, asked=np.ones((N, T + 1))), "asked is"),
    "answers of another T": (dict(dt=1.0), "answers at each moment are"),
    "one moment's inputs": (dict(dt=1.0), "are sequences"),
}


@pytest.mark.parametrize("case", BAD)
def test_arrays_that_are_no_sequences_are_refused(case):
    settings, expected = BAD[case]
    x, y, _ = sequences()
    if case == "answers of another T":
        y = y[:, 1:]
    if case == "one moment's inputs":
        x = x[:, 0]
    with pytest.raises(ValueError, match=expected):
        bp.data.own(x, y, **settings)


def test_sequences_with_classes_are_stratified_as_other_data():
    x, _, _ = sequences()
    labels = np.arange(N) % 4
    found, flat = bp.data.own(x, labels, dt=1.0), bp.data.own(x[:, 0], labels)
    assert jax.tree.map(np.shape, found.test.y) == (8, 4)
    np.testing.assert_array_equal(found.test.y, flat.test.y)
    assert found.train.asked is None
    assert flat.dt is None


SLOW = pytest.mark.slow


@pytest.mark.parametrize("moments", [pytest.param(2, marks=SLOW), 3, pytest.param(4, marks=SLOW)])
def test_one_target_holds_for_all_asked_moments_also_where_classes_equal_moments(moments):
    """Floats [B, C], labels [B] and rows [B, T, C] teach the same, whole and on streams; a target
    that is missing in one class, as it was where T = C, does not."""
    net = (
        bp.recurrent(bp.dense(4, bp.alif(threshold=0.3)), bp.dense(4)),
        bp.over_time(bp.dense(C, bp.leaky(3.0))),
    )
    x = jax.random.normal(jax.random.key(0), (2, moments, 4))
    labels, key = jax.numpy.array([0, 1]), jax.random.key(2)
    rows = jax.numpy.eye(C)[labels]
    asked = jax.numpy.zeros((2, moments), bool).at[:, -1].set(True)
    params = bp.init(net, jax.random.key(1), x)
    rule = bp.rules.eprop(net, bp.at_each_moment(bp.cross_entropy))

    def loss(y, given):
        batch = bp.Batch(x, y, asked=asked)
        return float(given.grad(params, given.init(key, params, batch), batch, key)[2]["loss"])

    for given in (rule, rule.stream):
        truth = loss(jax.numpy.repeat(rows[:, None], moments, 1), given)
        assert truth > 0.1
        assert loss(rows, given) == pytest.approx(truth, rel=1e-6)
        assert loss(labels, given) == pytest.approx(truth, rel=1e-6)
        assert abs(loss(rows.at[:, 0].set(0), given) - truth) > 0.1
