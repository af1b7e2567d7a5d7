"""Runs that were stopped, extended, shared or damaged give the results of one uninterrupted run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_run import SMALL
from studies import LIGHT, written

import bioplaus as bp
from bioplaus.cli import main
from bioplaus.files import sums
from bioplaus.record import Row, read_rows
from bioplaus.study import Study, StudyError, arm, run, run_study
from bioplaus.study.results import Final, finished, read_final, write_final
from bioplaus.study.share import run_share

pytestmark = pytest.mark.slow

SHORT = {
    "steps": 2,
    "seeds": 1,
    "points": 1,
    "robustness": False,
    "energy": False,
    "alignment": False,
}


@pytest.mark.usefixtures("unreported")
def test_a_stopped_run_resumes_bit_for_bit(light, tmp_path, monkeypatch):
    monkeypatch.setattr(arm, "SAVE_EVERY", 0.0)

    class Stopped(Exception):
        pass

    measure, calls = arm.measures_during_training, []

    def fails_late(*args):
        rows = measure(*args)

        def stopping(state, step, label):
            calls.append(step)
            if len(calls) == 6:  # the second arm, after its first saved chunk and before the second
                raise Stopped
            return rows(state, step, label)

        return stopping

    monkeypatch.setattr(arm, "measures_during_training", fails_late)
    with pytest.raises(Stopped):
        run_study(LIGHT, out=tmp_path / "run", show=False)
    assert not (tmp_path / "run" / "results.csv").exists()
    monkeypatch.setattr(arm, "measures_during_training", measure)
    with pytest.raises(StudyError, match="--resume"):
        run_study(LIGHT, out=tmp_path / "run", show=False)
    resumed = written(LIGHT, tmp_path / "run", resume=True)
    assert (resumed.folder / "results.csv").read_bytes() == (
        light.folder / "results.csv"
    ).read_bytes()


@pytest.mark.usefixtures("unreported")
def test_a_study_that_has_grown_trains_the_new_arms_alone(tmp_path, monkeypatch):
    quick = {**SHORT, "steps": 4}
    small = Study(name="s", base=quick, grid={"rule": ["bp", "fa"]})
    first, final, measured = written(small, tmp_path / "run"), run.final_rows, []

    def counted(arm, *args):
        measured.append(arm.rule)
        return final(arm, *args)

    monkeypatch.setattr(run, "final_rows", counted)
    grown = written(
        small.model_copy(update={"grid": {"rule": ["bp", "fa", "dfa"]}}),
        tmp_path / "run",
        resume=True,
    )
    assert measured == ["dfa"]
    assert [r for r in grown.rows if r.rule != "dfa"] == first.rows
    another = small.model_copy(
        update={"extra": [{"rule": "fa", "optimiser": {"learning_rate": 0.1}}]}
    )
    rules = {r.rule for r in written(another, tmp_path / "run", resume=True).rows}
    assert rules == {"bp", "fa optimiser.learning_rate=0.002", "fa optimiser.learning_rate=0.1"}
    assert measured == ["dfa", "fa"]
    changed = small.model_copy(update={"base": {**quick, "steps": 5}})
    assert written(changed, tmp_path / "run", resume=True).rows != first.rows
    assert measured == ["dfa", "fa", "bp", "fa"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(StudyError, match="holds no study"):
        run_study(small, out=tmp_path / "other", resume=True, show=False)


@pytest.mark.usefixtures("unreported")
def test_shares_of_the_arms_make_the_same_run(light, tmp_path):
    assert run_share(LIGHT, "2/2", tmp_path / "run", show=False) == ["bp", "frozen"]
    assert run_share(LIGHT, "1/2", tmp_path / "run", show=False) == []
    collected = written(LIGHT, tmp_path / "run", resume=True)
    assert (collected.folder / "results.csv").read_bytes() == (
        light.folder / "results.csv"
    ).read_bytes()
    for share in ("0/2", "3/2", "2", "a/b", "-1/2"):
        with pytest.raises(StudyError, match="give k/n"):
            run_share(SMALL, share, tmp_path / "run")


def test_a_share_trains_the_twin_that_it_is_attacked_from(tmp_path):
    """The share with fa alone: bp is another share's, and not there yet."""
    base = {
        "steps": 4,
        "seeds": 1,
        "points": 1,
        "net": {"hidden": [4]},
        "energy": False,
        "alignment": False,
        "curves": [],
    }
    study = Study(name="s", base={**base, "adversarial": {"steps": 2}}, grid={"rule": ["bp", "fa"]})
    assert run_share(study, "2/2", tmp_path / "run", show=False) == ["bp"]
    (folder,) = (tmp_path / "run" / "arms").iterdir()
    first = [r for r in read_rows(folder / "final.csv") if r.condition.startswith("transfer")]
    assert run_share(study, "1/2", tmp_path / "run", show=False) == []
    assert len(first) > 3
    whole = run_study(study, show=False).rows
    assert first == [r for r in whole if r.rule == "fa" and r.condition.startswith("transfer")]


@pytest.mark.usefixtures("unreported")
def test_a_damaged_checkpoint_is_skipped_with_a_warning(tmp_path, monkeypatch):
    """A run resumes from the last intact checkpoint with a warning; without one it is refused."""
    monkeypatch.setattr(arm, "SAVE_EVERY", 0.0)
    study = Study(name="s", base={**SHORT, "steps": 4, "points": 2})
    done = written(study, tmp_path / "run")
    (saved,) = (done.folder / "arms").iterdir()
    (saved / "checkpoint-4" / "note.json").write_text("{", encoding="utf-8")
    (saved / "final.sums.json").unlink()
    assert loaded_with_a_warning(done.folder).step == 2
    again = written(study, done.folder, resume=True)
    assert again.rows == done.rows
    assert [
        w
        for w in again.summary["warnings"]
        if "checkpoint-4 is damaged" in w and "continued from step 2" in w
    ]
    assert written(study, done.folder, resume=True).summary["warnings"] == again.summary["warnings"]
    for place in saved.glob("checkpoint-*"):
        (place / "note.json").write_text("{", encoding="utf-8")
    with pytest.raises(StudyError, match="delete that folder"):
        written(study, done.folder, resume=True)
    with pytest.raises(StudyError, match="delete that folder"):
        bp.load(done.folder)
    shutil.rmtree(saved)
    with pytest.raises(StudyError, match="no checkpoint yet"):
        bp.load(done.folder)
    assert written(study, done.folder, resume=True).rows == done.rows


def test_results_of_an_arm_are_checked(tmp_path):
    """A changed digit, a cut, a file of another form or none."""
    rows = [
        Row("digits", "mlp", "fa", "tanh", "", str(i), "clean", "accuracy", 0.125 * i, "")
        for i in range(4)
    ]
    write_final(tmp_path, Final(rows, ["said"]))
    assert read_final(tmp_path) == (Final(rows, ["said"]), "")
    table = (tmp_path / "final.csv").read_text(encoding="utf-8")
    for name, text, match in (
        (
            "final.csv",
            table.replace("0.125", "0.126"),
            "final.csv has changed since it was written",
        ),
        (
            "final.csv",
            "".join(table.splitlines(keepends=True)[:-1]),
            "final.csv has changed since it was written: it has 4 lines, and had 5",
        ),
        ("final.csv", table[:-9], "final.csv has changed"),
        ("final.csv", None, "final.csv cannot be read"),
        ("final.json", "5", "final.json has changed"),
        (
            "final.sums.json",
            '{"final.csv": 3}',
            "there are checksums of final.csv, expected those of final.csv, final.json",
        ),
        ("final.sums.json", "{", "final.sums.json is damaged"),
        ("final.sums.json", None, ""),  # it was stopped before it was done
    ):
        write_final(tmp_path, Final(rows, ["said"]))
        assert finished(tmp_path)
        (tmp_path / name).unlink() if text is None else (tmp_path / name).write_text(
            text, encoding="utf-8"
        )
        final, why = read_final(tmp_path)
        assert final is None
        assert why.startswith(match)
        assert bool(why) == bool(match)
        assert not finished(tmp_path)


@pytest.mark.usefixtures("unreported")
def test_an_arm_whose_results_were_damaged_is_measured_again(tmp_path):
    study = Study(name="s", base=SHORT)
    done = written(study, tmp_path / "run")
    (saved,) = (done.folder / "arms").iterdir()
    table = (saved / "final.csv").read_text(encoding="utf-8")
    (saved / "final.csv").write_text(
        table.replace(table.splitlines()[1].split(",")[8], "0.999"), encoding="utf-8"
    )
    again = written(study, done.folder, resume=True)
    assert again.rows == done.rows
    assert (saved / "final.csv").read_text(encoding="utf-8") == table
    assert [
        w
        for w in again.summary["warnings"]
        if "final.csv has changed" in w and "measured again" in w
    ]
    assert written(study, done.folder, resume=True).summary["warnings"] == again.summary["warnings"]


@pytest.mark.usefixtures("unreported")
def test_an_invalid_note_is_refused(tmp_path):
    study = Study(name="s", base=SHORT)
    run_study(study, out=tmp_path / "run", show=False)
    (saved,) = (tmp_path / "run" / "arms").iterdir()
    place = saved / "checkpoint-2"
    known = json.loads((place / "contents.json").read_text(encoding="utf-8"))
    for note in (
        [],
        {"rows": 3, "said": [], "seconds": 1.0},
        {"rows": [[1]], "said": [], "seconds": 1.0},
        {"rows": []},
    ):
        (place / "note.json").write_text(json.dumps(note), encoding="utf-8")
        known["files"] |= sums(place, ["note.json"])  # as if a program had written it so
        (place / "contents.json").write_text(json.dumps(known), encoding="utf-8")
        with pytest.raises(
            StudyError,
            match=r"checkpoint-2/note.json is not in the form that a run .*delete",
        ):
            run_study(study, out=tmp_path / "run", resume=True, show=False)


def loaded_with_a_warning(folder: Path):
    with pytest.warns(UserWarning, match="checkpoint-4 is damaged"):
        return bp.load(folder)


@pytest.mark.usefixtures("unreported")
def test_resume_with_nothing_there_starts(tmp_path):
    study = Study(
        name="s",
        base={"steps": 2, "seeds": 1, "robustness": False, "energy": False, "alignment": False},
    )
    assert run_study(study, out=tmp_path / "new", resume=True, show=False).rows


def test_jobs_make_the_same_run(light, tmp_path, capsys, monkeypatch):
    """Two processes compute the same rows as one, up to rounding.

    The processes divide the cores, and a product on fewer cores is rounded in another order.
    """
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # as here
    study = tmp_path / "light.toml"
    study.write_bytes((light.folder / "study.toml").read_bytes())
    assert main(["run", str(study), "--out", str(tmp_path / "run"), "--jobs", "2"]) == 0
    assert "report.html" in capsys.readouterr().out
    rows = read_rows(tmp_path / "run" / "results.csv")
    assert [r._replace(value=0) for r in rows] == [r._replace(value=0) for r in light.rows]
    np.testing.assert_allclose(
        [r.value for r in rows], [r.value for r in light.rows], rtol=1e-4, atol=1e-6
    )
    assert main(["run", str(study), "--out", str(tmp_path / "run"), "--jobs", "0", "--resume"]) == 2
    assert "expected 1 or more" in capsys.readouterr().err
