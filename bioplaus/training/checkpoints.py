"""Checkpoints: arrays and a note. They are written atomically, the last two are kept, and they are
verified when they are read.

    FOLDER/checkpoint-120/state/         arrays and keys, written by orbax; in a run on several
                                         machines each process writes its share
    FOLDER/checkpoint-120/note.json      what else is kept with them
    FOLDER/checkpoint-120/contents.json  the owner, the step, dtype and shape of each array, and the
                                         SHA-256 of every file above

A checkpoint is written under another name, and renamed when all of it is on the disk. If the
process is killed or power is lost at any moment, the checkpoints before remain. Orbax does not
notice a changed byte, and converts arrays of another dtype; hence the checksums, shapes and dtypes.
"""

import contextlib
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.files import changed, sums, to_disk
from bioplaus.training.machines import by_first, first
from bioplaus.types import PyTree

CONTENTS = "contents.json"


class CheckpointError(ValueError):
    """None of the checkpoints in a folder can be read."""


class Checkpoint(NamedTuple):
    """A checkpoint that was read. refused: newer ones that could not be read, and why."""

    step: int
    state: PyTree
    note: Any
    refused: list[str]


def save(
    folder: Path, step: int, state: PyTree, note: Any, *, keep: int = -1, owner: str = ""
) -> None:
    """Write folder/checkpoint-STEP and remove all others, except that of step `keep`.

    owner: the run that it belongs to; `latest` reads no other's. note: a JSON-serialisable value.
    On several machines, call it in every process; all of them must see the folder.
    """
    import orbax.checkpoint as ocp

    part = folder / "checkpoint.part"

    def clear() -> None:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)

    by_first(clear)  # before any process looks for existing files
    with _os_errors(folder), ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((part / "state").absolute(), _with_elements(state))
    if first():
        (part / "note.json").write_text(json.dumps(note), encoding="utf-8")
        contents = {
            "owner": owner,
            "step": step,
            "arrays": _arrays(state),
            "files": sums(part, _files(part)),
        }
        (part / CONTENTS).write_text(json.dumps(contents, indent=1), encoding="utf-8")
        for path in (*part.rglob("*"), part):
            to_disk(path)
        shutil.rmtree(_place(folder, step), ignore_errors=True)
        os.replace(part, _place(folder, step))
        to_disk(folder)
        for other in _steps(folder):
            if other not in (step, keep):
                shutil.rmtree(_place(folder, other))


def _without_closed_loops() -> None:
    """Silence one error of tensorstore's threads, that orbax has closed their event loop. It
    follows when one file of a checkpoint has failed. All other exceptions that a thread cannot
    raise are reported as before.
    """

    def filtered(before):
        def hook(given, *rest):  # (type, value, traceback), or one object that has them
            value = rest[0] if rest else given.exc_value
            if not (isinstance(value, RuntimeError) and "Event loop is closed" in str(value)):
                before(given, *rest)

        hook.filters_closed_loops = True  # type: ignore[attr-defined]
        return hook

    for name in ("excepthook", "unraisablehook"):
        if not hasattr(getattr(sys, name), "filters_closed_loops"):
            setattr(sys, name, filtered(getattr(sys, name)))


@contextlib.contextmanager
def _os_errors(folder: Path) -> Iterator[None]:
    """Raise the error of a full disk as an OSError. tensorstore puts it into the text of a
    ValueError, after orbax has logged its traceback.
    """
    _without_closed_loops()
    log = logging.getLogger("absl")
    before, log.disabled = log.disabled, True
    try:
        yield
    except ValueError as error:
        if found := re.search(r"os_error_code='(\d+)'", str(error)):
            number = int(found[1])
            raise OSError(number, os.strerror(number), str(folder)) from error
        raise
    finally:
        log.disabled = before


def latest(folder: Path, like: PyTree, owner: str = "") -> Checkpoint | None:
    """The newest checkpoint that can be read; None if there is no checkpoint.

    like: a tree with the same structure, shapes, dtypes and shardings. owner: as in `save`. Raises
    CheckpointError if there are checkpoints but none can be read, because they are damaged or hold
    something else.
    """
    import orbax.checkpoint as ocp

    def choose() -> tuple[int | None, list[str]]:
        refused = []
        for step in _steps(folder):
            wrong = _wrong(_place(folder, step), step, like, owner)
            if not wrong:
                return step, refused
            refused.append(f"{_place(folder, step).name} {wrong}")
        if refused:
            raise CheckpointError(
                f"{folder}: no checkpoint can be read: {'; '.join(refused)}; delete that folder to"
                " start again"
            )
        return None, []

    step, refused = by_first(choose, CheckpointError)
    if step is None:
        return None
    with ocp.StandardCheckpointer() as checkpointer:
        found = checkpointer.restore(
            (_place(folder, step) / "state").absolute(), _with_elements(like)
        )
    leaves = iter(jax.tree.leaves(found))
    state = jax.tree.map(lambda a: next(leaves) if a.size else jnp.zeros(a.shape, a.dtype), like)
    return Checkpoint(
        step,
        state,
        json.loads((_place(folder, step) / "note.json").read_text(encoding="utf-8")),
        refused,
    )


def _place(folder: Path, step: int) -> Path:
    return folder / f"checkpoint-{step}"


def _steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, the newest first."""
    names = [p.name.removeprefix("checkpoint-") for p in folder.glob("checkpoint-*")]
    return sorted((int(n) for n in names if n.isdecimal()), reverse=True)


def _wrong(place: Path, step: int, like: PyTree, owner: str) -> str:
    """Why a checkpoint must not be read; '' if it can be."""
    try:
        contents = json.loads((place / CONTENTS).read_text(encoding="utf-8"))
        if (whose := (contents["owner"], contents["step"])) != (owner, step):
            return (
                f"is of step {whose[1]} of {whose[0]!r}, by its {CONTENTS}, and was put here, where"
                f" step {step} of {owner!r} belongs"
            )
        if why := changed(place, contents["files"], _files(place)):
            return f"is damaged ({why})"
        there, wanted = contents["arrays"], _arrays(like)
        for name in {**there, **wanted}:
            if there.get(name) != wanted.get(name):
                return (
                    f"is of another net or rule ({name}: {there.get(name, 'nothing')}, expected"
                    f" {wanted.get(name, 'nothing')})"
                )
    except KeyError as error:
        return f"is damaged ({CONTENTS} lacks {error})"
    except (OSError, ValueError, TypeError, AttributeError) as error:
        return f"is damaged ({CONTENTS}: {error})"
    return ""


def _files(place: Path) -> list[str]:
    """The files that have checksums.

    They are all in a checkpoint's folder, except the one that holds the checksums.
    """
    return sorted(
        p.relative_to(place).as_posix()
        for p in place.rglob("*")
        if p.is_file() and p != place / CONTENTS
    )


def _arrays(tree: PyTree) -> dict[str, str]:
    """Path of each array -> its dtype and shape."""
    return {
        jax.tree_util.keystr(path): f"{a.dtype}{list(a.shape)}"
        for path, a in jax.tree.leaves_with_path(tree)
    }


def _with_elements(tree: PyTree) -> PyTree:
    """The tree without its arrays of size zero.

    Orbax cannot store these. Delayed rewards in a run without delay are an example.
    """
    return jax.tree.map(lambda a: a if a.size else None, tree)
