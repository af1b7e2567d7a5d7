"""Studies of nets that hear the cue of their data."""

import numpy as np
import pytest
from studies import values, written

from bioplaus.study import Study, StudyError, run_study
from bioplaus.study.plan import plan

BASE = {
    "data": "digits-in-contexts",
    "seeds": 2,
    "steps": 120,
    "points": 1,
    "batch_size": 32,
    "net": {"hidden": [24], "cue": 3},
    "curves": ["dynamic_noise", "activation_quantisation"],
    "draws": 2,
    "adversarial": {"steps": 2},
    "optimiser": {"learning_rate": 0.02},
    "training_data": {"symmetric": 0.1},
}


def study(**changes):
    base = BASE | changes
    return Study.model_validate({"name": "cued", "base": base, "grid": {"rule": ["bp", "fa"]}})


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return written(study(), tmp_path_factory.mktemp("runs") / "cued")


def test_a_study_trains_and_disturbs_nets_that_hear(found, tmp_path):
    """Far above the third that a net without the cue can reach, at severity 0 of a curve too."""
    deaf = BASE | {"net": {"hidden": [24]}, "robustness": False, "energy": False}
    deaf = {k: v for k, v in deaf.items() if k not in ("curves", "draws", "adversarial")}
    without = Study.model_validate({"name": "deaf", "base": deaf | {"alignment": False}})
    rows = run_study(without, out=tmp_path / "deaf", show=False).rows
    assert max(values(rows, "bp", "accuracy", "clean")) < 0.36
    for rule in ("bp", "fa"):
        assert min(values(found.rows, rule, "accuracy", "clean")) > 0.6
        for curve in ("dynamic noise=0", "activation quantisation=0"):
            whole = values(found.rows, rule, "accuracy", curve)
            assert len(whole) == 2
            assert min(whole) > 0.6


def test_likeness_costs_and_wrong_labels_are_measured_in_context(found):
    layers = [r.value for r in found.rows if r.rule == "fa" and r.measure == "cka to backprop"]
    assert len(layers) == 2
    assert np.isfinite(layers).all()
    recovered = values(found.rows, "bp", "recovered", "flipped labels")
    assert min(recovered) > 0.5
    macs = values(found.rows, "bp", "macs", "inference")[0]
    assert macs == 64 * 24 + 24 * 10 + 2 * 3 * (24 + 10)


def test_data_without_a_cue_and_cues_of_another_length_are_refused():
    with pytest.raises(StudyError, match="no entries, and 'cue' is read"):
        plan(study(data="digits"))
    with pytest.raises(StudyError, match=r"float32\[32, 3\]; expected real numbers, \[B, 4\]"):
        plan(study(net={"hidden": [24], "cue": 4}))
    with pytest.raises(StudyError, match=r"softhebb.*hears a context, which this rule refuses"):
        plan(Study.model_validate({"name": "s", "base": BASE | {"rule": "softhebb"}}))
