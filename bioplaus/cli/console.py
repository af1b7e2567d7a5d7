"""Guards standard output and standard error, so that errors in output do not stop a run.

Characters that the encoding of the terminal lacks are replaced by similar ones of ASCII. If nobody
reads the output of a long run any more (`| head -1`), or a disk is full, further output is dropped
and the run continues.
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
"""Numbers of errors in writing: a full disk, a quota, a limit on file size, a failing disk."""

NOBODY_READS = 128 + 13
"""Exit code if nobody reads the output: that of a program which is ended by SIGPIPE."""

NO_ROOM = 4
"""Exit code if a file or the output could not be written."""

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
    """For `codecs.register_error`: similar ASCII for characters that an encoding lacks, or '?'."""
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
    """Run act(), and return its exit code, or that of an error in writing after a line about it."""
    prepare()
    try:
        try:
            code = act()
        except SystemExit:  # of --help
            sys.stdout.flush()
            raise
        # here, because an error at the interpreter's exit could not be handled
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
                f"bioplaus: {where}: {error.strerror}. Finished work is kept; continue a run with"
                " --resume",
                file=sys.stderr,
            )
        return NO_ROOM


def prepare() -> None:
    """Make both streams accept any text, and replace streams that the caller has closed."""
    codecs.register_error("bioplaus.ascii", in_ascii)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="bioplaus.ascii")


class Unbroken:
    """A stream that drops output after an error of its target, and keeps the error in `lost`."""

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
    """Within this context, errors in output do not stop the work.

    Raises OSError at the end if output was lost, unless the reason is that nobody reads it.
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
            raise OSError(
                stream.lost.errno, f"{stream.lost.strerror}; all other work is finished", name
            )


def drop(stream: Any) -> None:
    """Discard what a stream still holds, and all further output.

    Otherwise the interpreter would fail at exit, when it flushes the stream.
    """
    with (
        contextlib.suppress(OSError, ValueError),
        open(os.devnull, "w", encoding="utf-8") as nowhere,
    ):
        os.dup2(nowhere.fileno(), stream.fileno())
