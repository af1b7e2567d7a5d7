"""Study files: what is wrong is said in one message, before any work starts, with exit code 2."""

import subprocess
import sys

import pytest

from bioplaus.cli import main
from bioplaus.study import Study, StudyError, load, override
from bioplaus.study.settings import Arm
from bioplaus.study.spec import arms, resolved

GOOD = 'name = "s"\n[base]\nsteps = 2\nseeds = 1\n'

BAD = {
    "unknown key": (GOOD + "step = 3\n", "unknown key; did you mean 'steps'"),
    "unknown nested key": (
        GOOD + "[base.optimiser]\nlerning_rate = 0.1\n",
        "did you mean 'learning_rate'",
    ),
    "unknown section": (GOOD + "[grids]\nrule = ['bp']\n", "did you mean 'grid'"),
    "wrong type": ('name = "s"\n[base]\nsteps = "many"\n', "base.steps"),
    "steps and epochs": (GOOD + "epochs = 2\n", "steps or epochs, not both"),
    "bad arm beside the grid": (GOOD + '[[extra]]\nrule = "fq"\n', "there is no 'fq'"),
    "negative seeds": (
        'name = "s"\n[base]\nseeds = -1\n',
        "base.seeds: input should be greater than 0, got -1",
    ),
    "zero steps": ('name = "s"\n[base]\nsteps = 0\n', "base.steps"),
    "unknown rule": (GOOD + 'rule = "backprob"\n', "rule: there is no 'backprob'"),
    "unknown rule in the grid": (GOOD + '[grid]\nrule = ["bp", "fq"]\n', "there is no 'fq'"),
    "unknown data": (GOOD + 'data = "mnits"\n', "did you mean 'mnist'"),
    "unknown modulator": (GOOD + '[base.modulator]\nkind = "dopamin"\n', "did you mean 'dopamine'"),
    "unknown neuron": (
        GOOD + '[base.neuron]\nkind = "tan"\n',
        "neuron.kind: there is no 'tan'; did you mean 'tanh'",
    ),
    "unknown noise": (
        GOOD + '[base.neuron]\nnoise = "gausian"\n',
        "neuron.noise: there is no 'gausian'; did you mean 'gaussian'",
    ),
    "negative noise": (
        GOOD + '[base.neuron]\nnoise = "gaussian"\nlevel = -0.1\n',
        "base.neuron.level",
    ),
    "release above one": (
        GOOD + '[base.neuron]\nnoise = "synaptic_release"\nlevel = 1.5\n',
        "neuron.level: expected a number above 0 and at most 1",
    ),
    "unknown number of a noise": (
        GOOD + '[base.neuron]\nnoise = "correlated"\nnoise_hyper = {corelation = 0.3}\n',
        "neuron.noise_hyper.corelation: unknown hyperparameter; did you mean 'correlation'",
    ),
    "number of another noise": (
        GOOD + '[base.neuron]\nnoise = "gaussian"\nnoise_hyper = {correlation = 0.3}\n',
        "neuron.noise_hyper.correlation: unknown hyperparameter; there are none here",
    ),
    "number of no noise": (
        GOOD + "[base.neuron]\nnoise_hyper = {correlation = 0.3}\n",
        "neuron.noise_hyper.correlation: unknown hyperparameter; there are none here",
    ),
    "correlation above one": (
        GOOD + '[base.neuron]\nnoise = "correlated"\nnoise_hyper = {correlation = 1.3}\n',
        "neuron.noise_hyper.correlation: expected a number at least 0 and at most 1",
    ),
    "half a site": (
        GOOD + '[base.neuron]\nnoise = "quantal"\nlevel = 0.5\nnoise_hyper = {sites = 2.5}\n',
        "neuron.noise_hyper.sites: expected a whole number",
    ),
    "negative temperature": (
        GOOD + "[base.optimiser]\ntemperature = -1.0\n",
        "base.optimiser.temperature: input should be greater than or equal to 0",
    ),
    "unknown hyperparameter": (GOOD + "[rules.fa.hyper]\nscalee = 2.0\n", "did you mean 'scale'"),
    "settings of no rule": (GOOD + "[rules.zz]\nsteps = 2\n", "rule: there is no 'zz'"),
    "bad settings of a rule": (
        GOOD + "[rules.fa]\nsteps = -2\n",
        "rules.fa.steps: input should be greater than 0",
    ),
    "a count that is no whole number": (GOOD + "[rules.pc.hyper]\nsteps = 2.5\n", "whole number"),
    "empty grid": (GOOD + "[grid]\nrule = []\n", "grid.rule: is empty"),
    "not TOML": ("name = \n", "not valid TOML"),
    "no name": ("[base]\nsteps = 2\n", "name: field required"),
    "negative learning rate": (
        GOOD + "[base.optimiser]\nlearning_rate = -1.0\n",
        "base.optimiser.learning_rate",
    ),
    "infinite learning rate": (
        GOOD + "[base.optimiser]\nlearning_rate = inf\n",
        "base.optimiser.learning_rate",
    ),
    "empty layer": (GOOD + "[base.net]\nhidden = [8, 0]\n", "net.hidden"),
    "batch larger than the data": (GOOD + "batch_size = 100000\n", "batch_size is 100000"),
    "negative jitter": (GOOD + "jitter = -1\n", "base.jitter"),
    "cnn on tiny images": (GOOD + '[base.net]\nkind = "cnn"\n', "use mlp"),
    "context that the data lack": (
        GOOD + '[base.modulator]\nkind = "context_gating"\nhyper = {contexts = 2}\n',
        "context has no entries, and 'task' is read",
    ),
    "modulator without what it needs": (
        GOOD + '[base.modulator]\nkind = "context_gating"\n',
        "contexts",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_study_gets_one_clear_message_and_exit_code_2(case, tmp_path, capsys):
    text, expected = BAD[case]
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    code = main(["run", str(tmp_path / "study.toml"), "--out", str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert code == 2
    assert expected in said
    assert said.count("bioplaus:") == 1
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()


def test_other_bad_inputs_get_exit_code_2(tmp_path, capsys, monkeypatch):
    good = tmp_path / "study.toml"
    good.write_text(GOOD, encoding="utf-8")
    run = ["run", str(good)]
    assert main(["run", str(tmp_path / "none.toml")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    assert main([*run, "--out", str(tmp_path / "full")]) == 2
    assert "--resume" in capsys.readouterr().err
    assert main([*run, "--out", str(good / "under-a-file")]) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert main([*run, "--out", str(tmp_path / "o"), "--steps"]) == 2
    assert "has no value" in capsys.readouterr().err
    assert main([*run, "--out", str(tmp_path / "o"), "--stepps", "3"]) == 2
    assert "did you mean 'steps'" in capsys.readouterr().err
    monkeypatch.setenv("BIOPLAUS_DATA", str(tmp_path / "nowhere"))
    assert main([*run, "--out", str(tmp_path / "o"), "--data", "mnist"]) == 2
    assert "BIOPLAUS_DATA" in capsys.readouterr().err
    assert main(["compare", "--rules", "bp,nope", "--out", str(tmp_path / "o")]) == 2
    assert "there is no 'nope'" in capsys.readouterr().err
    assert main(["compare", "--seeds", "-3", "--out", str(tmp_path / "o")]) == 2
    assert "greater than 0" in capsys.readouterr().err
    assert main(["compare", "--net.hidden", "[8]", "--out", str(tmp_path / "o")]) == 2
    assert (
        "unknown arguments: --net.hidden [8]; see `bioplaus compare --help`"
        in capsys.readouterr().err
    )
    assert main(["verify", "bq"]) == 2
    assert "there is no rule 'bq'" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "nothing")]) == 2
    assert "results.csv" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_the_grid_is_crossed_in_the_order_written():
    base = {"seeds": 2, "neuron": {"noise": "gaussian"}}
    study = Study(name="s", base=base, grid={"rule": ["bp", "fa"], "neuron.level": [0.0, 0.5]})
    found = [(a.rule, a.neuron.level, a.seeds) for a in arms(study)]
    assert found == [("bp", 0.0, 2), ("bp", 0.5, 2), ("fa", 0.0, 2), ("fa", 0.5, 2)]


def test_an_override_pins_a_grid_key_and_reads_toml():
    study = Study(name="s", grid={"rule": ["bp", "fa"], "neuron.level": [0.0, 0.5]})
    pinned = override(
        study, ["--neuron.level", "0.2", "--neuron.noise", "gaussian", "--net.hidden", "[4, 5]"]
    )
    assert [(a.rule, a.neuron.level, a.neuron.noise, a.net.hidden) for a in arms(pinned)] == [
        ("bp", 0.2, "gaussian", (4, 5)),
        ("fa", 0.2, "gaussian", (4, 5)),
    ]


def test_settings_of_a_rule_reach_its_arms_alone():
    slow = {"optimiser": {"learning_rate": 0.3}}
    study = Study(
        name="s",
        base={"optimiser": {"kind": "sgd"}},
        rules={"kp": slow},
        grid={"rule": ["bp", "kp"]},
    )
    assert [(a.optimiser.kind, a.optimiser.learning_rate) for a in arms(study)] == [
        ("sgd", 2e-3),
        ("sgd", 0.3),
    ]
    flat = override(study, ["--optimiser.learning_rate", "0.5"])
    assert [a.optimiser.learning_rate for a in arms(flat)] == [0.5, 0.5]
    one = override(study, ["--rules.kp.optimiser.learning_rate", "0.7"])
    assert [a.optimiser.learning_rate for a in arms(one)] == [2e-3, 0.7]


def test_the_resolved_study_gives_the_same_arms(tmp_path):
    import tomli_w

    study = Study(
        name="s",
        base={"seeds": 2},
        rules={"pc": {"hyper": {"steps": 3}}},
        grid={"rule": ["bp", "pc"]},
    )
    (tmp_path / "study.toml").write_text(tomli_w.dumps(resolved(study)), encoding="utf-8")
    assert arms(load(tmp_path / "study.toml")) == arms(study)
    # written where they are used
    later = {
        "jitter",
        "stream",
        "online",
        "precision",
        "schedules",
        "encoder",
        "rates",
        "structure",
        "synapses",
    }
    assert set(resolved(study)["base"]) == set(Arm.model_fields) - {"epochs", *later}
    used = Study(
        name="s",
        base={
            "jitter": 1,
            "stream": 2,
            "online": 4,
            "precision": "bfloat16",
            "encoder": {"kind": "rows"},
            "rates": {"strength": 1.0},
            "structure": {"kind": "turnover"},
            "synapses": {"kind": "depressed"},
            "schedules": {"hyper.scale": {"to": 1.0}},
        },
    )
    assert later < set(resolved(used)["base"])


def test_the_last_of_epochs_and_steps_decides(tmp_path):
    import tomli_w

    study = Study(
        name="s",
        base={"epochs": 2},
        rules={"fa": {"steps": 7}},
        grid={"rule": ["bp", "fa"]},
        extra=[{"steps": 3}],
    )
    (tmp_path / "study.toml").write_text(tomli_w.dumps(resolved(study)), encoding="utf-8")
    for s in (study, load(tmp_path / "study.toml")):
        assert [(a.rule, a.epochs, a.steps) for a in arms(s)] == [
            ("bp", 2, 1000),
            ("fa", None, 7),
            ("bp", None, 3),
        ]
    assert [(a.epochs, a.steps) for a in arms(override(study, ["--steps", "5"]))] == [
        (None, 5),
        (None, 5),
        (None, 3),
    ]
    assert [a.epochs for a in arms(override(study, ["--epochs", "0.5"]))] == [0.5, 0.5, None]


def test_extra_arms_override_base():
    linear = {"rule": "fa", "net": {"hidden": []}}
    study = Study(
        name="s",
        base={"seeds": 2, "net": {"variance": 1.0}},
        rules={"fa": {"batch_size": 9}},
        extra=[linear],
    )
    assert [(a.rule, a.seeds, a.net.hidden, a.net.variance, a.batch_size) for a in arms(study)] == [
        ("bp", 2, (128, 128), 1.0, 64),
        ("fa", 2, (), 1.0, 9),
    ]


def test_unknown_names_raise_study_error_from_python():
    with pytest.raises(StudyError, match="there is no 'x'"):
        arms(Study(name="s", base={"rule": "x"}))


def test_help_answers_without_importing_jax():
    code = (
        "import sys; from bioplaus.cli import main\ntry: main(['--help'])\nexcept SystemExit:"
        " pass\nassert 'jax' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "compare" in done.stdout


def test_jitter_is_part_of_an_arm_where_there_is_some():
    """Arms without it are written, and their folders named, as before there was any."""
    assert "jitter" not in Arm().model_dump()
    assert Arm(jitter=2).model_dump()["jitter"] == 2
