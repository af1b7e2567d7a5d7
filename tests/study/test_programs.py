"""Arms that differ in numbers share their compiled programs, and numbers may change in training."""

import jax
import numpy as np
import pytest

from bioplaus.study import Study, StudyError, run_study
from bioplaus.study.arm import train_arm
from bioplaus.study.build import arrays_of, shape_of
from bioplaus.study.plan import plan
from bioplaus.study.schedules import evaluate, schedules_of
from bioplaus.study.settings import Arm

pytestmark = pytest.mark.slow

BASE = {
    "rule": "fa",
    "steps": 6,
    "seeds": 2,
    "points": 2,
    "net": {"hidden": [8]},
    "neuron": {"noise": "gaussian", "level": 0.2},
    "modulator": {"kind": "dopamine"},
    "robustness": False,
    "energy": False,
    "alignment": False,
}
GRID = {
    "optimiser.learning_rate": [0.002, 0.05],
    "neuron.level": [0.1, 0.3],
    "hyper.scale": [0.5, 2.0],
}


@pytest.fixture
def compilations():
    """A list that grows by one with every program that is compiled or loaded."""
    seen = []

    def note(event: str, duration_secs: float, **kwargs: str | int):
        del duration_secs, kwargs
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    yield seen
    jax.monitoring.unregister_event_duration_listener(note)


def test_arms_that_differ_in_numbers_compile_once(compilations):
    plans = plan(Study(name="s", base=BASE, grid=GRID, extra=[{"batch_size": 32}]))
    assert len({id(p.compiled) for p in plans}) == 2
    counts, rows = [], []
    for p in plans:
        before = len(compilations)
        rows.append(train_arm(p.arm, p.compiled, p.data, p.label, None, lambda n: None).rows)
        counts.append(len(compilations) - before)
    assert counts[0] > 0
    assert counts[1:8] == [0] * 7
    assert counts[8] > 0  # another batch size is another program
    assert len({tuple(r.value for r in found) for found in rows}) == 9


def test_a_shared_program_gives_each_arm_its_own_result():
    few = {"hyper.scale": [0.5, 2.0], "optimiser.learning_rate": [0.002, 0.05]}
    together = run_study(Study(name="s", base=BASE, grid=few), show=False).rows
    alone = run_study(
        Study(
            name="s", base={**BASE, "hyper": {"scale": 2.0}, "optimiser": {"learning_rate": 0.05}}
        ),
        show=False,
    ).rows
    last = [r.value for r in together if "scale=2.0" in r.rule and "learning_rate=0.05" in r.rule]
    assert last == [r.value for r in alone]


def test_which_settings_are_arguments_of_a_program():
    arm = Arm.model_validate(BASE)
    assert set(arrays_of(arm)) == {
        "optimiser.learning_rate",
        "neuron.level",
        "hyper.scale",
        "modulator.hyper.kappa",
    }
    other = Arm.model_validate(
        {**BASE, "hyper": {"scale": 3.0}, "neuron": {"noise": "gaussian", "level": 0.7}}
    )
    assert shape_of(arm) == shape_of(other)
    for change in (
        {"neuron": {"noise": "gaussian", "level": 0.0}},
        {"rule": "kp"},
        {"steps": 7},
        {"hyper": {"scale": 0.0}},
    ):
        assert shape_of(Arm.model_validate({**BASE, **change})) != shape_of(arm)


@pytest.mark.parametrize(
    ("kind", "half"), [("linear", 0.25), ("cosine", 0.25), ("exponential", 0.2)]
)
def test_a_schedule_goes_from_the_value_to_its_end(kind, half):
    arm = Arm.model_validate(
        {**BASE, "hyper": {"scale": 0.4}, "schedules": {"hyper.scale": {"to": 0.1, "kind": kind}}}
    )
    found = [float(evaluate(schedules_of(arm), arm, t)["hyper.scale"]) for t in (0.0, 0.5, 1.0)]
    np.testing.assert_allclose(found, [0.4, half, 0.1], rtol=1e-6)


def test_scheduled_training():
    """A schedule that ends at its start value changes nothing; one that ends elsewhere does.

    The trained net is measured at the last value of the schedule.
    """

    def last(to):
        study = Study(
            name="s",
            base={
                **BASE,
                "seeds": 1,
                "schedules": {"neuron.level": {"to": to}, "hyper.scale": {"to": 1.0}},
            },
        )
        return [(r.measure, r.value) for r in run_study(study, show=False).rows]

    plain = run_study(Study(name="s", base={**BASE, "seeds": 1}), show=False).rows
    assert last(0.2) == [(r.measure, r.value) for r in plain]
    assert last(0.0) != last(0.2)
    for bad, match in (
        ({"hyper.no": {"to": 1}}, "that can are optimiser"),
        ({"hyper.scale": {"to": -1, "kind": "exponential"}}, "above 0"),
    ):
        with pytest.raises(StudyError, match=match):
            plan(Study(name="s", base={**BASE, "schedules": bad}))
