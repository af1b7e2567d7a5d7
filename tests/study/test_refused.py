"""Studies that are not valid are refused in one message, before anything starts."""

from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bioplaus as bp
from bioplaus.cli import main
from bioplaus.study import Study, StudyError, load, override
from bioplaus.study.plan import plan
from bioplaus.study.settings import Arm
from bioplaus.study.spec import arms

ROOT = Path(__file__).parents[2]
DIGITS = bp.data.load("digits")


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
def test_an_invalid_study_gets_one_message(case, tmp_path, capsys):
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
def test_options_that_exclude_each_other_are_refused(words, tmp_path, capsys):
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
def test_an_invalid_study_raises_only_study_error(study, tmp_path_factory):
    """Read, and turned to arms: either they are found, or one message says why not."""
    file = tmp_path_factory.getbasetemp() / "odd.toml"
    file.write_text(tomli_w.dumps(study), encoding="utf-8")
    said = ""
    try:
        arms(load(file))
    except StudyError as error:
        said = str(error)
    assert len(said) < 2000
