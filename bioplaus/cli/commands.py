"""The commands and what can be given to each: from here the command line has its helps."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

# what holds without them, the texts say
NUMBER, FOLDER = (arg(metavar=name, help_behavior_hint="") for name in ("N", "FOLDER"))
FLAG = FlagCreatePairsOff
COMPARED = "bp, fa, kp, usf, dfa, np, pc, ep"


@dataclass
class Compare:
    """Train rules side by side; print a table and write a report.

    All have the same net, data, batches and budget.
    """

    rules: Annotated[str, arg(metavar="KEYS", help_behavior_hint=f"Default: {COMPARED}.")] = (
        COMPARED
    )
    """Keys separated by commas, or all for every rule there is. The frozen baseline is always
    added.
    """
    data: str = "digits"
    """digits, mnist, fashion-mnist, cifar10, or one of another package: see `bioplaus list
    data`.
    """
    seeds: Annotated[int | None, NUMBER] = None
    """Seeds, trained together; 5 on digits and 3 on larger data where none is given."""
    steps: Annotated[int | None, NUMBER] = None
    """Training steps; 1,000 on digits and each rule's epochs, at most 5, on larger data where none
    is given.
    """
    own: Annotated[bool, FLAG] = False
    """Each rule at its own tuned settings (bioplaus/defaults.toml), rather than all at common
    ones.
    """
    out: Annotated[Path | None, FOLDER] = None
    """A new folder for the results; results/compare-DATA, numbered, where none is given."""
    jobs: Annotated[int | None, NUMBER] = None
    """Arms trained at a time, in processes of their own; one a core, at most 8, where none is
    given.
    """


@dataclass
class Run:
    """Run a study file: [base] settings, crossed with [grid].

    Any setting can be given as --key.path value.
    """

    study: Positional[Path]
    """The study file (.toml)."""
    out: Annotated[Path | None, FOLDER] = None
    """A new folder for the results; results/NAME where none is given."""
    resume: Annotated[bool, FLAG] = False
    """Go on in a folder that exists; starts where there is none."""
    arms: Annotated[str | None, arg(metavar="K/N", help_behavior_hint="")] = None
    """A share of the arms, for a queue of many machines: 3/16 trains the third of sixteen; a run
    with --resume then collects them.
    """
    mesh: Annotated[str | None, arg(metavar="AXES", help_behavior_hint="")] = None
    """Several devices: data=4,model=2 divides batches and layers, seeds=8 puts seeds side by
    side.
    """
    jobs: Annotated[int | None, NUMBER] = None
    """Arms trained at a time, in processes of their own; one a core, at most 8, where none is
    given, and 1 on a mesh.
    """
    many: Annotated[bool, FLAG] = False
    """Run a study of more than 10,000 arms, which is refused otherwise."""
    distributed: Annotated[bool, FLAG] = False
    """One run on many machines, started once on each: by srun, on a TPU pod or by Kubernetes.
    Batches are divided over all devices unless --mesh says otherwise. See docs/machines.md.
    """


@dataclass
class Tune:
    """Find each rule's own settings, with as many trials for one as for another.

    Trials are judged on the validation split, the best three on three new seeds.

    Writes a defaults.toml, rule by rule, with the scores.

    A run that was stopped goes on.
    """

    rules: str = "all"
    """Keys separated by commas, or all; the frozen baseline is tuned with them."""
    data: str = "digits"
    """digits, mnist, fashion-mnist, cifar10, or one of another package: see `bioplaus list
    data`.
    """
    trials: int = 24
    """Settings tried for each rule."""
    seeds: int = 3
    """Seeds for each trial."""
    steps: int = 1000
    """Training steps of a trial."""
    epochs: int = 10
    """How long the settings are to be used, written with them."""
    out: Path = Path("defaults.toml")
    """The file to write. One that exists is gone on with, if it is of the same budget."""


@dataclass
class Verify:
    """Check each rule's mathematical identities and negative controls.

    Exit code 1 if one fails.
    """

    rules: Positional[
        Annotated[tuple[str, ...], arg(metavar="[RULE ...]", help_behavior_hint="")]
    ] = ()
    """Keys of rules; all where none is given."""


@dataclass
class List:
    """List what there is to choose from."""

    what: Positional[Literal["rules", "neurons", "modulators", "data", "profiles", "all"]] = "all"
    """Of what; of all where none is given."""


@dataclass
class Report:
    """Write report.html anew from a results folder."""

    folder: Positional[Path]
    """What a run has written."""


Command = (
    Annotated[Compare, arg(name="compare")]
    | Annotated[Run, arg(name="run")]
    | Annotated[Tune, arg(name="tune")]
    | Annotated[Verify, arg(name="verify")]
    | Annotated[List, arg(name="list")]
    | Annotated[Report, arg(name="report")]
)
