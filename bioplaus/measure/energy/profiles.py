"""Hardware profiles: energy constants with their uncertainty and source.

They come from profiles.toml or from your files.

A clocked machine performs every operation, and pays for arithmetic and for memory access by the
size of the tensor. An event-driven machine pays for events: a synaptic event, a spike sent, an
update of a neuron, a change of a synapse.
"""

import tomllib
from importlib import resources
from pathlib import Path
from typing import NamedTuple

MEMORIES = {"sram_8kB": 8 * 1024, "sram_32kB": 32 * 1024, "sram_1MB": 1024 * 1024, "dram": None}
"""The memories that a clocked profile may have, and how many bytes each holds; dram holds a tensor
of any size.
"""

CLOCKED = {"fp32_add": ("pJ",), "fp32_mul": ("pJ",)} | dict.fromkeys(MEMORIES, ("pJ/64b",))
EVENT = {
    **dict.fromkeys(("synop", "spike", "neuron_update", "synapse_update"), ("pJ", "ATP")),
    "static": ("W",),
    "rest": ("ATP/s",),
    "atp": ("J",),
}
"""The constants that a profile of each kind may have, and the units of each.

synop: one synaptic event. spike: one spike sent. static: power of the machine. rest: power of a
neuron at rest. atp: energy of one ATP.
"""

NEEDED = {"clocked": {"fp32_add", "fp32_mul", "dram"}, "event": {"synop"}}

GRADES = ("primary", "secondary", "derived", "unconfirmed")
"""How well a constant is known. primary: read in the cited work. secondary: read in a work, or in
code, that cites it. derived: computed from figures that were read. unconfirmed: from memory.
"""


class Constant(NamedTuple):
    """A value with its range [low, high], in `unit`.

    source: where it was read. grade: how well it is known, one of GRADES.
    """

    value: float
    unit: str
    low: float
    high: float
    source: str
    grade: str


class Profile(NamedTuple):
    """A technology. clocked: True, or False for event-driven. inference_only: why it cannot train,
    or ''. constants: by name.
    """

    name: str
    description: str
    clocked: bool
    inference_only: str
    constants: dict[str, Constant]


def profiles(*files: str | Path) -> dict[str, Profile]:
    """The profiles of the library, by name, and those of your TOML files in the same form.

    Raises ValueError, naming the file and the entry, for a profile that is incomplete, or whose
    name is taken.
    """
    found = parse(
        resources.files("bioplaus.measure.energy")
        .joinpath("profiles.toml")
        .read_text(encoding="utf-8")
    )
    for file in files:
        try:
            more = parse(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"{file}: {error}") from error
        if taken := sorted(found.keys() & more.keys()):
            raise ValueError(
                f"{file}: profiles named {taken} are there already; give them other names"
            )
        found |= more
    return found


def parse(text: str) -> dict[str, Profile]:
    """Profiles from TOML. Raises ValueError, naming the entry, for a missing or unknown constant or
    field, or an empty range.
    """
    return {name: _profile(name, table) for name, table in tomllib.loads(text).items()}


def _profile(name: str, table: dict) -> Profile:
    if not isinstance(table, dict):
        raise ValueError(f"profile {name}: is {table!r}, expected a table of constants")
    kind, constants = table.get("kind"), {k: v for k, v in table.items() if isinstance(v, dict)}
    if kind not in NEEDED:
        raise ValueError(f"profile {name}: kind is {kind!r}, expected one of {sorted(NEEDED)}")
    units = CLOCKED if kind == "clocked" else EVENT
    in_atp = (
        {"atp"}
        if any(str(c.get("unit", "")).startswith("ATP") for c in constants.values())
        else set()
    )
    _within(name, "constants", constants, NEEDED[kind] | in_atp, set(units))
    words = {k: v for k, v in table.items() if k not in constants}
    _within(
        name, "fields", words, {"kind", "description"}, {"kind", "description", "inference_only"}
    )
    checked = {k: _constant(f"{name}.{k}", units[k], v) for k, v in constants.items()}
    return Profile(
        name, words["description"], kind == "clocked", words.get("inference_only", ""), checked
    )


def _constant(where: str, units: tuple[str, ...], entry: dict) -> Constant:
    _within(where, "fields", entry, set(Constant._fields), set(Constant._fields))
    c = Constant(**entry)
    if c.unit not in units:
        raise ValueError(
            f"profile {where}: the unit is {c.unit!r}, expected {' or '.join(map(repr, units))}"
        )
    numbers = all(isinstance(v, int | float) for v in (c.low, c.value, c.high))
    if not numbers or not 0 < c.low <= c.value <= c.high < float("inf"):
        raise ValueError(
            f"profile {where}: expected numbers 0 < low <= value <= high, got {c.low!r},"
            f" {c.value!r}, {c.high!r}"
        )
    if c.grade not in GRADES or not c.source:
        raise ValueError(
            f"profile {where}: give a source, and a grade out of {GRADES}; got {c.source!r},"
            f" {c.grade!r}"
        )
    return c


def _within(where: str, what: str, got, needed: set[str], known: set[str]) -> None:
    missing, unknown = sorted(needed - set(got)), sorted(set(got) - known)
    if missing or unknown:
        raise ValueError(f"profile {where}: missing {what} {missing}, unknown {what} {unknown}")
