"""Runs on many machines: local processes with a device each, as Slurm would start them."""

import os
import re
import socket
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
from processes import start

import bioplaus as bp
from bioplaus.cli import main
from bioplaus.record import read_rows
from bioplaus.study import arm, load, run_study
from bioplaus.training.devices import mesh_of, of_examples
from bioplaus.training.machines import STOPPED, here

pytestmark = pytest.mark.slow

STUDY = """
name = "machines"
[base]
steps = 8
points = 4
batch_size = 16
seeds = 2
robustness = false
alignment = false
energy = false
net = {{hidden = [8]}}
neuron = {{noise = "gaussian", level = 0.1}}
[grid]
rule = {rules}
"""
BOTH, ONE = '["bp", "fa"]', '["fa"]'


def noise(mesh) -> np.ndarray:
    """What a noisy neuron adds to a batch of examples that lies on a mesh."""
    neuron, x = bp.gaussian(bp.neurons.identity(), 1.0), np.zeros((16, 10), np.float32)
    return np.asarray(
        here(
            jax.jit(
                lambda x: neuron.step((), of_examples(bp.Batch(x, x), mesh).x, jax.random.key(1))[1]
            )(x)
        )
    )


def machine(rank: int, count: int, port: int, words: list[str], often: bool, folder: Path) -> int:
    """One process of a run under Slurm. often: a checkpoint after every chunk."""
    if count:
        names = {
            "JOB_ID": 1,
            "STEP_NODELIST": "localhost",
            "NTASKS": count,
            "PROCID": rank,
            "LOCALID": rank,
        }
        os.environ.update(
            {f"SLURM_{name}": str(value) for name, value in names.items()},
            JAX_COORDINATOR_PORT=str(port),
        )
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 1)
    written = folder / f"written-{rank}"

    def watch(event: str, args) -> None:
        changes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir") or (
            event == "open" and args[2] & os.O_ACCMODE
        )
        if changes and str(folder / "run") in str(args[0]) and "/checkpoint." not in str(args[0]):
            os.write(descriptor, f"{event} {args[0]}\n".encode())

    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT)
    sys.addaudithook(watch)
    if often:
        arm.SAVE_EVERY = 0.0
    code = main(words)
    if code == 0:
        np.save(folder / f"noise-{rank}.npy", noise(mesh_of(f"data={count}")))
    return code


def machines(folder: Path, count: int, *words: str, rules: str = ONE, often: bool = False):
    """The processes of a run, started."""
    (folder / "study.toml").write_text(STUDY.format(rules=rules), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    words = (
        "run",
        str(folder / "study.toml"),
        "--out",
        str(folder / "run"),
        "--distributed",
        *words,
    )
    return [
        start(machine, folder / f"log-{rank}", rank, count, port, words, often, folder)
        for rank in range(max(count, 1))
    ]


def ended(processes) -> list[int | None]:
    for process in processes:
        process.join(300)
    return [process.exitcode for process in processes]


def log(folder: Path, rank: int) -> str:
    return (folder / f"log-{rank}").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The rows of one process, by what they say."""
    file = tmp_path_factory.mktemp("alone") / "study.toml"
    file.write_text(STUDY.format(rules=BOTH), encoding="utf-8")
    return {r[:8]: r.value for r in run_study(load(file), show=False).rows}


def close(folder: Path, alone) -> bool:
    """Whether the rows of a run are those of one process, which has trained both rules."""
    rows = {r[:8]: r.value for r in read_rows(folder / "run" / "results.csv")}
    assert len([k for k in rows if k[7] == "loss"]) == len({k[2] for k in rows}) * 2 * 4
    return np.allclose(list(rows.values()), [alone[k] for k in rows], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("count", "rules"), [(2, BOTH), (4, ONE)])
def test_many_processes_give_the_rows_of_one_and_one_of_them_writes(count, rules, alone, tmp_path):
    assert ended(machines(tmp_path, count, rules=rules)) == [0] * count, log(tmp_path, 0)[-3000:]
    assert close(tmp_path, alone)
    other = {(*k[:2], "bp" if k[2] == "fa" else "fa", *k[3:]): v for k, v in alone.items()}
    assert not close(tmp_path, other)  # the comparison can fail
    whole = noise(None)
    assert whole.std() > 0.5
    for rank in range(count):
        np.testing.assert_array_equal(np.load(tmp_path / f"noise-{rank}.npy"), whole)
        written = (tmp_path / f"written-{rank}").read_text(encoding="utf-8")
        assert ("results.csv" in written, "final.csv" in written, "report" in written) == (
            rank == 0,
        ) * 3
        assert rank == 0 or not written, written
        assert ("report:" in log(tmp_path, rank)) == (rank == 0)


def test_a_killed_process_ends_the_others_and_the_run_resumes(alone, tmp_path):
    seen = set()

    def until_a_new_checkpoint() -> None:
        while not (new := set(tmp_path.glob("run/arms/*/checkpoint-*[0-9]")) - seen):
            assert all(p.is_alive() for p in processes), log(tmp_path, 0)[-3000:]
            time.sleep(0.01)
        seen.update(new)

    for victim in (1, 0):
        processes = machines(tmp_path, 2, "--resume", often=True)
        until_a_new_checkpoint()
        processes[victim].kill()
        codes, said = ended(processes), log(tmp_path, 1 - victim)
        assert codes[victim] == -9
        # JAX ends it, or we do
        assert codes[1 - victim] == STOPPED or (victim == 0 and codes[1] == -6), said[-3000:]
        assert re.search(
            "has stopped .* with --resume" if codes[1 - victim] == STOPPED else "another task died",
            said,
        )
        assert not (tmp_path / "run" / "results.csv").exists()
    before = set(tmp_path.glob("run/arms/*/checkpoint-*[0-9]"))
    assert before
    assert ended(machines(tmp_path, 2, "--resume")) == [0, 0], log(tmp_path, 0)[-3000:]
    assert close(tmp_path, alone)


# on a loaded machine JAX ends by SIGABRT a process that leaves a moment after the first
REFUSED = ([2, 2], [2, -6])


def test_every_process_reports_errors_before_any_work(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "other").touch()
    assert ended(machines(tmp_path, 2)) in REFUSED
    for rank in range(2):
        assert "exists already" in log(tmp_path, rank)


def test_a_mesh_that_leaves_a_process_out_is_refused(tmp_path):
    assert ended(machines(tmp_path, 2, "--mesh", "data=1")) in REFUSED
    assert "leaves 1 of 2 devices out" in log(tmp_path, 0)


def test_a_missing_cluster_is_reported(tmp_path):
    assert ended(machines(tmp_path, 0)) == [2]
    assert "no cluster was found" in log(tmp_path, 0)
