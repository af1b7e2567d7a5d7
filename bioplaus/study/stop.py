"""Stops a process on a signal, or when the parent process ends.

Training checks regularly whether a signal has come (`look`); it then saves and ends. All other work
is interrupted at once by the exception `Stopped`. A process that has still not ended after some
seconds, because it is inside a long call of a compiled program, is ended by a timer. No file is
damaged by that, since files are written atomically.
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
# seconds after a signal until the timer ends a process; a parent waits longer, for its workers
WORKER_SECONDS, PARENT_SECONDS = 5.0, 7.0


class Stopped(KeyboardInterrupt):
    """Interrupts work after a signal. signal: the number of that signal."""

    def __init__(self, number: int):
        super().__init__(number)
        self.signal = number


@dataclass
class _State:
    """The state of this process.

    received: the number of the signal that has come, or 0. working, patient: the number of
    contexts of these names that are entered. seconds: from the signal to the end of the process.
    last_words: gives the text that is printed then. end: the timer.
    """

    received: int = 0
    working: int = 0
    patient: int = 0
    seconds: float = PARENT_SECONDS
    last_words: Callable[[], str] = str
    end: threading.Timer | None = None


_now = _State()


def look(number: int | None = None) -> None:
    """Raise Stopped if a signal has come.

    number: the signal that all processes of a run have agreed on; None to ask for this process
    alone.
    """
    if number := _now.received if number is None else number:
        raise Stopped(number)


def received() -> int:
    """The number of the signal that has come, or 0."""
    return _now.received


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Within this context a signal has no effect until the next `look`, or the end of the context.

    Outside of it, and within `working`, a signal raises Stopped at once.
    """
    _now.patient += 1
    try:
        yield
    finally:
        _now.patient -= 1
    if not _now.patient and _now.working:
        look()


@contextlib.contextmanager
def working() -> Iterator[None]:
    """Within this context the first signal raises Stopped; later ones do not disturb cleanup."""
    _now.working += 1
    try:
        look()
        yield
    finally:
        _now.working -= 1


@contextlib.contextmanager
def listening(last_words: Callable[[], str]) -> Iterator[None]:
    """Handle signals while a command works, in the main thread.

    last_words: gives the text that is printed if the timer has to end the process.
    """
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
        _now.received, _now.end = 0, None
        for s, handler in before.items():
            if handler is not None:
                signal.signal(s, handler)


def serve(lifeline: Connection) -> None:
    """Handle signals in a worker process.

    lifeline: one end of a pipe. The parent holds the other end, which is closed when the parent
    stops its workers, or when the parent is killed.
    """
    _now.seconds = WORKER_SECONDS
    _hear_all()
    signal.signal(signal.SIGTERM, _hear)  # `_watch` sends it, so it must not stay ignored
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    threading.Thread(target=_watch, args=(lifeline,), daemon=True).start()


@contextlib.contextmanager
def starting_workers() -> Iterator[None]:
    """Processes that are started within this context block signals until they call `serve`.

    So a signal to the whole process group finds their handlers in place.
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
        if signal.getsignal(s) != signal.SIG_IGN:  # nohup, for example, ignores SIGHUP
            signal.signal(s, _hear)


def _hear(number: int, frame) -> None:
    del frame
    if _now.received:
        return
    _now.received = number
    _now.end = threading.Timer(_now.seconds, _leave, (number,))
    _now.end.daemon = True
    _now.end.start()
    if _now.working and not _now.patient:
        raise Stopped(number)


def _leave(number: int) -> None:
    if words := _now.last_words():
        print(words, file=sys.stderr, flush=True)
    # on a busy machine a worker may still be starting, with its signals blocked
    for worker in multiprocessing.active_children():
        worker.kill()
    os._exit(128 + number)


def _watch(lifeline) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv()
    if not _now.working:  # the worker is starting, or waiting for an arm
        os._exit(128 + signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
