"""Hardware profiles: energy constants with their uncertainty and their source, from profiles.toml."""

import tomllib
from importlib import resources
from typing import NamedTuple

UNITS = {
    "fp32_add": "pJ",
    "fp32_mul": "pJ",
    "sram_8kB": "pJ/64b",
    "sram_32kB": "pJ/64b",
    "sram_1MB": "pJ/64b",
    "dram": "pJ/64b",
}
"""The constants of a profile, and the unit each must have."""

GRADES = ("primary", "secondary", "unconfirmed")


class Constant(NamedTuple):
    """value, with its range [low, high], in `unit`; where it comes from, and how well that is known (one of GRADES)."""

    value: float
    unit: str
    low: float
    high: float
    source: str
    grade: str


class Profile(NamedTuple):
    """A technology. constants: the keys of UNITS."""

    name: str
    description: str
    constants: dict[str, Constant]


def profiles() -> dict[str, Profile]:
    """The profiles that come with the library, by name."""
    return parse(resources.files("bioplaus.measure.energy").joinpath("profiles.toml").read_text("utf-8"))


def parse(text: str) -> dict[str, Profile]:
    """Profiles from TOML. Raises ValueError, naming the entry, for a missing or unknown constant or field, or an empty range."""
    found = {}
    for name, table in tomllib.loads(text).items():
        entries = {k: v for k, v in table.items() if k != "description"}
        _same(name, "constants", entries, UNITS)
        found[name] = Profile(name, table.get("description", ""), {k: _constant(f"{name}.{k}", k, v) for k, v in entries.items()})
    return found


def _constant(where: str, key: str, entry: dict) -> Constant:
    _same(where, "fields", entry, Constant._fields)
    c = Constant(**entry)
    if c.unit != UNITS[key]:
        raise ValueError(f"profile {where}: the unit is {c.unit!r}, expected {UNITS[key]!r}")
    if not 0 < c.low <= c.value <= c.high:
        raise ValueError(f"profile {where}: expected 0 < low <= value <= high, got {c.low}, {c.value}, {c.high}")
    if c.grade not in GRADES or not c.source:
        raise ValueError(f"profile {where}: give a source, and a grade out of {GRADES}; got {c.source!r}, {c.grade!r}")
    return c


def _same(where: str, what: str, got, expected) -> None:
    if set(got) != set(expected):
        missing, unknown = sorted(set(expected) - set(got)), sorted(set(got) - set(expected))
        raise ValueError(f"profile {where}: missing {what} {missing}, unknown {what} {unknown}")
