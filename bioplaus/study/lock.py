"""One process at a time works in a folder: a run in that of a study, and whoever trains an arm in
the arm's.

The lock is the operating system's (flock): it ends with the process that holds it, however that
ends. Shares of a study (`--arms 3/16`) hold the folders of their arms alone, so that they run at
once; so do the workers of `--jobs`, whose parent holds the study's.
"""

import contextlib
import errno
import os
import platform
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bioplaus.study.settings import StudyError
from bioplaus.training.machines import by_first

LOCK = "run.lock"
# seconds in which workers whose parent was killed let go of their arms, see `bioplaus.study.stop`
RELEASE_SECONDS = 15.0
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # what file systems without locks answer


@contextlib.contextmanager
def held(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """Hold a folder, which is made if it is not there. wait: seconds until another process has to
    let go of it; below 0, no limit.

    On many machines the first process holds it for all. Raises StudyError that names the process
    which works there.
    """
    lock = FileLock(folder / LOCK, timeout=wait, on_acquired=_sign)

    def acquire() -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise StudyError(
                f"{folder}: {_holder(folder)} is at work there; wait until it has ended, or stop"
                " it, and give the same command again"
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise StudyError(
                    f"{folder}: cannot be written to ({error}); give another --out"
                ) from error
            warnings.warn(
                f"{folder}: its file system has no locks; see to it that one run at a time works"
                " there",
                stacklevel=2,
            )

    by_first(acquire, StudyError)
    try:
        yield
    finally:
        lock.release()


def _sign(descriptor: int) -> None:
    """Write into the lock who holds it."""
    os.ftruncate(descriptor, 0)
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    os.write(descriptor, f"process {os.getpid()} on {platform.node()}, since {since},".encode())


def _holder(folder: Path) -> str:
    """Who works in a folder, as far as it is known: a process that has only just begun may not have
    signed yet.
    """
    with contextlib.suppress(OSError):
        return (folder / LOCK).read_text(encoding="utf-8", errors="replace") or "another process"
    return "another process"
