"""Files that survive a crash: written atomically, with checksums that reveal later changes."""

import hashlib
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path

PART = ".part"  # suffix of files that are still being written


class replacing:
    """A temporary path to write to, which replaces `path` at the end of the context.

    On an exception it is deleted instead. So readers of `path` never see a half-written file, and
    two writers do not disturb each other.
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
    """Wait until a file, or the names in a folder, are on the disk.

    If a rename reached the disk before the content of the file, a crash would leave an empty file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # on Windows a folder cannot be opened
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sums(folder: Path, names: Iterable[str]) -> dict[str, dict[str, str | int]]:
    """Name -> the SHA-256 checksum of a file in the folder, and its number of lines."""
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
    """A text on the first file that differs from its checksum; '' if none does.

    known: a result of `sums`, expected to be of the files `names`. Raises OSError for a missing
    file, and other errors if `known` is not a result of `sums`.
    """
    if not isinstance(known, dict) or set(known) != set(names):
        return (
            f"there are checksums of {', '.join(known) or 'no file'}, expected those of"
            f" {', '.join(names)}"
        )
    for name, was in known.items():
        if (now := _sum(folder / name)) != was:
            return (
                f"{name} has changed since it was written: it has {now['lines']:,} lines, and had"
                f" {was['lines']:,}"
            )
    return ""


def seal(path: Path, names: Iterable[str]) -> None:
    """Write the checksums of files into `path`, in the same folder, after all of them."""
    with replacing(path) as part:
        part.write_text(json.dumps(sums(path.parent, names), indent=1) + "\n", encoding="utf-8")


def broken(path: Path, names: Iterable[str]) -> str:
    """Why the files whose checksums `path` holds cannot be trusted; '' if they are unchanged."""
    try:
        return changed(path.parent, json.loads(path.read_text(encoding="utf-8")), names)
    except OSError as error:
        return f"{Path(error.filename).name} cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError) as error:  # not JSON, or not in the expected form
        return f"{path.name} is damaged ({error})"
