"""Energy profiles from a user's file are priced with the others; invalid ones are refused early."""

import pytest

from bioplaus.cli import main
from bioplaus.study import Study, StudyError, load, run_study
from bioplaus.study.share import run_share

pytestmark = pytest.mark.thorough

OWN = """[desk]
kind = "event"
description = "a made-up machine"
[desk.synop]
value = 1000.0
unit = "pJ"
low = 500.0
high = 2000.0
grade = "unconfirmed"
source = "made up for a test"
"""
STUDY = {
    "name": "own",
    "base": {
        "steps": 2,
        "seeds": 1,
        "points": 1,
        "net": {"hidden": [4]},
        "robustness": False,
        "alignment": False,
    },
}


@pytest.fixture
def file(tmp_path):
    (path := tmp_path / "own.toml").write_text(OWN, encoding="utf-8")
    return path


def test_an_arm_is_priced_on_an_own_profile(file, tmp_path):
    """An event of 1 nJ: the median is the effective operations of the same run times that."""
    study = Study.model_validate({**STUDY, "profiles": [str(file)]})
    found = run_study(study, out=tmp_path / "run", show=False)
    value = {(r.measure, r.condition): r.value for r in found.rows}
    events = value["effective macs", "training"]
    assert value["energy op", "desk median"] == pytest.approx(events * 1e-9, rel=0.1)
    assert value["energy total", "desk p05"] < value["energy total", "desk p95"]
    assert found.summary["energy_profiles"]["desk"] == "a made-up machine"
    assert "desk" not in found.summary["energy_clocked"]
    assert "synapse_updates" in found.summary["energy_unpriced"]["desk"]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "desk<small>in part</small>" in page
    assert "<li><code>desk</code>: a made-up machine</li>" in page
    assert load(tmp_path / "run" / "study.toml").profiles == [str(file)]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            OWN.replace("[desk", "[loihi1"),
            r"profiles: .*own.toml: profiles named \['loihi1'\] are there already",
        ),
        (
            OWN.replace("low = 500.0", "low = 5000.0"),
            r"profiles: .*own.toml: profile desk.synop: expected numbers",
        ),
        (
            OWN.replace("kind", "inference_only = 'fixed'\nkind"),
            r"profiles: \['desk'\] cannot train",
        ),
        ("[desk", "profiles: .*own.toml: "),
    ],
)
def test_unusable_profiles_are_refused_before_any_work(text, match, file, tmp_path, capsys):
    file.write_text(text, encoding="utf-8")
    study = Study.model_validate({**STUDY, "profiles": [str(file)]})
    for refused in (
        lambda: run_study(study, out=tmp_path / "run", show=False),
        lambda: run_share(study, "1/1", tmp_path / "run"),
    ):
        with pytest.raises(StudyError, match=match):
            refused()
    (toml := tmp_path / "study.toml").write_text(
        f'name = "s"\nprofiles = ["{file}", "nowhere.toml"]\n', encoding="utf-8"
    )
    assert main(["run", str(toml), "--out", str(tmp_path / "run")]) == 2
    assert "profiles: " in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
