"""Files that survive a crash: written whole or not at all, and with sums that tell whether they are
still as they were written.
"""

import hashlib
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path

PART = ".part"  # how the names of files end that are not whole yet


class replacing:
    """A path to write to, which becomes `path` if all went well: a reader never sees half a file,
    nor does another writer.
    """

    def __init__(self, path: Path):
        self.path: Path = path
        self.part: Path = path.with_name(f"{path.name}.{platform.node()}-{os.getpid()}{PART}")

    def __enter__(self) -> Path:
        return self.part

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        del rest
        if kind is None:
            to_disk(self.part)
            os.replace(self.part, self.path)
            to_disk(self.path.parent)
        else:
            self.part.unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk: a rename that gets there before
    its file leaves an empty one.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder, on Windows, where its names cannot be waited for
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sums(folder: Path, names: Iterable[str]) -> dict[str, dict[str, str | int]]:
    """Name -> the SHA-256 of a file in the folder, and its number of lines."""
    return {name: _sum(folder / name) for name in names}


def _sum(file: Path) -> dict[str, str | int]:
    with file.open("rb") as f:
        found = hashlib.file_digest(f, "sha256").hexdigest()
        f.seek(0)
        return {
            "sha256": found,
            "lines": sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b"")),
        }


def changed(folder: Path, known: dict[str, dict[str, str | int]], names: Iterable[str]) -> str:
    """Which of the files that `sums` saw is no longer as it was, and how; '' if they are these
    names, and all as they were.

    Raises OSError for a file that is gone, and others where `known` is not what `sums` gives.
    """
    if not isinstance(known, dict) or set(known) != set(names):
        return (
            f"there are sums of {', '.join(known) or 'no file'}, expected those of"
            f" {', '.join(names)}"
        )
    for name, was in known.items():
        if (now := _sum(folder / name)) != was:
            return (
                f"{name} has changed since it was written: {now['lines']:,} lines, {was['lines']:,}"
                " when it was written"
            )
    return ""


def seal(path: Path, names: Iterable[str]) -> None:
    """Write the sums of files in the folder of `path` into it. Called when all of them are
    written.
    """
    with replacing(path) as part:
        part.write_text(json.dumps(sums(path.parent, names), indent=1) + "\n", encoding="utf-8")


def broken(path: Path, names: Iterable[str]) -> str:
    """Why the files that were sealed by `path` are not to be read; '' if they are all there and as
    they were.
    """
    try:
        return changed(path.parent, json.loads(path.read_text(encoding="utf-8")), names)
    except OSError as error:
        return f"{Path(error.filename).name} cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError) as error:  # not JSON, or JSON of another form
        return f"{path.name} is damaged ({error})"
