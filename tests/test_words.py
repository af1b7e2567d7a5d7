"""What is typed at the command line: helps that fit a terminal, and numbers and keys that are none."""

import pytest

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


@pytest.mark.parametrize("text", ["²/³", "1/²", "3/2", "0/4", "1/", "1/" + "9" * 5000, "+1/2", "1/2/3", "1/2\n"])
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
def test_no_rule_is_an_error(command, capsys):
    assert cli.main([command, "--rules", " , "]) == 2
    assert "rules: got ' , ', which names none" in capsys.readouterr().err
    with pytest.raises(StudyError, match="rules: none is given"):
        comparison([], data="digits")
