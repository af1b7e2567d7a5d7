"""Being told to stop: by a signal, or by the end of the process that this one works for.

Training looks whether it was told (`look`), saves, and ends; whatever else runs is left at once. A
process that has not ended by a certain time is ended from outside of its work, which may be a long
call into a compiled program: files are whole at any moment.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
WORKER_SECONDS, PARENT_SECONDS = (
    5.0,
    7.0,
)  # seconds until a process has ended; a parent waits for its workers


class Stopped(KeyboardInterrupt):
    """Raised where work is left. signal: the number of the one that told it to stop."""

    def __init__(self, number: int):
        super().__init__(number)
        self.signal = number


@dataclass
class _State:
    """Of this process. asked: the signal that told it to stop, or 0. working, patient: how often
    `working` and `patient` are entered.
    """

    asked: int = 0
    working: int = 0
    patient: int = 0
    seconds: float = PARENT_SECONDS
    last_words: Callable[[], str] = str
    end: threading.Timer | None = None


_now = _State()


def look(number: int | None = None) -> None:
    """Raise Stopped if this process was told to stop. number: the signal that all processes of a
    run have agreed on.
    """
    if number := _now.asked if number is None else number:
        raise Stopped(number)


def asked() -> int:
    """The signal that told this process to stop, or 0."""
    return _now.asked


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Within, a signal waits for the next `look`, at the latest for the end."""
    _now.patient += 1
    try:
        yield
    finally:
        _now.patient -= 1
    if not _now.patient and _now.working:
        look()


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Within, a signal raises Stopped, once: what cleans up after it is not disturbed."""
    _now.working += 1
    try:
        look()
        yield
    finally:
        _now.working -= 1


@contextlib.contextmanager
def listening(last_words: Callable[[], str]) -> Iterator[None]:
    """The work of a command, in the main thread. last_words: what is said if it has to be ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.getsignal(s) for s in SIGNALS}
    _now.last_words, _now.seconds = last_words, PARENT_SECONDS
    _hear_all()
    try:
        with working():
            yield
    finally:
        if _now.end:
            _now.end.cancel()
        _now.asked, _now.end = 0, None
        for s, handler in before.items():
            if handler is not None:
                signal.signal(s, handler)


def serve(lifeline: Connection) -> None:
    """Listen in a worker, which idles until it is `working`. lifeline: the end of a pipe; its
    parent holds the other one, and closes it to stop its workers, or takes it along when it is
    killed.
    """
    _now.seconds = WORKER_SECONDS
    _hear_all()
    signal.signal(signal.SIGTERM, _hear)  # which `_watch` sends
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    threading.Thread(target=_watch, args=(lifeline,), daemon=True).start()


@contextlib.contextmanager
def starting_workers() -> Iterator[None]:
    """Processes that are started within hear no signal until they `serve`: one that reaches all of
    them finds them ready.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hear_all() -> None:
    for s in SIGNALS:
        if signal.getsignal(s) != signal.SIG_IGN:  # as under nohup
            signal.signal(s, _hear)


def _hear(number: int, frame) -> None:
    del frame
    if _now.asked:
        return
    _now.asked = number
    _now.end = threading.Timer(_now.seconds, _leave, (number,))
    _now.end.daemon = True
    _now.end.start()
    if _now.working and not _now.patient:
        raise Stopped(number)


def _leave(number: int) -> None:
    if words := _now.last_words():
        print(words, file=sys.stderr, flush=True)
    # which on a busy machine may still be starting, and hear nothing yet
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(128 + number)


def _watch(lifeline) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    if not _now.working:  # it starts, or waits for an arm
        os._exit(128 + signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
