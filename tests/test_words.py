"""The command line: helps that fit a terminal, the version, and values that are refused."""

import re
import subprocess
import sys

import pytest

import bioplaus as bp
from bioplaus.cli import dispatch as cli
from bioplaus.study import StudyError
from bioplaus.study.comparison import comparison
from bioplaus.study.share import share_of
from bioplaus.training.devices import mesh_of


@pytest.mark.parametrize("command", ["", "compare", "run", "tune", "verify", "list", "report"])
def test_helps_fit_a_terminal(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([*command.split(), "--help"])
    text = capsys.readouterr().out
    assert "show this help message" in text
    assert not [line for line in text.splitlines() if len(line) > 80]
    for machine in ("{None}", "None", "--no-", "bp,fa,\n", "[STR", "default: )"):
        assert machine not in text


def test_the_version_is_printed_before_anything_heavy_is_imported():
    code = (
        "import sys; from bioplaus.cli import main; main(['--version']); print('jax' in"
        " sys.modules)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", c], capture_output=True, text=True, check=True
        ).stdout.split("\n")
        for c in (code, code.replace("import sys;", "import sys, bioplaus.net;"))
    ]
    assert said == [[f"bioplaus {bp.__version__}", str(heavy), ""] for heavy in (False, True)]


def test_public_names_are_there():
    assert not [name for name in dir(bp) if not hasattr(bp, name)]
    assert {"seed_keys", "softmax"} <= set(dir(bp))
    for name in ("brain", "error", "neurobench", "representation"):
        assert name in bp.measure.__all__, name
        assert hasattr(bp.measure, name)


def test_letters_of_costs_are_defined_where_they_are_printed(capsys):
    cli.main(["list", "rules"])
    *rules, note = capsys.readouterr().out.strip().splitlines()
    letters = {letter for line in rules for letter in re.findall(r"\b(?:[FXH]|[2-7][FXH])\b", line)}
    assert letters
    for letter in {found[-1] for found in letters}:
        assert f" {letter}: " in note


@pytest.mark.parametrize(
    "text", ["²/³", "1/²", "3/2", "0/4", "1/", "1/" + "9" * 5000, "+1/2", "1/2/3", "1/2\n"]
)
def test_a_share_is_two_numbers(text):
    with pytest.raises(StudyError, match="give k/n"):
        share_of(text)
    assert share_of("3/16") == (3, 16)


@pytest.mark.parametrize("text", ["data=²", "data=", "data=٣", "data=-1", "data=" + "9" * 5000])
def test_a_mesh_has_whole_numbers(text):
    with pytest.raises(ValueError, match="give each of seeds, data, model"):
        mesh_of(text)
    assert mesh_of("data=1").shape["data"] == 1


@pytest.mark.parametrize("command", ["compare", "tune"])
def test_an_empty_list_of_rules_is_an_error(command, capsys):
    assert cli.main([command, "--rules", " , "]) == 2
    assert "rules: got ' , ', which holds no key" in capsys.readouterr().err
    with pytest.raises(StudyError, match="rules: got no key"):
        comparison([], data="digits")
