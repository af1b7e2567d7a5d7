"""A study that is too large for the machine is refused before anything starts."""

import time

import jax
import numpy as np
import pytest
import tomli_w

import bioplaus as bp
from bioplaus.cli import main
from bioplaus.study import Study, StudyError, run_study, sizes
from bioplaus.study.forms import MAX_COUNT
from bioplaus.study.plan import plan
from bioplaus.study.schedules import schedules_of
from bioplaus.study.spec import arms

DIGITS = bp.data.load("digits")

TOO_LARGE = {
    "units": ({"net": {"hidden": [10**9]}}, r"memory: bp needs at least .* (TB|GB).*net\.hidden"),
    "more units than int32": ({"net": {"hidden": [10**12]}}, r"net\.hidden"),
    "layers": ({"net": {"hidden": [1] * 10**5}}, r"100,000 hidden layers, expected 1,000 or fewer"),
    "seeds": ({"seeds": 10**7}, r"memory: bp needs at least .*seeds"),
    "seeds of a cnn": (
        {"seeds": 10**7, "net": {"kind": "cnn"}},
        r"memory: bp needs at least .*seeds",
    ),
    "steps": ({"steps": 10**12}, r"base\.steps: input should be less than or equal to 2147483647"),
    "steps between measures": ({"steps": MAX_COUNT, "points": 1}, r"memory: .*steps / points"),
    "points": ({"steps": MAX_COUNT, "points": MAX_COUNT}, r"memory: .*points"),
    "epochs": (
        {"epochs": 1e9},
        r"epochs: bp trains for 1\.9e\+10 steps, expected 2,147,483,647 or fewer",
    ),
    "epochs beyond every float": ({"epochs": 1e300}, r"base\.epochs"),
    "batch": ({"batch_size": 10**9}, r"memory: .*batch_size"),
    "streamed batches": ({"stream": 10**6, "steps": 10**7, "points": 1}, r"memory: .*stream"),
    "jitter": ({"jitter": 10**6}, r"memory: .*jitter"),
    "draws": ({"draws": 10**8}, r"memory: .*draws"),
    "samples of an attack": (
        {"adversarial": {"suite": True, "samples": 10**9}},
        r"memory: .*samples",
    ),
    "restarts of an attack": (
        {"adversarial": {"suite": True, "restarts": 10**9}},
        r"memory: .*restarts",
    ),
    "queries": ({"adversarial": {"suite": True, "queries": 10**12}}, r"adversarial\.queries"),
    "examples": ({"adversarial": {"suite": True, "examples": 10**12}}, r"adversarial\.examples"),
    "a count of a rule": (
        {"rule": "pc", "hyper": {"steps": 10**12}},
        r"base\.hyper: .*whole numbers should be 2,147,483,647 at most",
    ),
    "a number beyond every float": ({"rule": "fa", "hyper": {"scale": 10**400}}, r"base\.hyper"),
    "a number beyond float32": (
        {"rule": "fa", "hyper": {"scale": 1e300}},
        r"base\.hyper: .*3\.4e\+38 at most",
    ),
    "a level beyond float32": (
        {"neuron": {"noise": "gaussian", "level": 1e300}},
        r"base\.neuron\.level: .*3\.4e\+38 at most",
    ),
    "a schedule beyond float32": (
        {"schedules": {"hyper.x": {"to": -1e300}}},
        r"base\.schedules\.hyper\.x\.to: .*3\.4e\+38",
    ),
    "milestones": (
        {"optimiser": {"schedule": "step", "milestones": [1e300]}},
        r"milestones\.0: input should be less than 1",
    ),
}


@pytest.fixture
def sixteen_gigabytes(monkeypatch):
    monkeypatch.setattr(sizes, "memory", lambda: 16 * 10**9)


@pytest.mark.parametrize("case", TOO_LARGE)
def test_a_study_too_large_for_memory_is_refused_at_once(case, sixteen_gigabytes):
    base, said = TOO_LARGE[case]
    began = time.process_time()
    with pytest.raises(StudyError, match=said):
        plan(Study(name="s", base=base), data=DIGITS)
    assert time.process_time() - began < 1


def test_the_estimate_is_near_the_size_of_the_arrays():
    """The estimate is never above the size of weights and optimiser state, and 80 % of it at least.

    For mlp and cnn, and every optimiser.
    """
    images = bp.data.own(np.random.default_rng(0).random((20, 28, 28, 1)), np.arange(20) % 10)
    for kind, net, data in (
        ("sgd", {"hidden": [7, 5]}, DIGITS),
        ("momentum", {"hidden": []}, DIGITS),
        ("adam", {"kind": "cnn"}, images),
        ("adam", {"hidden": [30]}, DIGITS),
    ):
        (p,) = plan(
            Study(name="s", base={"net": net, "batch_size": 4, "optimiser": {"kind": kind}}),
            data=data,
            check=False,
        )
        states = jax.eval_shape(
            lambda key, p=p: p.compiled.program.init(key, p.data.train, schedules_of(p.arm)),
            jax.random.key(0),
        )
        made = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves((states.params, states.opt)))
        told = (
            dict(sizes.needed(p.arm, p.data))["weights and their optimiser (net.hidden, seeds)"]
            / p.arm.seeds
        )
        assert 0.8 * made < told <= made


def test_memory_is_that_of_this_machine_or_of_its_device(monkeypatch):
    assert 10**8 < sizes.memory() < 10**15
    monkeypatch.setattr(
        sizes.os, "sysconf", lambda name: {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}[name]
    )
    assert sizes.memory() == 4_096_000

    class Device:
        def memory_stats(self):
            return {"bytes_limit": 123}

    monkeypatch.setattr(sizes.jax, "local_devices", lambda: [Device()])
    assert sizes.memory() == 123


def test_more_than_ten_thousand_arms_need_many(tmp_path, capsys, monkeypatch):
    million = Study(name="s", grid={"seeds": list(range(1, 1001)), "steps": list(range(1, 1001))})
    began = time.process_time()
    with pytest.raises(
        StudyError, match=r"grid: makes 1,000,000 arms .* 10,000 is the most without --many"
    ):
        run_study(million, show=False)
    assert time.process_time() - began < 1
    with pytest.raises(StudyError, match="makes 10,001 arms"):
        arms(Study(name="s", grid={"seeds": [1]}, extra=[{}] * 10_000))
    monkeypatch.setattr(sizes, "MAX_ARMS", 2)
    three = Study(name="s", grid={"seeds": [1, 2, 3]})
    assert len(arms(three, many=True)) == 3
    with pytest.raises(StudyError, match="makes 3 arms"):
        arms(three)
    (tmp_path / "s.toml").write_text(tomli_w.dumps(million.model_dump()), encoding="utf-8")
    assert main(["run", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out")]) == 2
    assert "--many" in capsys.readouterr().err
    assert (
        main(
            [
                "run",
                str(tmp_path / "s.toml"),
                "--many",
                "--rule",
                "fq",
                "--out",
                str(tmp_path / "out"),
            ]
        )
        == 2
    )
    assert "there is no 'fq'" in capsys.readouterr().err  # and not their number
