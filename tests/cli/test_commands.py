"""The parser takes every command that a header, a README or a docstring shows.

Studies that a command names are loaded and their arms resolved.
"""

import argparse
import re
import runpy
import shlex
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import tyro

import bioplaus as bp
from bioplaus.cli import dispatch as cli
from bioplaus.cli.catalogue import tables
from bioplaus.neurons import RESETS, SURROGATES
from bioplaus.rules import available
from bioplaus.study import Arm, StudyError, load, override
from bioplaus.study.comparison import comparison
from bioplaus.study.spec import arms

ROOT = Path(__file__).parents[2]
KINDS = (".md", ".toml", ".py", ".ci/run", "Makefile")
FILES = sorted(
    f
    for f in (ROOT, *(ROOT / d for d in ("bioplaus", "docs", "experiments", "papers", ".ci")))
    for f in (f.glob("*") if f == ROOT else f.rglob("*"))
    if f.is_file() and str(f).endswith(KINDS)
)
COMMAND = re.compile(
    r"bioplaus (compare|run|tune|verify|list|report)\b.*|python (docs|experiments|papers)/.*|make"
    r" [a-z]+"
)
PLACES = {
    "N": "1",
    "DIR": "folder",
    "FILE": "file",
    "RULE": "bp",
    "STUDY.toml": "experiments/default.toml",
    "value": "1",
}


def commands(text: str) -> list[str]:
    """The commands that a text shows.

    A command is a line, perhaps behind a comment sign or a launcher, or a piece of text in
    backticks, in quotes or in a block of HTML.
    """
    found = []
    # a synopsis goes on in the next line where that begins with a bracket
    joined = re.sub(r"\n +(?=\[-)", " ", re.sub("</?pre>", "", text))
    for line in joined.splitlines():
        plain = re.sub(r"^[#\s]*(srun( --\S+)* |\$\(BIN\)/)?", "", line)
        inner = [
            piece for pieces in re.findall(r"`([^`]+)`|\"([^\"]+)\"", line) for piece in pieces
        ]
        without_remark = [re.split(r"\s{2,}[(#]", piece)[0].strip() for piece in (plain, *inner)]
        found += [piece for piece in without_remark if COMMAND.fullmatch(piece)]
    return found


def written_out(command: str) -> list[list[str]]:
    """The words of a command; a synopsis gives one command for each alternative in its brackets."""
    brackets = re.findall(r"\[([^\[\]]*)\]", command) if '"[' not in command else []
    for bracket in brackets:
        command = command.replace(f"[{bracket}]", "")
    base, found = shlex.split(command), []
    for bracket in brackets:
        for way in re.split(r" \| ", bracket.replace("...", "")):
            *head, last = shlex.split(way.replace("--key.path", "--steps"))
            found += [[*base, *head, choice] for choice in last.split("|")]
    filled = [
        [PLACES.get(word, re.sub(r"\$\w+", "1", word)) for word in words]
        for words in found or [base]
    ]
    return [
        [
            w.replace("study.toml", "experiments/default.toml") if w == "study.toml" else w
            for w in words
        ]
        for words in filled
    ]


def places() -> list[tuple[str, str]]:
    found = [
        (str(f.relative_to(ROOT)), command)
        for f in FILES
        for command in commands(f.read_text(encoding="utf-8"))
    ]
    return list(dict.fromkeys(found))


class Parsed(Exception):
    """A script's parser took its arguments."""


def check_script(path: str, words: list[str], monkeypatch) -> None:
    parse = argparse.ArgumentParser.parse_args

    def only_parse(self, *args, **options):
        parse(self, *args, **options)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", only_parse)
    monkeypatch.setattr("sys.argv", [path, *words])
    monkeypatch.syspath_prepend(str((ROOT / path).parent))
    with pytest.raises(Parsed):
        runpy.run_path(str(ROOT / path), run_name="__main__")


def check_own(words: list[str], monkeypatch) -> None:
    """The parser takes a command of bioplaus, and the checks that come before any work pass."""
    # Comparisons of spiking nets look at their data, which may not be on this machine.
    spoken = bp.data.own(np.zeros((20, 3, 2)), np.arange(20) % 2, dt=10.0)
    monkeypatch.setattr("bioplaus.study.comparison.datasets.load", lambda name: spoken)
    command, rest = tyro.cli(cli.Command, args=words, return_unknown_args=True)
    if isinstance(command, cli.Run):
        assert arms(override(load(ROOT / command.study), rest))
        return
    assert not rest
    if isinstance(command, cli.Compare):
        assert arms(
            comparison(
                None if command.rules is None else cli._keys(command.rules),
                data=command.data,
                net=command.net,
                seeds=command.seeds,
                steps=command.steps,
                own=command.own,
            )
        )
    rules = (
        command.rules
        if isinstance(command, cli.Verify)
        else cli._keys(command.rules)
        if isinstance(command, cli.Tune)
        else ()
    )
    assert set(rules) <= {"all", *available()}


def check(words: list[str], monkeypatch) -> None:
    if words[0] == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        assert set(words[1:]) <= set(targets)
    elif words[0] == "python":
        check_script(words[1], words[2:], monkeypatch)
    else:
        check_own(words[1:], monkeypatch)


@pytest.mark.parametrize(("where", "command"), places())
def test_commands_in_texts_are_parsed(where, command, monkeypatch):
    for words in written_out(command):
        check(words, monkeypatch)


def test_commands_are_found_in_all_kinds_of_text():
    found = places()
    assert len(found) > 60
    for where in (
        "README.md",
        "Makefile",
        "docs/machines.md",
        "docs/rules.md",
        "docs/settings.md",
        "docs/studies.md",
        "experiments/benchmarks/README.md",
        "bioplaus/report/method.py",
    ):
        assert [command for file, command in found if file == where], where
    for folder in (
        "papers/*/README.md",
        "papers/*/study.toml",
        "experiments/*.toml",
        "experiments/*.py",
        "experiments/benchmarks/*.py",
    ):
        files = {str(f.relative_to(ROOT)) for f in ROOT.glob(folder)}
        # parts of other scripts, and the figures that one of them writes
        parts = {"mnist_rules.results.toml", "mnist_rules_page.py", "benchmarks/timing.py"}
        assert files - {file for file, _ in found} <= {f"experiments/{part}" for part in parts}


@pytest.mark.parametrize(
    ("command", "error"),
    [
        # as its header once said
        (
            "bioplaus run experiments/robustness.toml --base.corruptions /path/to/mnist_c",
            StudyError,
        ),
        ("bioplaus run experiments/nothing.toml", StudyError),
        ("bioplaus compare --rule bp", AssertionError),
        ("bioplaus tune --rules bb", AssertionError),
        ("python experiments/continual.py --task split_", SystemExit),
        ("make nothing", AssertionError),
    ],
)
def test_a_wrong_command_is_detected(command, error, monkeypatch):
    with pytest.raises(error):
        check(written_out(command)[0], monkeypatch)


def test_the_list_has_every_kind():
    kinds = {*get_args(get_type_hints(cli.List)["what"])}
    found = tables()
    assert kinds == {*found, "all"}
    for kind, known in (("surrogates", SURROGATES), ("resets", RESETS)):
        assert found[kind].keys() == known.keys()
        assert all(text.startswith(("psi(x) =", "v =")) for text in found[kind].values())


def test_options_in_prose_exist():
    """`--name` outside of a command: an option of bioplaus, of a script, or a setting."""
    known = {"key", "rules", "help", "version"}
    for kind in (cli.Compare, cli.Run, cli.Tune):
        known |= set(kind.__dataclass_fields__)
    scripts = (f for room in ("experiments", "papers") for f in (ROOT / room).rglob("*.py"))
    for script in (*scripts, ROOT / "docs" / "make.py"):
        known |= set(
            re.findall(r'add_argument\(\s*"--([\w-]+)"', script.read_text(encoding="utf-8"))
        )
    known |= set(Arm.model_fields)
    for f in (f for f in FILES if "peers" not in f.parts):  # these have the options of pip and git
        text = re.sub(
            r"^.*(#SBATCH|srun|gcloud|--worker|--command=|var\(--|addopts|uv |pip"
            r" |\$\((RUN|BIN)\)).*$",
            "",
            f.read_text(encoding="utf-8"),
            flags=re.M,
        )
        said = re.findall(r"(?:^|[\s`'\"(])--([a-z][\w-]*)", text)
        assert {name.replace("-", "_") if name not in known else name for name in said} <= known, f
