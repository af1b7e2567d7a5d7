"""One run at a time in a folder; a dead run holds no lock, and shares lock only their arms."""

import subprocess
import sys

import pytest

from bioplaus.study import Study, StudyError, run, run_study
from bioplaus.study.lock import LOCK, held
from bioplaus.study.share import run_share

pytestmark = pytest.mark.slow

QUICK = {
    "steps": 2,
    "seeds": 1,
    "points": 1,
    "net": {"hidden": [4]},
    "robustness": False,
    "energy": False,
    "alignment": False,
}
STUDY = Study(name="s", base=QUICK, grid={"rule": ["bp", "fa"]})
HOLDER = """
import os, sys, time
from filelock import FileLock
said = b"process %d on another, since then," % os.getpid()
lock = FileLock(sys.argv[1], on_acquired=lambda file: os.write(file, said))
lock.acquire()
print(flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the folder run, and nothing else."""
    (tmp_path / "run").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run" / LOCK)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def test_a_folder_is_refused_while_another_process_works_there_and_no_longer(holder, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    for resume in (False, True):
        with pytest.raises(
            StudyError, match=f"process {holder.pid} on another, since then, is at work there"
        ):
            run_study(STUDY, out=tmp_path / "run", resume=resume, show=False)
    assert sorted(tmp_path.rglob("*")) == before
    holder.kill()
    holder.wait()
    # what a dead process has left is no folder in use
    assert run_study(STUDY, out=tmp_path / "run", show=False).rows


def test_shares_hold_the_folders_of_their_arms_alone(holder, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "RELEASE_SECONDS", 0.0)
    assert run_share(STUDY, "2/2", tmp_path / "run", show=False) == ["bp"]
    assert holder.poll() is None
    (folder,) = (tmp_path / "run" / "arms").iterdir()
    with held(folder):
        assert run_share(STUDY, "1/2", tmp_path / "run", show=False) == []  # another arm
        (folder / "final.sums.json").unlink()
        with pytest.raises(
            StudyError, match=rf"arms/{folder.name}: process \d+ on .*, since .*, is at work there"
        ):
            run_share(STUDY, "2/2", tmp_path / "run", show=False)
    assert run_share(STUDY, "2/2", tmp_path / "run", show=False) == []


def test_shares_of_another_study_are_refused(tmp_path):
    other = STUDY.model_copy(update={"name": "other", "base": {**QUICK, "steps": 3}})
    grown = STUDY.model_copy(update={"grid": {"rule": ["bp", "fa", "dfa"]}})
    run_share(STUDY, "1/2", tmp_path, show=False)
    written = (tmp_path / "study.toml").read_bytes()
    with pytest.raises(StudyError, match="another study, 's', and this one lacks 2"):
        run_share(other, "1/2", tmp_path, show=False)
    assert (tmp_path / "study.toml").read_bytes() == written
    assert run_share(grown, "2/3", tmp_path, show=False) == ["dfa"]
    with pytest.raises(StudyError, match="lacks 1"):
        run_share(STUDY, "1/2", tmp_path, show=False)
