"""What other packages add to the library: rules, their identities, data sets and modulators, found
by their entry points.
"""

import functools
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any


class ExtensionError(ValueError):
    """An entry point of another package that cannot be used. The message is one line that says
    which, and what to do.
    """


@functools.cache
def installed(group: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    """The entry points of a group. Packages are looked for once: that takes milliseconds, and
    studies ask for every arm.
    """
    return tuple(importlib.metadata.entry_points(group=group))


def with_extensions(group: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """`own`, and what installed packages register under the entry-point group `group`, each by its
    key.

    Raises ExtensionError for a key that is taken, and for an entry point that cannot be loaded, or
    is neither a function nor of a type of the library's own entries.
    """
    found = dict(own)
    for entry in installed(group):
        where = f"{group}: the entry point {entry.name} = {entry.value}"
        if entry.name in found:
            raise ExtensionError(f"{where} has a key that is taken; rename its entry point")
        try:
            thing = entry.load()
        except Exception as error:  # whatever a package does when it is imported
            said = (str(error).splitlines() or [""])[0]
            raise ExtensionError(
                f"{where} cannot be loaded ({type(error).__name__}: {said}); repair or uninstall"
                " the package that brings it"
            ) from error
        if not isinstance(thing, (Callable, *map(type, own.values()))):
            raise ExtensionError(f"{where} is of type {type(thing).__name__}; expected a function")
        found[entry.name] = thing
    return found
