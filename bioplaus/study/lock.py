"""Locks, so that one process at a time works in the folder of a study or of an arm.

A lock is one of the operating system (flock): it is released when the process that holds it ends,
for whatever reason. A run locks the folder of its study, and each process the folder of the arm
that it trains. Shares of a study (`--arms 3/16`) lock the folders of their arms alone, so that they
can run at the same time.
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
# seconds within which the workers of a parent that was killed have ended, see `bioplaus.study.stop`
RELEASE_SECONDS = 15.0
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # errors of file systems without locks


@contextlib.contextmanager
def held(folder: Path, wait: float = 0.0) -> Iterator[None]:
    """Lock a folder, and create it if it does not exist.

    wait: seconds to wait for another process that holds the lock; below 0, without a limit. In a
    run on many machines, process 0 holds the lock for all. Raises StudyError, which names the other
    process, if the folder stays locked.
    """
    lock = FileLock(folder / LOCK, timeout=wait, on_acquired=_sign)

    def acquire() -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise StudyError(
                f"{folder}: {_holder(folder)} is at work there; wait until it has ended, or stop"
                " it, then give the same command again"
            ) from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise StudyError(
                    f"{folder}: cannot be written to ({error}); give another --out"
                ) from error
            warnings.warn(
                f"{folder}: its file system has no locks; make sure that only one run at a time"
                " works there",
                stacklevel=2,
            )

    by_first(acquire, StudyError)
    try:
        yield
    finally:
        lock.release()


def _sign(descriptor: int) -> None:
    """Write into the lock file which process holds it."""
    os.ftruncate(descriptor, 0)
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    os.write(descriptor, f"process {os.getpid()} on {platform.node()}, since {since},".encode())


def _holder(folder: Path) -> str:
    """The process that holds a folder; 'another process' if it has not written its name yet."""
    with contextlib.suppress(OSError):
        return (folder / LOCK).read_text(encoding="utf-8", errors="replace") or "another process"
    return "another process"
