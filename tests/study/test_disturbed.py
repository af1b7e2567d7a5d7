"""A study with corrupted images, damaged nets and wrong labels: its rows, report and errors."""

import jax
import numpy as np
import pytest
from scipy import stats

from bioplaus.data import Dataset
from bioplaus.data.dataset import batch, one_hot
from bioplaus.measure.robustness import mce
from bioplaus.study import Study, StudyError, run_study
from bioplaus.study.images import source_of, under_corruption
from bioplaus.study.plan import plan
from bioplaus.study.settings import Arm

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(0)


def _images(n):
    """Two bright rows tell the class: rows 2c and 2c + 1."""
    labels = RNG.integers(0, 10, n)
    x = RNG.uniform(0, 0.5, (n, 28, 28, 1)).astype(np.float32)
    for i, c in enumerate(labels):
        x[i, 2 * c : 2 * c + 2] += 0.5
    return batch(x, one_hot(labels, 10))


DATA = Dataset("mnist", _images(1200), _images(50), _images(200), "Made for a test.")
BASE = {
    "seeds": 3,
    "steps": 60,
    "points": 1,
    "net": {"hidden": [16]},
    "alignment": False,
    "energy": False,
    "curves": ["targeted_lesion", "pruning"],
    "training_data": {"symmetric": 0.3},
}
CONTRASTS = [{"a": "fa", "b": "bp", "metric": m} for m in ("accuracy", "pruning", "mCE_BP")]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder, test = tmp_path_factory.mktemp("c"), DATA.test
    labels = np.asarray(test.y).argmax(1)
    bytes_ = np.round(255 * np.asarray(test.x)).astype(np.uint8)
    for name, images in (("fog", bytes_ // 4 + 150), ("inverse", 255 - bytes_)):
        (folder / name).mkdir()
        np.save(folder / name / "test_images.npy", images)
        np.save(folder / name / "test_labels.npy", labels)
    base = {**BASE, "corruptions": str(folder)}
    study = Study.model_validate(
        {"name": "robust", "base": base, "grid": {"rule": ["bp", "fa"]}, "contrast": CONTRASTS}
    )
    jax.config.update("jax_disable_most_optimizations", True)  # compiles much, computes little
    yield run_study(study, data=DATA, out=tmp_path_factory.mktemp("out") / "run", show=False)
    jax.config.update("jax_disable_most_optimizations", False)


def _values(found, rule, measure, condition):
    return np.array(
        [
            r.value
            for r in found.rows
            if (r.rule, r.measure, r.condition) == (rule, measure, condition)
        ]
    )


def test_rows_of_corruptions_and_calibration(found):
    clean = _values(found, "bp", "accuracy", "clean")
    assert clean.mean() > 0.5
    for kind in ("fog", "inverse"):
        under = _values(found, "bp", "accuracy under corruption", f"{kind}=1")
        assert under.shape == (3,)
        assert under.mean() < clean.mean()
    for measure, unit in (
        ("ece", "fraction"),
        ("nll", "nat"),
        ("brier", "squared probability"),
        ("aurc", "fraction"),
    ):
        assert (
            _values(found, "fa", measure, "clean").shape
            == _values(found, "fa", measure, "inverse=1").shape
            == (3,)
        )
        assert {r.unit for r in found.rows if r.measure == measure} == {unit}
    assert (
        _values(found, "bp", "nll", "inverse=1").mean()
        > _values(found, "bp", "nll", "clean").mean()
    )


def test_chosen_curves_alone_are_there(found):
    kinds = {r.condition.partition("=")[0] for r in found.rows if r.measure == "accuracy"}
    assert kinds == {"clean", "targeted lesion", "pruning", "pgd", "transfer", "random sign"}
    np.testing.assert_array_equal(
        _values(found, "bp", "accuracy", "pruning=0"), _values(found, "bp", "accuracy", "clean")
    )


def test_mce_is_relative_to_the_twin_at_the_same_seed(found):
    np.testing.assert_allclose(_values(found, "bp", "mCE_BP", "all corruptions"), 100)
    bp, fa = (under_corruption([r for r in found.rows if r.rule == rule]) for rule in ("bp", "fa"))
    expected = [mce(fa[s][1], bp[s][1]) for s in fa]
    np.testing.assert_allclose(_values(found, "fa", "mCE_BP", "all corruptions"), expected)
    crossed = [mce(fa[a][1], bp[b][1]) for a, b in zip("012", "120", strict=True)]
    assert np.abs(np.subtract(crossed, expected)).max() > 0.1


def test_accuracy_on_wrong_labels_is_recorded(found):
    """After so short a training the nets know the rule, not the exceptions."""
    memorised, recovered = (
        _values(found, "bp", m, "flipped labels").mean() for m in ("memorised", "recovered")
    )
    assert recovered > 0.5 > 0.2 > memorised
    assert {r.data for r in found.rows} == {"mnist + 30% symmetric label noise"}
    assert "30% symmetric" in found.summary["data_note"]


def test_planned_contrasts_alone_have_p_values(found):
    first, _, third = found.summary["contrasts"]
    a, b = (_values(found, rule, "accuracy", "clean") for rule in ("fa", "bp"))
    np.testing.assert_allclose(first["p"], np.asarray(stats.ttest_rel(a, b))[1], rtol=1e-9)
    np.testing.assert_allclose(first["mean"], (a - b).mean())
    np.testing.assert_allclose(
        third["mean"], _values(found, "fa", "mCE_BP", "all corruptions").mean() - 100
    )
    assert all(
        c["p"] <= c["p_holm"] <= min(1, 3 * c["p"]) + 1e-12 for c in found.summary["contrasts"]
    )
    assert first["improvement"] == np.mean((a[:, None] > b) + 0.5 * (a[:, None] == b))
    assert "comparisons" not in found.summary


def test_the_report_shows_corruptions_and_contrasts(found):
    page = (found.folder / "report.html").read_text(encoding="utf-8")
    for text in (
        "mCE<sub>BP</sub>",
        "MNIST-C",
        "Planned contrasts",
        "p, Holm",
        "Memorised",
        "severity (0: clean)",
        "ECE",
        "AURC<small>%",
    ):
        assert text in page
    assert "stratified bootstrap" in page


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"contrast": [{"a": "fq", "b": "bp"}]}, "there is no arm 'fq'"),
        ({"contrast": [{"a": "fa", "b": "bp", "metric": "lesions"}]}, "did you mean 'lesion'"),
        ({"contrast": [{"a": "fa", "b": "bp", "metric": "mCE_BP"}]}, "has no 'mCE_BP'"),
        ({"contrast": [{"a": "fa", "b": "fa"}]}, "with itself"),
        ({"base": {"curves": ["leson"]}}, "did you mean 'lesion'"),
        (
            {"base": {"curves": ["lesion_layer_3"]}},
            "the net has 2 hidden layers; leave this curve out",
        ),
        ({"base": {"training_data": {"symmetric": 0.1, "asymmetric": 0.1}}}, "not both"),
        ({"base": {"training_data": {"symmetric": 2.0}}}, "less than or equal to 1"),
    ],
)
def test_invalid_settings_are_refused_before_any_work(change, match):
    with pytest.raises(StudyError, match=match):
        plan(Study.model_validate({"name": "s", "grid": {"rule": ["bp", "fa"]}, **change}))


def test_corruptions_need_images(tmp_path):
    flat = DATA._replace(test=batch(np.zeros((4, 784), np.float32), one_hot(np.arange(4), 10)))
    with pytest.raises(StudyError, match="square images"):
        source_of(Arm(corruptions="generated"), flat)
    with pytest.raises(StudyError, match="no published set"):
        source_of(Arm(corruptions=str(tmp_path)), flat)
    assert source_of(Arm(corruptions="generated"), DATA) == "MNIST-C-like"
