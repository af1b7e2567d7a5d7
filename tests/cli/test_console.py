"""The command line under an ASCII locale, a closed pipe, a full disk and a file size limit."""

import errno
import io
import os
import resource
import subprocess
import sys

import jax
import numpy as np
import pytest
from processes import start

from bioplaus.cli import console
from bioplaus.cli import dispatch as cli
from bioplaus.training import checkpoints

pytestmark = pytest.mark.thorough

TINY = """
name = "tiny"

[base]
rule = "bp"
steps = 2
points = 1
batch_size = 16
seeds = 1
robustness = false
alignment = false
energy = false
"""


def nowhere() -> io.TextIOWrapper:
    """The end of a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", encoding="utf-8")


def full() -> io.TextIOWrapper:
    """A file on a disk without room."""
    return open("/dev/full", "w", encoding="utf-8")


def test_characters_outside_an_encoding_are_replaced():
    console.prepare()
    shown = "4.59 µJ [−0.9, ≥ 3 × 2] ─ ━ │ ╭ ┼ 雪 \udcc3".encode("ascii", "bioplaus.ascii")
    assert shown == b"4.59 uJ [-0.9, >= 3 x 2] - - | + + ? ?"
    assert "4.59 µJ".encode("utf-8", "bioplaus.ascii") == "4.59 µJ".encode()


def test_a_command_in_an_ascii_locale_prints_all_of_its_text():
    environment = {
        **os.environ,
        "PYTHONIOENCODING": "ascii",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    printing = r"lambda *given: print('\u2212 \u00b5 \u2502') or 0"
    code = (
        "import sys; from bioplaus.cli import dispatch as cli; cli.HANDLERS[cli.List] ="
        f" {printing}; sys.exit(cli.main(['list']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"- u |\n", b"")


@pytest.mark.parametrize(
    ("command", "stream", "code", "said"),
    [
        ("compare", nowhere, 0, ""),  # the work goes on, and is done
        (
            "compare",
            full,
            console.NO_ROOM,
            "bioplaus: stdout: No space left on device; all other work is finished.",
        ),
        ("list", nowhere, console.NOBODY_READS, ""),
        ("list", full, console.NO_ROOM, "bioplaus: the output: No space left on device."),
    ],
)
def test_failing_output_loses_no_work(command, stream, code, said, monkeypatch, capsys):
    done = []

    def work(*given) -> int:
        for step in range(3):
            print("x" * 10_000, flush=True)
            done.append(step)
        return 0

    monkeypatch.setitem(cli.HANDLERS, {"compare": cli.Compare, "list": cli.List}[command], work)
    with stream() as target, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", target)
        assert cli.main([command]) == code
        assert sys.stdout is target
    assert done == ([0, 1, 2] if command == "compare" else [])
    error = capsys.readouterr().err
    assert error.startswith(said)
    assert len(error.splitlines()) == bool(said)


def test_a_failing_log_stops_no_run(monkeypatch):
    with full() as target, monkeypatch.context() as patched:
        patched.setattr(sys, "stderr", target)
        patched.setitem(
            cli.HANDLERS,
            cli.Compare,
            lambda *given: print("1 step of 9", file=sys.stderr, flush=True) or 0,
        )
        assert cli.main(["compare"]) == console.NO_ROOM


def test_other_errors_keep_their_traceback(monkeypatch):
    def bug(*given) -> int:
        raise FileNotFoundError(errno.ENOENT, "a bug")

    monkeypatch.setitem(cli.HANDLERS, cli.Compare, bug)
    with pytest.raises(FileNotFoundError, match="a bug"):
        cli.main(["compare"])


def limited(folder) -> int:
    """Save checkpoints under a limit of 4 KiB per file, and return 0 if all is as it must be.

    The first checkpoint stays, and the second raises the error of the operating system.
    """
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    checkpoints.save(folder, 1, {"w": np.arange(8.0)}, "small")
    try:
        checkpoints.save(folder, 2, {"w": np.random.default_rng(0).random(5000)}, "large")
    except OSError as error:
        return 0 if (error.errno, error.filename) == (errno.EFBIG, str(folder)) else 1
    return 2


def test_a_limit_on_file_sizes_leaves_the_checkpoint_before(tmp_path):
    process = start(limited, tmp_path / "log", tmp_path / "arm")
    process.join()
    assert (process.exitcode, (tmp_path / "log").read_text(encoding="utf-8")) == (0, "")
    found = checkpoints.latest(tmp_path / "arm", {"w": np.zeros(8)})
    assert found is not None
    assert (found.step, found.note) == (1, "small")


def limited_run(folder) -> int:
    # the suite's, which would hold cut programs
    jax.config.update("jax_enable_compilation_cache", False)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    return cli.main(["run", str(folder / "tiny.toml"), "--out", str(folder / "out"), "--jobs", "1"])


def test_a_full_disk_gives_a_one_line_message(tmp_path):
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")
    process = start(limited_run, tmp_path / "log", tmp_path)
    process.join()
    said = (tmp_path / "log").read_text(encoding="utf-8")
    line = said.splitlines()[-1]  # on a slow machine lines of progress come before it
    assert process.exitcode == console.NO_ROOM
    assert line.startswith(f"bioplaus: {tmp_path / 'out' / 'arms' / 'bp-'}")
    assert line.endswith("File too large. Finished work is kept; continue a run with --resume")
