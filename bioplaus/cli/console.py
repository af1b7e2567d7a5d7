"""Standard output and standard error of the command line: what they do not take costs no finished
work.

Signs that a terminal's encoding lacks are shown by those of ASCII. In a long run, output that
nobody reads any more (`| head -1`) or that has no room (a full disk) is dropped, and the run goes
on.
"""

import codecs
import contextlib
import errno
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

NO_ROOM_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""Errors of a place that takes no more: a full disk, a quota, a limit on the size of files, a disk
that fails.
"""

NOBODY_READS = 128 + 13
"""Exit code of a program that stops since nobody reads its output: as the signal SIGPIPE would end
it.
"""

NO_ROOM = 4
"""Exit code where a file or the output could not be written."""

ASCII = {
    "µ": "u",
    "−": "-",
    "–": "-",
    "≥": ">=",
    "≤": "<=",
    "±": "+-",
    "×": "x",
    "°": " degrees",
    "·": "|",
    "…": "...",
    "ε": "epsilon",
}


def in_ascii(error: UnicodeError) -> tuple[str, int]:
    """For `codecs.register_error`: the nearest ASCII for what an encoding lacks; `?` where there is
    none.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_nearest, error.object[error.start : error.end])), error.end


def _nearest(sign: str) -> str:
    name = unicodedata.name(sign, "")
    if name.startswith("BOX DRAWINGS"):
        return (
            {"HORIZONTAL": "-", "VERTICAL": "|"}.get(name.split()[-1], "+")
            if " AND " not in name
            else "+"
        )
    return ASCII.get(sign, "?")


def guarded(act: Callable[[], int]) -> int:
    """The exit code of act(), or of what its output, or the place that it writes to, did not take:
    then one line says so.
    """
    prepare()
    try:
        try:
            code = act()
        except SystemExit:  # of --help
            sys.stdout.flush()
            raise
        # here, and not at the interpreter's end, where an error could not be met
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        drop(sys.stdout)
        return NOBODY_READS
    except OSError as error:
        if error.errno not in NO_ROOM_ERRORS:
            raise
        drop(sys.stdout)
        where = error.filename or "the output"
        with contextlib.suppress(OSError):
            print(
                f"bioplaus: {where}: {error.strerror}. What is finished is kept; a run goes on with"
                " --resume",
                file=sys.stderr,
            )
        return NO_ROOM


def prepare() -> None:
    """Make both streams take any text, and exist where the caller has closed them."""
    codecs.register_error("bioplaus.ascii", in_ascii)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="bioplaus.ascii")


class Unbroken:
    """A stream that drops what its target does not take, and remembers the first reason in
    `lost`.
    """

    def __init__(self, target: Any):
        self.target = target
        self.lost: OSError | None = None

    def write(self, text: str) -> int:
        self._try(lambda: self.target.write(text))
        return len(text)

    def flush(self) -> None:
        self._try(self.target.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)

    def _try(self, act) -> None:
        try:
            act()
        except OSError as error:
            self.lost = self.lost or error
            drop(self.target)


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """Within, work goes on whatever becomes of its output. Raises OSError afterwards if some was
    lost, though not for want of a reader.
    """
    streams = {"stdout": Unbroken(sys.stdout), "stderr": Unbroken(sys.stderr)}
    for name, stream in streams.items():
        setattr(sys, name, stream)
    try:
        yield
    finally:
        for name, stream in streams.items():
            stream.flush()
            setattr(sys, name, stream.target)
    for name, stream in streams.items():
        if stream.lost and not isinstance(stream.lost, BrokenPipeError):
            raise OSError(stream.lost.errno, f"{stream.lost.strerror}; all else is done", name)


def drop(stream: Any) -> None:
    """Send what a stream still holds, and all that follows, nowhere: else the interpreter would
    fail on it at its end.
    """
    with (
        contextlib.suppress(OSError, ValueError),
        open(os.devnull, "w", encoding="utf-8") as nowhere,
    ):
        os.dup2(nowhere.fileno(), stream.fileno())
