"""Output kinds by hand: predictions, errors, margins and calibration; targets that do not fit."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.local import signals_of
from bioplaus.measure import accuracy, calibration
from bioplaus.outputs import KINDS, correct, declared_by, entropy, margin, outputs_are, targets

OUTPUTS = jnp.array([[2.0, 1, 0], [0, 3, 1], [0, 1, 5], [4, 0, 0]])
LABELS = np.array([0, 1, 2, 1])
LOGIT = jnp.array([[1.5], [-0.5], [2.0], [-3.0]])
BINARY = jnp.array([[1.0], [0.0], [0.0], [1.0]])


def test_integer_labels_are_one_hot_rows():
    rows = jax.nn.one_hot(jnp.array(LABELS), 3)
    for labels in (
        LABELS,
        LABELS.tolist(),
        LABELS.astype(np.uint8),
        LABELS.astype(np.uint64),
        jnp.array(LABELS),
    ):
        assert float(accuracy(OUTPUTS, labels)) == 0.75
        np.testing.assert_array_equal(
            bp.cross_entropy(OUTPUTS, labels), bp.cross_entropy(OUTPUTS, rows)
        )
        np.testing.assert_array_equal(
            calibration(OUTPUTS, labels).nll, calibration(OUTPUTS, rows).nll
        )
    assert float(accuracy(LOGIT, BINARY[:, 0].astype(int), bp.binary_cross_entropy)) == 0.5
    with pytest.raises(ValueError, match="label 3 for 3"):
        accuracy(OUTPUTS, np.arange(4))
    with pytest.raises(ValueError, match="label -1"):
        bp.mse(OUTPUTS, jnp.array([0, 1, 2, -1]))
    # unseen under jit, but not silent
    assert jnp.isnan(jax.jit(bp.cross_entropy)(OUTPUTS, jnp.array([0, 1, 2, 3]))[3])


def attacked(attack, o, y):
    return attack(
        lambda x, key: x, bp.cross_entropy, o, y, jax.random.key(0), epsilon=0.1, bounds=(0.0, 9.0)
    )


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (jnp.ones((1, 3)), r"\(4, 3\) and y is \(1, 3\)"),
        (jnp.ones((4, 2)), r"\(4, 3\) and y is \(4, 2\)"),
        (jnp.ones((3, 3)), "y is"),
        (jnp.ones(4), r"integer labels \[B\]"),
        (jnp.array([0, 1, 2]), "4 rows of outputs and 3 labels"),
        (jnp.eye(3)[jnp.array(LABELS)].at[1, 1].set(jnp.nan), "y holds NaN"),
    ],
)
@pytest.mark.parametrize(
    "of_y",
    [
        accuracy,
        correct,
        margin,
        calibration,
        bp.cross_entropy,
        bp.binary_cross_entropy,
        bp.bernoulli,
        bp.mse,
        partial(attacked, bp.measure.robustness.fgsm),
        partial(attacked, partial(bp.measure.robustness.square, queries=2)),
    ],
)
def test_targets_that_do_not_fit_are_refused(of_y, y, message):
    with pytest.raises(ValueError, match=message):
        of_y(OUTPUTS, y)


def test_targets_of_one_output_and_of_sequences():
    with pytest.raises(ValueError, match=r"give y\[:, None\]"):
        bp.binary_cross_entropy(LOGIT, BINARY[:, 0])
    with pytest.raises(ValueError, match="sequences"):
        bp.cross_entropy(jnp.zeros((2, 5, 3)), jnp.zeros((2, 5, 3)))
    assert (
        targets("t", OUTPUTS.astype(jnp.bfloat16), jnp.eye(3, dtype=int)[jnp.array(LABELS)]).dtype
        == jnp.bfloat16
    )


@pytest.mark.parametrize(
    ("kind", "output"),
    [
        ("independent logits", LOGIT),
        ("probabilities", jax.nn.sigmoid(LOGIT)),
        ("values", LOGIT + 0.5),
    ],
)
def test_one_output_answers_by_its_side(kind, output):
    np.testing.assert_array_equal(correct(output, BINARY, kind), [1, 1, 0, 0])
    gap = output[:, 0] - (0.0 if kind == "independent logits" else 0.5)
    np.testing.assert_allclose(
        margin(output, BINARY, kind), gap * jnp.array([-1, 1, 1, -1]), rtol=1e-6
    )


def test_one_output_of_a_sigmoid_is_not_always_class_one():
    """By its sign it would be: 0.2 is above 0."""
    assert float(accuracy(jnp.full((4, 1), 0.2), jnp.ones((4, 1)), bp.bernoulli)) == 0.0
    # the same number, a logit
    assert float(accuracy(jnp.full((4, 1), 0.2), jnp.ones((4, 1)), bp.binary_cross_entropy)) == 1.0


def test_one_output_has_to_say_what_it_is():
    for measure in (accuracy, margin, calibration):
        with pytest.raises(ValueError, match=r"one output competes with nothing|1 output"):
            measure(LOGIT, BINARY)
    with pytest.raises(ValueError, match="must be 0 or 1"):
        accuracy(LOGIT, BINARY + 0.3, bp.mse)
    assert jnp.isnan(jax.jit(partial(accuracy, loss=bp.mse))(LOGIT, BINARY + 0.3))


def test_xor_untrained_is_at_chance_and_its_signals_say_so():
    x, y = jnp.array([[0.0, 0], [0, 1], [1, 0], [1, 1]]), jnp.array([[0.0], [1], [1], [0]])
    net, key = bp.mlp([2, 8, 1]), jax.random.key(0)
    rule, params = bp.rules.backprop(net, bp.binary_cross_entropy), bp.init(net, key, x)
    _, _, info = rule.grad(params, (), bp.Batch(x, y), key)
    o, signals = np.asarray(rule.predict(params, (), x, key))[:, 0], info["signals"]
    p = 1 / (1 + np.exp(-o))
    np.testing.assert_array_equal(signals.correct, (o > 0) == np.asarray(y)[:, 0])
    assert 0 < signals.correct.mean() < 1
    np.testing.assert_allclose(signals.entropy, -p * np.log(p) - (1 - p) * np.log(1 - p), rtol=1e-5)
    np.testing.assert_allclose(signals.surprise, signals.loss, rtol=1e-6)
    assert signals.entropy.min() > 0.1


def test_signals_of_each_kind():
    y, C = jnp.eye(3)[:2], 3
    o = jnp.array([[0.3, -1.0, 2.0], [0.0, 1.0, 0.5]])
    p = np.asarray(jax.nn.sigmoid(o))
    bits = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum(1)
    for loss, output in ((bp.binary_cross_entropy, o), (bp.bernoulli, jnp.asarray(p))):
        s = signals_of(loss, loss(output, y), output, y)
        np.testing.assert_allclose(s.entropy, bits, rtol=1e-5)
        np.testing.assert_allclose(s.surprise, loss(output, y), rtol=1e-6)
    s = signals_of(bp.mse, bp.mse(o, y), o, y)
    np.testing.assert_allclose(s.surprise, bp.mse(o, y) + C / 2 * np.log(2 * np.pi), rtol=1e-6)
    np.testing.assert_allclose(s.entropy, C / 2 * (1 + np.log(2 * np.pi)), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16])
def test_a_masked_class_has_probability_and_slope_0(dtype):
    o, y = jnp.array([[1, 0, -jnp.inf]], dtype), jnp.array([[1, 0, 0]], dtype)
    rel = 1e-5 if dtype == jnp.float32 else 1e-2
    np.testing.assert_allclose(np.asarray(bp.cross_entropy(o, y), float), 0.3132617, rtol=rel)
    p = np.exp([0.0, -1.0]) / (1 + np.exp(-1))
    np.testing.assert_allclose(
        np.asarray(entropy(o, "logits"), float), -(p * np.log(p)).sum(), rtol=rel
    )
    for f in (
        bp.cross_entropy,
        bp.binary_cross_entropy,
        lambda o, y: entropy(o, "logits"),
        lambda o, y: entropy(o, "independent logits"),
    ):
        slope = np.asarray(jax.grad(lambda o, f=f: f(o, y).sum())(o), float)
        assert np.isfinite(np.asarray(f(o, y), float)).all()
        assert np.isfinite(slope).all()
        assert slope[0, 2] == 0
    sure = jnp.array([[1, 0, 0.5]], dtype)
    assert np.isfinite(
        np.asarray([*bp.bernoulli(sure, y), *entropy(sure, "probabilities")], float)
    ).all()
    # the masked class itself
    assert np.isinf(np.asarray(bp.cross_entropy(o, jnp.array([[0, 0, 1]], dtype)), float)).all()


def test_equal_outputs_are_no_class():
    """k equal largest outputs count as right by 1 / k, whichever of their classes is the label.

    If they counted as class 0, a silent net would be right on class 0 alone.
    """
    for label in range(3):
        np.testing.assert_allclose(
            accuracy(jnp.zeros((5, 3)), jnp.full(5, label)), 1 / 3, rtol=1e-6
        )
    np.testing.assert_allclose(
        correct(jnp.array([[1.0, 1, 0], [1, 0, 0]]), np.array([1, 0])), [0.5, 1]
    )


def test_several_labels_an_example():
    y = jnp.array([[1.0, 0, 1], [0, 0, 0], [0, 1, 0]])
    o = jnp.array([[2.0, -1, 3], [-1, -1, 0.5], [-1, 2, -3]])
    np.testing.assert_array_equal(correct(o, y, bp.binary_cross_entropy), [1, 0, 1])
    np.testing.assert_array_equal(correct(jax.nn.sigmoid(o), y, bp.bernoulli), [1, 0, 1])
    np.testing.assert_array_equal(margin(o, y, bp.binary_cross_entropy), [-1, 0.5, -1])
    for loss in (bp.cross_entropy, bp.mse):
        with pytest.raises(ValueError, match="no single largest entry"):
            accuracy(o, y, loss)
        assert jnp.isnan(jax.jit(partial(correct, of=loss))(o, y)[0])
    # single labels: the largest output
    np.testing.assert_array_equal(correct(o, jnp.eye(3), bp.binary_cross_entropy), [0, 0, 0])


def test_calibration_of_one_output():
    both = jnp.concatenate([jnp.zeros_like(LOGIT), LOGIT], 1)
    want = calibration(both, jnp.concatenate([1 - BINARY, BINARY], 1))
    for got in (
        calibration(LOGIT, BINARY, bp.binary_cross_entropy),
        calibration(jax.nn.sigmoid(LOGIT), BINARY, bp.bernoulli),
    ):
        np.testing.assert_allclose(got, want, rtol=1e-5)
    with pytest.raises(ValueError, match="not a distribution"):
        calibration(OUTPUTS, LABELS, bp.binary_cross_entropy)


def test_an_own_loss_must_declare_its_outputs():
    def silent(output, y):
        return ((output - y) ** 2).sum(-1)

    with pytest.raises(ValueError, match="does not say what outputs are"):
        accuracy(OUTPUTS, LABELS, silent)
    net, key, y = bp.mlp([3, 3]), jax.random.key(0), jax.nn.one_hot(jnp.array(LABELS), 3)
    rule, params = bp.rules.backprop(net, silent), bp.init(net, key, OUTPUTS)
    assert (
        rule.grad(params, (), bp.Batch(OUTPUTS, y), key, lambda s: s.loss)[2]["signals"].correct
        is None
    )
    for name in ("correct", "entropy", "surprise"):
        with pytest.raises(ValueError, match="decorate it with"):
            rule.grad(params, (), bp.Batch(OUTPUTS, y), key, lambda s, name=name: getattr(s, name))
    declared = outputs_are("values")(silent)
    assert declared_by(partial(declared)) == "values"
    assert float(accuracy(OUTPUTS, LABELS, declared)) == 0.75
    with pytest.raises(ValueError, match="expected one of"):
        outputs_are("logit")  # type: ignore[arg-type]
    assert set(KINDS) == {
        declared_by(loss)
        for loss in (bp.cross_entropy, bp.binary_cross_entropy, bp.bernoulli, bp.mse)
    }


def test_labels_of_a_narrow_type_and_of_many_classes():
    for kind, classes in ((np.int8, 200), (np.uint8, 300), (np.int8, 300), (bool, 2), (bool, 3)):
        labels = np.array([1, 0, 1], kind)
        assert float(accuracy(jnp.eye(classes)[labels.astype(int)], labels)) == 1.0
        outputs = 2 * jnp.eye(classes)[:1].repeat(3, 0)
        np.testing.assert_array_equal(
            bp.cross_entropy(outputs, labels), bp.cross_entropy(outputs, labels.astype(np.int32))
        )


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([2**32, 1, 2, 1]), "holds 4294967296"),  # JAX makes it 0
        (np.ma.masked_array(LABELS, [0, 0, 0, 1]), "masked array"),  # type: ignore
        (["a", "b", "c", "d"], "expected an array of numbers"),
        (LABELS.astype(object), "expected an array of numbers"),
        ([[1, 0, 0], [1, 0]], "expected an array of numbers"),
    ],
)
def test_targets_that_are_no_numbers(y, message):
    for of in (accuracy, bp.mse, calibration):
        with pytest.raises(ValueError, match=message):
            of(OUTPUTS, y)


def test_outputs_that_are_whole_numbers_or_lists():
    """Equal outputs share the answer: in whole numbers a half became 0."""
    for outputs in ([[1, 1, 0]], np.array([[1, 1, 0]]), jnp.array([[True, True, False]])):
        assert float(accuracy(outputs, [0])) == 0.5  # type: ignore
        loss = bp.cross_entropy(outputs, [0])  # type: ignore
        np.testing.assert_allclose(loss, np.log([2 + np.exp(-1)]), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_measures_of_low_precision_sum_in_float32(dtype):
    rng = np.random.default_rng(0)
    outputs, y = jnp.asarray(rng.normal(size=(2000, 3)), dtype), rng.integers(0, 3, 2000)
    want = calibration(outputs.astype(jnp.float32), y)
    np.testing.assert_array_equal(jnp.stack(calibration(outputs, y)), jnp.stack(want))
    assert accuracy(outputs, y) == accuracy(outputs.astype(jnp.float32), y)
