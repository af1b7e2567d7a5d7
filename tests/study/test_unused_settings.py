"""Settings that have no effect on an arm are refused before anything starts."""

import pytest

import bioplaus as bp
from bioplaus.study import Study, StudyError, run_study
from bioplaus.study.spec import arms, resolved

IDLE = {
    "slope of tanh": {"neuron": {"slope": 2.0}},
    "threshold of softmax": {"neuron": {"kind": "softmax", "threshold": 0.5}},
    "level without noise": {"neuron": {"level": 0.3}},
    "temperature of adam": {"optimiser": {"temperature": 1e-4}},
    "evaluate without noise": {"neuron": {"evaluate": "off"}},
    "hidden of cnn": {"net": {"kind": "cnn", "hidden": [8]}},
    "positive of cnn": {"net": {"kind": "cnn", "positive": True}},
    "positive of a linear readout": {"net": {"hidden": [], "positive": True}},
    "dale of a linear readout": {"net": {"hidden": []}, "optimiser": {"dale": True}},
    "largest of a linear readout": {"net": {"hidden": []}, "optimiser": {"largest": 0.1}},
    "milestones of a cosine": {"optimiser": {"schedule": "cosine", "milestones": [0.1]}},
    "factor of constant": {"optimiser": {"factor": 0.5}},
    "epsilon without suite": {"adversarial": {"epsilon": 0.2}},
    "examples without suite": {"adversarial": {"examples": 7}},
    "restarts without suite": {"adversarial": {"restarts": 7}},
    "queries without suite": {"adversarial": {"queries": 7}},
    "samples without suite": {"adversarial": {"samples": 7}},
    "draws of an attack without suite": {
        "neuron": {"noise": "gaussian", "level": 0.1},
        "adversarial": {"draws": 7},
    },
    "draws of an attack without noise": {"adversarial": {"suite": True, "draws": 7}},
    "steps of an attack without robustness": {"robustness": False, "adversarial": {"steps": 7}},
    "suite without robustness": {"robustness": False, "adversarial": {"suite": True}},
    "curves without robustness": {"robustness": False, "curves": ["lesion"]},
    "draws without robustness": {"robustness": False, "draws": 7},
    "draws of curves that are not random": {"curves": ["pruning"], "draws": 7},
    "a curve twice": {"curves": ["lesion", "lesion"]},
    "milestones that do not rise": {"optimiser": {"schedule": "step", "milestones": [0.5, 0.5]}},
}


ACTING = (
    {
        "neuron": {
            "kind": "sigmoid",
            "slope": 2.0,
            "threshold": 0.5,
            "noise": "gaussian",
            "level": 0.3,
            "evaluate": "off",
        }
    },
    {
        "neuron": {"kind": "softmax", "slope": 2.0},
        "net": {"hidden": [8], "positive": True},
        "optimiser": {"dale": True, "largest": 0.1},
    },
    {"optimiser": {"schedule": "step", "milestones": [0.1, 0.2], "factor": 0.5}},
    {
        "adversarial": {
            "suite": True,
            "epsilon": 0.2,
            "examples": 7,
            "restarts": 7,
            "queries": 7,
            "samples": 7,
            "steps": 7,
        },
        "draws": 7,
    },
    {
        "neuron": {"noise": "quantal", "level": 0.5, "noise_hyper": {"sites": 2}},
        "optimiser": {"kind": "sgd", "temperature": 1e-4},
    },
    {
        "adversarial": {"suite": True, "draws": 7},
        "neuron": {"noise": "gaussian", "level": 0.1},
        "curves": ["lesion", "pruning"],
    },
)


@pytest.mark.parametrize("case", IDLE)
def test_settings_that_nothing_reads_are_refused(case):
    with pytest.raises(
        StudyError,
        match=(r"has no effect in an arm of bp|is listed twice|must be larger than the one before"),
    ):
        arms(Study(name="s", base=IDLE[case]))


def test_settings_that_act_and_written_defaults_are_accepted():
    for base in ({}, *ACTING):
        study = Study(name="s", base=base)
        assert arms(Study(**resolved(study))) == arms(study)
    # it has no arm
    assert (
        len(arms(Study(name="s", base={"rule": "bp"}, rules={"fa": {"neuron": {"slope": 2.0}}})))
        == 1
    )


def test_settings_of_a_net_cannot_act_where_a_net_is_given():
    noisy = bp.mlp([64, 8, 10], neuron=bp.gaussian(bp.tanh(), 0.1))
    # its noise is its own
    assert len(arms(Study(name="s", base={"neuron": {"evaluate": "off"}}), own_net=True)) == 1
    for base in (
        {"net": {"hidden": [8]}},
        {"neuron": {"kind": "relu"}},
        {"neuron": {"noise": "gaussian"}},
    ):
        with pytest.raises(StudyError, match="this run was given a net"):
            run_study(Study(name="s", base=base), net=noisy, show=False)


def test_study_settings_that_cannot_act_are_refused():
    with pytest.raises(StudyError, match="profiles: energy is false in every arm"):
        arms(Study(name="s", base={"energy": False}, profiles=["own.toml"]))
    with pytest.raises(StudyError, match=r"tuned: has an effect only in a study file"):
        arms(Study(name="s", tuned=True))
