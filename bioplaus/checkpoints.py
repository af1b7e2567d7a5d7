"""Checkpoints: arrays with a note beside them, whole or not at all, the last two of them, and checked when they are read.

    FOLDER/checkpoint-120/state/         arrays and keys, by orbax; of a run on many machines, each process writes its share
    FOLDER/checkpoint-120/note.json      what else is to be kept with them
    FOLDER/checkpoint-120/contents.json  what each array is, and the SHA-256 of every file above

A checkpoint is made under another name and renamed when all of it is there: a kill at any moment leaves the ones before. Orbax itself
does not notice a changed byte, and casts arrays of another dtype; hence the sums, and the shapes and dtypes.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.machines import by_first, first
from bioplaus.types import PyTree


class CheckpointError(ValueError):
    """None of the checkpoints in a folder can be read."""


class Checkpoint(NamedTuple):
    """refused: newer ones that were not read, and why."""

    step: int
    state: PyTree
    note: Any
    refused: list[str]


def save(folder: Path, step: int, state: PyTree, note: Any, *, keep: int = -1) -> None:
    """Write folder/checkpoint-STEP and remove all others, but for the one of step `keep`.

    note: what JSON can hold. On many machines, called in every process; the folder must be one that all of them see.
    """
    import orbax.checkpoint as ocp

    part = folder / "checkpoint.part"

    def clear() -> None:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)

    by_first(clear)  # before any process looks whether something is there
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save((part / "state").absolute(), _with_elements(state))
    if first():
        (part / "note.json").write_text(json.dumps(note), encoding="utf-8")
        sums = {str(p.relative_to(part)): _sum(p) for p in sorted(part.rglob("*")) if p.is_file()}
        (part / "contents.json").write_text(json.dumps({"arrays": _arrays(state), "files": sums}, indent=1), encoding="utf-8")
        shutil.rmtree(_place(folder, step), ignore_errors=True)
        os.replace(part, _place(folder, step))
        for other in _steps(folder):
            if other not in (step, keep):
                shutil.rmtree(_place(folder, other))


def latest(folder: Path, like: PyTree) -> Checkpoint | None:
    """The newest checkpoint that can be read, None where there is none. like: a tree of its structure, shapes, dtypes and shardings.

    Raises CheckpointError if there are some and none can be read, because they are damaged or hold something else.
    """
    import orbax.checkpoint as ocp

    def choose() -> tuple[int | None, list[str]]:
        refused = []
        for step in _steps(folder):
            wrong = _wrong(_place(folder, step), like)
            if not wrong:
                return step, refused
            refused.append(f"{_place(folder, step).name} {wrong}")
        if refused:
            raise CheckpointError(f"{folder}: no checkpoint can be read: {'; '.join(refused)}; delete that folder to start again")
        return None, []

    step, refused = by_first(choose, CheckpointError)
    if step is None:
        return None
    with ocp.StandardCheckpointer() as checkpointer:
        found = checkpointer.restore((_place(folder, step) / "state").absolute(), _with_elements(like))
    leaves = iter(jax.tree.leaves(found))
    state = jax.tree.map(lambda a: next(leaves) if a.size else jnp.zeros(a.shape, a.dtype), like)
    return Checkpoint(step, state, json.loads((_place(folder, step) / "note.json").read_text(encoding="utf-8")), refused)


def _place(folder: Path, step: int) -> Path:
    return folder / f"checkpoint-{step}"


def _steps(folder: Path) -> list[int]:
    """The newest first."""
    names = [p.name.removeprefix("checkpoint-") for p in folder.glob("checkpoint-*")]
    return sorted((int(n) for n in names if n.isdigit()), reverse=True)


def _wrong(place: Path, like: PyTree) -> str:
    """Why a checkpoint is not to be read; '' if it is."""
    try:
        contents = json.loads((place / "contents.json").read_text(encoding="utf-8"))
        for name, known in contents["files"].items():
            if _sum(place / name) != known:
                return f"is damaged ({name} has changed)"
        there, wanted = contents["arrays"], _arrays(like)
        for name in {**there, **wanted}:
            if there.get(name) != wanted.get(name):
                return f"is of another net or rule ({name}: {there.get(name, 'nothing')}, expected {wanted.get(name, 'nothing')})"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"is damaged ({error})"
    return ""


def _sum(file: Path) -> str:
    with file.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _arrays(tree: PyTree) -> dict[str, str]:
    """Path of each array -> its dtype and shape."""
    return {jax.tree_util.keystr(path): f"{a.dtype}{list(a.shape)}" for path, a in jax.tree.leaves_with_path(tree)}


def _with_elements(tree: PyTree) -> PyTree:
    """The tree without its arrays of size zero, which orbax does not hold: rewards on their way where none is delayed."""
    return jax.tree.map(lambda a: a if a.size else None, tree)
