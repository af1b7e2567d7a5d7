"""Extensions by other packages, through entry points: rules, identities, data sets, modulators."""

import functools
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any


class ExtensionError(ValueError):
    """An entry point of another package that cannot be used.

    The message is one line, which names the entry point and says what to do.
    """


@functools.cache
def installed(group: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    """The entry points of a group.

    They are cached: finding them takes milliseconds, and a study needs them for every arm.
    """
    return tuple(importlib.metadata.entry_points(group=group))


def with_extensions(group: str, builtin: Mapping[str, Any]) -> dict[str, Any]:
    """The library's entries, and those that other packages register under `group`, by key.

    Raises ExtensionError for a key that is taken, and for an entry point that cannot be loaded, or
    is neither a function nor of the type of one of the library's entries.
    """
    found = dict(builtin)
    for entry in installed(group):
        where = f"{group}: the entry point {entry.name} = {entry.value}"
        if entry.name in found:
            raise ExtensionError(f"{where} has a key that is taken; rename the entry point")
        try:
            thing = entry.load()
        except Exception as error:  # importing a package may raise anything
            line = (str(error).splitlines() or [""])[0]
            raise ExtensionError(
                f"{where} cannot be loaded ({type(error).__name__}: {line}); repair or uninstall"
                " the package that registers it"
            ) from error
        if not isinstance(thing, (Callable, *map(type, builtin.values()))):
            raise ExtensionError(f"{where} is of type {type(thing).__name__}; expected a function")
        found[entry.name] = thing
    return found
