"""The suite in a study: its rows, its words, and who is attacked from where."""

import jax
import numpy as np
import pytest

from bioplaus.data import own
from bioplaus.measure.robustness import CHECKS
from bioplaus.report.claims import claims
from bioplaus.report.run import collect
from bioplaus.study import Study, StudyError, final, run_study, spec
from bioplaus.study.claims import bounds_of, budget_of, suite_text

TINY = {"suite": True, "epsilon": 0.15, "steps": 4, "restarts": 1, "queries": 12, "samples": 2, "examples": 40}
STUDY = Study(
    name="claims",
    base={
        "steps": 100,
        "seeds": 2,
        "points": 1,
        "net": {"hidden": [16]},
        "energy": False,
        "alignment": False,
        "curves": [],
        "adversarial": TINY,
    },
    grid={"rule": ["bp", "fa"]},
)


@pytest.fixture(scope="module")
def found():
    jax.config.update("jax_disable_most_optimizations", True)  # compiles much, computes little
    yield run_study(STUDY, show=False)
    jax.config.update("jax_disable_most_optimizations", False)


def test_every_seed_and_check_has_its_row(found):
    for rule in ("bp", "fa"):
        rows = {(r.measure, r.condition, r.seed): r.value for r in found.rows if r.rule == rule}
        worst = [rows["robust accuracy", "epsilon=0.15 attack=worst", s] for s in "01"]
        clean = [rows["robust accuracy", "epsilon=0.15 attack=clean", s] for s in "01"]
        assert np.mean(worst) < np.mean(clean) - 0.1
        assert (rows["input bound", "epsilon=0.15 bound=low", ""], rows["input bound", "epsilon=0.15 bound=high", ""]) == (0, 1)
        for name in CHECKS:
            value, bound, passed = (
                rows[f"check {part}", f"epsilon=0.15 check={name}", ""] for part in ("value", "threshold", "passed")
            )
            assert passed == (value > bound if name == "F11" else value <= bound)
        shared = [np.round(v * 40, 6) for (m, c, _), v in rows.items() if m == "robust accuracy" and "worst" in c]
        assert all(v == int(v) for v in shared)  # 40 examples


def test_the_words_hold_every_hyperparameter(found):
    said = found.summary["suite"]
    for number in ("epsilon 0.15", "4 steps", "0.0938", "1 random start", "12 queries", "2 random samples", "40 examples"):
        assert number in said
    assert "4 steps" in found.summary["attack"]
    arms = spec.arms(STUDY)
    assert suite_text([a.model_copy(update={"robustness": False}) for a in arms]) == ""


def test_the_page_states_no_number_where_a_check_fails(found):
    rows = [r._asdict() for r in found.rows]
    page = claims(collect(rows, found.summary), {})
    failing = {r.rule for r in found.rows if r.measure == "check passed" and not r.value}
    assert page.count("no claim") == len(failing)
    forged = [r | {"value": 0.0} if (r["measure"], r["rule"]) == ("check passed", "fa") else r for r in rows]
    assert "no claim<small>F1, F2" in claims(collect(forged, found.summary), {})
    lost = [r for r in rows if "check=F7" not in r["condition"]]
    assert claims(collect(lost, found.summary), {}).count("no claim") == 2
    clean = [r | {"value": 1.0} if r["measure"] == "check passed" else r for r in rows]
    assert "no claim" not in claims(collect(clean, found.summary), {})
    assert claims(collect([r for r in rows if r["measure"] == "accuracy"]), {}) == ""


def test_draws_are_for_nets_with_noise():
    noisy = {"base": {**STUDY.base, "neuron": {"noise": "gaussian", "level": 0.1}}}
    quiet = {"base": {**STUDY.base, "neuron": {"noise": "gaussian", "level": 0.1, "evaluate": "off"}}}
    assert budget_of(spec.arms(STUDY)[0]).draws == 1
    assert budget_of(spec.arms(STUDY.model_copy(update=noisy))[0]).draws == 20
    assert budget_of(spec.arms(STUDY.model_copy(update=quiet))[0]).draws == 1
    wrong = STUDY.model_copy(update={"base": {**STUDY.base, "adversarial": {"epsilons": 0.1}}})
    with pytest.raises(StudyError, match="did you mean 'epsilon'"):
        spec.arms(wrong)


def test_attacks_stay_in_the_box_of_the_data():
    """Inputs beyond [0, 1] are not cut to it: at radius 0 the net is as accurate as it is."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(200, 5)).astype(np.float32)
    data = own(x, (x[:, 0] > 0).astype(int))
    parts = (data.train.x, data.test.x)
    assert bounds_of(data) == (min(p.min() for p in parts), max(p.max() for p in parts))
    assert bounds_of(own(np.clip(x, 0.2, 0.8), np.arange(200) % 2)) == (0.0, 1.0)
    base = {"steps": 100, "seeds": 1, "points": 1, "net": {"hidden": [8]}, "energy": False, "alignment": False, "curves": []}
    found = run_study(Study(name="own", base=base), data=data, show=False)
    accuracy = {r.condition: r.value for r in found.rows if r.measure == "accuracy"}
    assert len(data.test.x) < final.EXAMPLES
    assert accuracy["pgd=0"] == accuracy["random sign=0"] == pytest.approx(accuracy["clean"])
