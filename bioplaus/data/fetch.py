"""Finds a data file.

It is looked for in $BIOPLAUS_DATA, then in the cache, then at the addresses where it is published.

Only content with the correct SHA-256 is ever returned, or with the correct MD5 where its publisher
gives no other, and a file in the cache has its final name only once it is complete. A corrupt file
in $BIOPLAUS_DATA is an error: it belongs to the user, so it is neither used nor replaced.
"""

import hashlib
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

VARIABLE = "BIOPLAUS_DATA"
FOLDERS = ("mnist", "fashion-mnist", "cifar10")
"""Folders of the data sets that are downloaded. `compare` and `tune` use a larger net and batch for
these than for others.
"""


class DataError(RuntimeError):
    """A data file is missing, corrupt or unreadable. The message says which, what was expected, and
    what to do.
    """


class File(NamedTuple):
    """name: its path below $BIOPLAUS_DATA and below the cache. checksum: of its content, a SHA-256,
    or "md5:" and an MD5, which finds damage, but no forgery. urls: tried in this order.
    """

    name: str
    checksum: str
    urls: tuple[str, ...] = ()

    def expected(self) -> str:
        """'SHA-256 ...' or 'MD5 ...'."""
        kind, _, digest = self.checksum.rpartition(":")
        return f"{'MD5' if kind else 'SHA-256'} {digest}"

    def found(self, content: bytes) -> str:
        """What `expected` would say of this content."""
        if self.checksum.startswith("md5:"):
            return f"MD5 {hashlib.md5(content, usedforsecurity=False).hexdigest()}"
        return f"SHA-256 {sha256(content)}"


def read(file: File) -> bytes:
    """The content of `file`. Raises DataError if it cannot be found, or does not have the right
    checksum.
    """
    path = given(file.name) or _downloaded(file)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error}. Repair it, or unset {VARIABLE} to download it."
        ) from error
    if (found := file.found(content)) != file.expected():
        raise DataError(
            f"{path} is corrupt: it has the {found}, expected {file.expected()}. Delete the file"
            " and retry, or put the official one in its place."
        )
    return content


def given(name: str) -> Path | None:
    """The path of `name` in $BIOPLAUS_DATA; None if that is not set or lacks the file. Raises
    DataError for a folder that holds no data sets.
    """
    if not os.environ.get(VARIABLE):
        return None
    folder = Path(os.environ[VARIABLE]).expanduser()
    if not any((folder / known).is_dir() for known in (*FOLDERS, name.partition("/")[0])):
        raise DataError(
            f"{VARIABLE}={folder} is not a folder of data sets: it must hold at least one of the"
            f" folders {', '.join(FOLDERS)}. Set {VARIABLE} to their parent, or unset it to"
            " download."
        )
    path = folder / name
    # a dangling link is the user's mistake, not an absent file
    return path if os.path.lexists(path) else None


def cache() -> Path:
    """The cache folder of the operating system.

    On Linux it is $XDG_CACHE_HOME/bioplaus or ~/.cache/bioplaus.
    """
    import pooch

    return pooch.os_cache("bioplaus")


def store(path: Path, content: bytes) -> None:
    """Write a cache file atomically. A cache that cannot be written costs only time, so this warns
    and goes on.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            whole = Path(folder) / path.name
            whole.write_bytes(content)
            os.replace(whole, path)
    except OSError as error:
        warnings.warn(f"{path} could not be cached: {error}", stacklevel=2)


def sha256(content: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _downloaded(file: File) -> Path:
    """The path of `file` in the cache, downloaded if necessary. pooch writes under another name,
    verifies, and renames.
    """
    import pooch

    folder, failures = cache(), []
    for url in file.urls:
        try:
            # Any: pooch's own annotation excludes it
            downloader: Any = pooch.HTTPDownloader(chunk_size=1 << 20, timeout=30)
            return Path(
                pooch.retrieve(
                    url, file.checksum, fname=file.name, path=folder, downloader=downloader
                )
            )
        # all of requests' errors are OSErrors; a wrong hash is a ValueError
        except (OSError, ValueError) as error:
            failures.append(f"  {url}: {error}")
    if (folder / file.name).exists():
        failures.append(f"  The copy in the cache, {folder / file.name}, is corrupt.")
    tried = (
        "could not be downloaded:\n" + "\n".join(failures)
        if failures
        else "it cannot be downloaded."
    )
    now = (
        f"{VARIABLE} is {os.environ[VARIABLE]}"
        if os.environ.get(VARIABLE)
        else f"{VARIABLE} is not set"
    )
    raise DataError(
        f"{file.name} is missing and {tried}\nSet {VARIABLE} to a folder that holds {file.name}"
        f" ({now}), or retry with a network. Expected {file.expected()}."
    )
