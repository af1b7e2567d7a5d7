"""The suite in a study: its rows, its words, and who is attacked from where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.data import load, own
from bioplaus.data.dataset import bounds_of
from bioplaus.data.noisy import with_noise
from bioplaus.measure.robustness import CHECKS
from bioplaus.report.claims import claims
from bioplaus.report.read import collect
from bioplaus.study import Study, StudyError, run_study, spec
from bioplaus.study.attack_suite import budget_of, suite_text
from bioplaus.study.plan import plan

pytestmark = pytest.mark.slow

TINY = {
    "suite": True,
    "epsilon": 0.15,
    "steps": 4,
    "restarts": 1,
    "queries": 12,
    "samples": 2,
    "examples": 40,
}
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
def quick():
    jax.config.update("jax_disable_most_optimizations", True)  # compiles much, computes little
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def found(quick):
    return run_study(STUDY, show=False)


def test_every_seed_and_check_has_its_row(found):
    for rule in ("bp", "fa"):
        rows = {(r.measure, r.condition, r.seed): r.value for r in found.rows if r.rule == rule}
        worst = [rows["robust accuracy", "epsilon=0.15 attack=worst", s] for s in "01"]
        clean = [rows["robust accuracy", "epsilon=0.15 attack=clean", s] for s in "01"]
        assert np.mean(worst) < np.mean(clean) - 0.1
        assert (
            rows["input bound", "epsilon=0.15 bound=low", ""],
            rows["input bound", "epsilon=0.15 bound=high", ""],
        ) == (0, 1)
        for name in CHECKS:
            value, bound, passed = (
                rows[f"check {part}", f"epsilon=0.15 check={name}", ""]
                for part in ("value", "threshold", "passed")
            )
            assert passed == (value > bound if name == "F11" else value <= bound)
        shared = [
            np.round(v * 40, 6)
            for (m, c, _), v in rows.items()
            if m == "robust accuracy" and "worst" in c
        ]
        assert all(v == int(v) for v in shared)  # 40 examples


def test_the_summary_names_every_hyperparameter(found):
    said = found.summary["suite"]
    for number in (
        "epsilon 0.15",
        "4 steps",
        "0.0938",
        "1 random start",
        "queries 12",
        "2 random samples",
        "40 examples",
    ):
        assert number in said
    assert "4 steps" in found.summary["attack"]
    arms = spec.arms(STUDY)
    assert suite_text([a.model_copy(update={"robustness": False}) for a in arms]) == ""


def test_the_page_states_no_number_where_a_check_fails(found):
    rows = found.rows
    page = claims(collect(rows, found.summary), {})
    failing = {r.rule for r in found.rows if r.measure == "check passed" and not r.value}
    assert page.count("no claim") == len(failing)
    forged = [
        r._replace(value=0.0) if (r.measure, r.rule) == ("check passed", "fa") else r for r in rows
    ]
    assert "no claim<small>F1, F2" in claims(collect(forged, found.summary), {})
    lost = [r for r in rows if r.where.check != "F7"]
    assert claims(collect(lost, found.summary), {}).count("no claim") == 2
    clean = [r._replace(value=1.0) if r.measure == "check passed" else r for r in rows]
    assert "no claim" not in claims(collect(clean, found.summary), {})
    assert claims(collect([r for r in rows if r.measure == "accuracy"]), {}) == ""


def test_draws_are_for_nets_with_noise():
    noisy = {"base": {**STUDY.base, "neuron": {"noise": "gaussian", "level": 0.1}}}
    quiet = {
        "base": {**STUDY.base, "neuron": {"noise": "gaussian", "level": 0.1, "evaluate": "off"}}
    }
    assert budget_of(spec.arms(STUDY)[0]).draws == 1
    assert budget_of(spec.arms(STUDY.model_copy(update=noisy))[0]).draws == 20
    assert budget_of(spec.arms(STUDY.model_copy(update=quiet))[0]).draws == 1
    wrong = STUDY.model_copy(update={"base": {**STUDY.base, "adversarial": {"epsilons": 0.1}}})
    with pytest.raises(StudyError, match="did you mean 'epsilon'"):
        spec.arms(wrong)


def test_the_range_of_the_inputs_is_that_of_validation_and_test():
    x = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    data = own(x, (x[:, 0] > 0).astype(int))
    parts = (data.validation.x, data.test.x)
    assert bounds_of(data) == (min(p.min() for p in parts), max(p.max() for p in parts))
    assert bounds_of(with_noise(data, input_noise=3.0)[0]) == bounds_of(data)
    assert bounds_of(load("digits")) == (0.0, 1.0)
    with pytest.raises(StudyError, match="no range"):
        plan(STUDY, data=own(np.ones((20, 3)), np.arange(20) % 2))


@pytest.mark.usefixtures("quick")
def test_robustness_is_the_same_in_every_unit_of_the_inputs():
    """Inputs x and 255 x - 5 give equal accuracy at every noise, attack and radius.

    The nets undo the change of units, and do not learn. If noise were taken in units of x, noise on
    255 x - 5 would do next to nothing: the accuracy would be 1.0 everywhere.
    """
    x = np.random.default_rng(0).uniform(size=(150, 6)).astype(np.float32)
    y = (x[:, 1] > x[:, 2]).astype(int)
    base = {"steps": 1, "seeds": 1, "points": 1, "energy": False, "alignment": False, "draws": 5}
    study = Study(name="own", base=base | {"curves": ["input_noise"], "adversarial": TINY})
    w = np.stack([np.eye(6)[2] - np.eye(6)[1], np.eye(6)[1] - np.eye(6)[2]], 1)

    def measured(scale: float, shift: float) -> dict[tuple[str, str], float]:
        synapses = bp.dense(2)

        def init(key, example):
            del key, example
            return {
                "w": jnp.asarray(w / scale, jnp.float32),
                "b": jnp.asarray(-shift * w.sum(0) / scale, jnp.float32),
            }

        still = {"optimiser": {"learning_rate": 1e-30}}
        found = run_study(
            study.model_copy(update={"base": study.base | still}),
            net=(synapses._replace(init=init),),
            data=own(scale * x + shift, y),
            show=False,
        )
        return {
            (r.measure, r.condition): r.value
            for r in found.rows
            if r.measure in ("accuracy", "robust accuracy")
        }

    unit, other = measured(1, 0), measured(255, -5)
    assert unit["accuracy", "clean"] == 1
    assert (
        other["accuracy", "pgd=0"]
        == other["accuracy", "random sign=0"]
        == other["accuracy", "clean"]
    )  # nothing is cut to [0, 1]
    assert unit["accuracy", "input noise=0.5"] < 0.85
    assert unit["accuracy", "pgd=0.1"] < unit["accuracy", "random sign=0.1"] < 1
    assert unit["robust accuracy", "epsilon=0.15 attack=worst"] < 0.7
    # an example at the boundary falls to either side, by rounding
    assert other == pytest.approx(unit, abs=1.5 / 30)
