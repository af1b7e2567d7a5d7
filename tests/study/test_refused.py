"""What no machine can run, what nothing reads, and what is no study at all is refused in one
message, before anything starts.
"""

import time
from pathlib import Path

import jax
import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bioplaus as bp
from bioplaus.cli import main
from bioplaus.study import Study, StudyError, load, override, run_study, sizes
from bioplaus.study.plan import plan
from bioplaus.study.schedules import schedules_of
from bioplaus.study.settings import Arm
from bioplaus.study.spec import arms, resolved
from bioplaus.study.tables import MAX_COUNT

ROOT = Path(__file__).parents[2]
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
def test_what_cannot_fit_is_refused_at_once(case, sixteen_gigabytes):
    base, said = TOO_LARGE[case]
    began = time.process_time()
    with pytest.raises(StudyError, match=said):
        plan(Study(name="s", base=base), data=DIGITS)
    assert time.process_time() - began < 1


def test_the_estimate_is_the_size_of_what_is_made():
    """Weights and optimiser beside their own trees, of mlp and cnn, for every optimiser: never more
    than these, and nearly all.
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


def test_more_arms_than_ten_thousand_have_to_be_asked_for(tmp_path, capsys, monkeypatch):
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


GOOD = 'name = "s"\n[base]\nsteps = 2\n'
NO_STUDY = {
    "a list of rules": (
        GOOD + 'rule = ["bp"]\n',
        "base.rule: input should be a valid string, got ['bp']",
    ),
    "a list of rules beside the grid": (
        GOOD + '[[extra]]\nrule = ["bp"]\n',
        "extra[0].rule: input should be a valid string",
    ),
    "a list of rules in the grid": (
        GOOD + '[grid]\nrule = [["bp"]]\n',
        "rule: input should be a valid string",
    ),
    "a table for a rule": (
        GOOD + "[base.rule]\nfa = 1\n",
        "base.rule: input should be a valid string",
    ),
    "an integer of 5,000 digits": (GOOD + "seeds = " + "9" * 5000 + "\n", "too long or too deep"),
    "an integer of 4,000 digits": (GOOD + "seeds = " + "9" * 4000 + "\n", "base.seeds: "),
    "a float of 4,000 digits": (GOOD + "jitter = " + "9" * 4000 + ".0\n", "base.jitter: "),
    "a deep list": (GOOD + "seeds = " + "[" * 400 + "]" * 400 + "\n", ""),
    "a deeper list": (GOOD + "seeds = " + "[" * 20000 + "]" * 20000 + "\n", "too long or too deep"),
    "a deep table": (GOOD + ".".join(["a"] * 400) + " = 1\n", "base.a: unknown key"),
    "a deep key in the grid": (GOOD + '[grid]\n"' + ".".join(["a"] * 3000) + '" = [1]\n', "grid."),
    "a stray key of a contrast": (
        GOOD + '[[contrast]]\na = "bp"\nb = "fa"\nmetrik = "ece"\n',
        "did you mean 'metric'",
    ),
    "a stray key of a schedule": (
        GOOD + '[base.schedules."hyper.beta"]\nto = 1.0\nkin = "linear"\n',
        "did you mean 'kind'",
    ),
    "a contrast that is no table": (GOOD + "contrast = 3\n", "contrast"),
    "a path with a zero byte": ('profiles = ["\\u0000"]\n' + GOOD, "profiles"),
    "corruptions with a zero byte": (GOOD + 'corruptions = "\\u0000"\n', "corruptions"),
}


@pytest.mark.parametrize("case", NO_STUDY)
def test_what_is_no_study_gets_one_message(case, tmp_path, capsys):
    text, expected = NO_STUDY[case]
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    assert main(["run", str(tmp_path / "study.toml"), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert expected in said
    assert said.count("bioplaus:") == 1
    assert len(said) < 2000
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 20000 + "]" * 20000, "1\nsteps = 2", "3"])
def test_values_on_the_command_line_are_read_alike(text):
    for key in ("--seeds", "--rules.fa", "--grid"):
        if (key, text) != ("--seeds", "3"):
            with pytest.raises(StudyError):
                arms(override(Study(name="s"), [key, text]))


IDLE = {
    "slope of tanh": {"neuron": {"slope": 2.0}},
    "threshold of softmax": {"neuron": {"kind": "softmax", "threshold": 0.5}},
    "level without noise": {"neuron": {"level": 0.3}},
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


def test_settings_that_act_and_defaults_that_are_written_out_are_not():
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
        with pytest.raises(StudyError, match="this run was given one"):
            run_study(Study(name="s", base=base), net=noisy, show=False)


def test_what_stands_beside_the_arms_is_refused_where_it_cannot_act():
    with pytest.raises(StudyError, match="profiles: energy is false in every arm"):
        arms(Study(name="s", base={"energy": False}, profiles=["own.toml"]))
    with pytest.raises(StudyError, match=r"tuned: has an effect only in a study file"):
        arms(Study(name="s", tuned=True))


@pytest.mark.parametrize("again", [("fa", "bp"), ("bp", "fa")])
def test_a_contrast_is_counted_once(again):
    first = {"a": "fa", "b": "bp"}
    grid, (a, b) = {"rule": ["bp", "fa", "dfa"]}, again

    def planned(*contrasts):
        return plan(
            Study(name="s", base={"steps": 2}, grid=grid, contrast=list(contrasts)), check=False
        )

    with pytest.raises(StudyError, match=r"contrast\[1\]: repeats contrast\[0\]"):
        planned(first, {"a": a, "b": b})
    assert len(planned(first, {"a": a, "b": b, "metric": "lesion"}, {"a": "dfa", "b": "bp"})) == 3


@pytest.mark.parametrize(
    "words",
    [
        ["--arms", "1/2", "--mesh", "data=1"],
        ["--arms", "1/2", "--jobs", "2"],
        ["--mesh", "data=1", "--jobs", "2"],
    ],
)
def test_words_of_the_command_line_that_cannot_act_together(words, tmp_path, capsys):
    (tmp_path / "s.toml").write_text(GOOD, encoding="utf-8")
    assert main(["run", str(tmp_path / "s.toml"), "--out", str(tmp_path / "out"), *words]) == 2
    assert f"{words[0]} and {words[2]}: give one of them" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_study_here_loads():
    files = [*ROOT.glob("experiments/*.toml"), *ROOT.glob("papers/*/*.toml")]
    files = [file for file in files if not file.name.endswith("results.toml")]
    assert len(files) > 15
    for file in files:
        assert arms(load(file))


KEYS = [
    *Arm.model_fields,
    "stray",
    "",
    "a.b",
    "neuron.level",
    "optimiser.milestones",
    "hyper.scale",
]
ODD = st.sampled_from(
    [0, -1, 1, 2**31, 10**400, 1e300, -0.0, 1e-300, True, "", "bp", "\0", "none", "a.b"]
)
VALUES = st.recursive(
    ODD | st.floats(),
    lambda v: st.lists(v, max_size=3) | st.dictionaries(st.sampled_from(KEYS), v, max_size=3),
)
TABLES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4)
STUDIES = st.fixed_dictionaries(
    {"name": st.just("s")},
    optional={
        "base": TABLES,
        "rules": st.dictionaries(st.sampled_from(["fa", "zz", ""]), TABLES, max_size=2),
        "grid": st.dictionaries(st.sampled_from(KEYS), st.lists(VALUES, max_size=2), max_size=2),
        "extra": st.lists(TABLES, max_size=2) | VALUES,
        "contrast": st.lists(TABLES, max_size=2),
        "profiles": st.lists(VALUES, max_size=1),
        "tuned": VALUES,
    },
)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(study=STUDIES)
def test_a_wrong_study_is_a_study_error_and_nothing_else(study, tmp_path_factory):
    """Read, and turned to arms: either they are found, or one message says why not."""
    file = tmp_path_factory.getbasetemp() / "odd.toml"
    file.write_text(tomli_w.dumps(study), encoding="utf-8")
    said = ""
    try:
        arms(load(file))
    except StudyError as error:
        said = str(error)
    assert len(said) < 2000
