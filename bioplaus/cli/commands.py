"""The commands and their arguments; the texts below them are printed by --help."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

# their texts describe the default, so that tyro does not print one
NUMBER, FOLDER = (arg(metavar=name, help_behavior_hint="") for name in ("N", "FOLDER"))
FLAG = FlagCreatePairsOff
COMPARED = "bp, fa, kp, usf, dfa, np, pc, ep; on a spiking net bp, fa, kp, usf, dfa, local_losses"


@dataclass
class Compare:
    """Train rules on the same net, data and batches; print a table and write a report.

    Settings are the same for all rules, unless --own is given.
    """

    rules: Annotated[
        str | None, arg(metavar="KEYS", help_behavior_hint=f"Default: {COMPARED}.")
    ] = None
    """Keys of rules, separated by commas, or all. The frozen baseline is always added."""
    data: str = "digits"
    """digits, mnist, fashion-mnist, cifar10, or another set; see `bioplaus list data`."""
    net: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    """mlp, or spiking: 100 recurrent ALIF neurons. Default: spiking for sequences, as spoken-digits
    are, else mlp.
    """
    seeds: Annotated[int | None, NUMBER] = None
    """Number of seeds, trained together.
    Default: 5; 3 on data sets that are downloaded, and on a spiking net.
    """
    steps: Annotated[int | None, NUMBER] = None
    """Training steps.
    Default: 1,000; on data sets that are downloaded, at most 5 epochs; on a spiking net, 300.
    """
    own: Annotated[bool, FLAG] = False
    """Use the settings that were tuned for each rule (bioplaus/defaults.toml)."""
    out: Annotated[Path | None, FOLDER] = None
    """A new folder for the results. Default: results/compare-DATA, with a number if it exists."""
    jobs: Annotated[int | None, NUMBER] = None
    """Number of arms trained at once, in separate processes. Default: one per core, at most 8."""


@dataclass
class Run:
    """Run a study file.

    Settings given as --key.path value replace those of the file.
    """

    study: Positional[Path]
    """The study file (.toml)."""
    out: Annotated[Path | None, FOLDER] = None
    """A new folder for the results. Default: results/NAME, where NAME is that of the file."""
    resume: Annotated[bool, FLAG] = False
    """Continue a run in an existing folder; a folder that does not exist is created."""
    arms: Annotated[str | None, arg(metavar="K/N", help_behavior_hint="")] = None
    """Train share K of N of the arms, for a queue of many machines.
    A run with --resume collects them at the end.
    """
    mesh: Annotated[str | None, arg(metavar="AXES", help_behavior_hint="")] = None
    """Use several devices: data=4,model=2 divides batches and layers, seeds=8 divides the seeds."""
    jobs: Annotated[int | None, NUMBER] = None
    """Number of arms trained at once, in separate processes.
    Default: one per core, at most 8; 1 on a mesh.
    """
    many: Annotated[bool, FLAG] = False
    """Allow a study of more than 10,000 arms."""
    distributed: Annotated[bool, FLAG] = False
    """Run on many machines together. Start the command on each: by srun, TPU pod or Kubernetes.
    Batches are divided over all devices, unless --mesh says otherwise.
    See docs/machines.md.
    """


@dataclass
class Tune:
    """Tune the settings of each rule, with the same number of trials for all rules.

    Trials are compared on the validation split.

    The best three are run again on three new seeds.

    The settings and their scores are written to a file after each rule.

    A run that was stopped continues with the next rule.
    """

    rules: str = "all"
    """Keys of rules, separated by commas, or all. The frozen baseline is always added."""
    data: str = "digits"
    """digits, mnist, fashion-mnist, cifar10, or another set; see `bioplaus list data`."""
    net: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="")] = None
    """mlp, or spiking, as of `bioplaus compare`."""
    trials: int = 24
    """Number of trials for each rule."""
    seeds: int = 3
    """Number of seeds of each trial."""
    steps: int = 1000
    """Training steps of a trial."""
    epochs: int = 10
    """Epochs of trainings that use the settings; written to the file with them."""
    out: Path = Path("defaults.toml")
    """The file to write. Tuning continues from an existing file, if its budget is the same."""


@dataclass
class Verify:
    """Check the mathematical identities of each rule, and their negative controls.

    The exit code is 1 if a check fails.
    """

    rules: Positional[
        Annotated[tuple[str, ...], arg(metavar="[RULE ...]", help_behavior_hint="")]
    ] = ()
    """Keys of rules. Default: all rules."""
    net: Literal["small", "spiking"] = "small"
    """small: the nets that each rule's checks make. spiking: two spiking nets over time, of which
    one is recurrent; each rule passes the checks for any net, or refuses and says why."""


@dataclass
class List:
    """List rules, neurons, their surrogates and resets, encoders, data sets and more."""

    what: Annotated[
        Positional[
            Literal[
                "rules",
                "neurons",
                "surrogates",
                "resets",
                "encoders",
                "modulators",
                "data",
                "profiles",
                "all",
            ]
        ],
        arg(metavar="KIND"),
    ] = "all"
    """The kind to list: rules, neurons, surrogates, resets, encoders, modulators, data, profiles or
    all."""


@dataclass
class Report:
    """Write report.html again, from the results in the folder of a run."""

    folder: Positional[Path]
    """The folder of a finished run."""


Command = (
    Annotated[Compare, arg(name="compare")]
    | Annotated[Run, arg(name="run")]
    | Annotated[Tune, arg(name="tune")]
    | Annotated[Verify, arg(name="verify")]
    | Annotated[List, arg(name="list")]
    | Annotated[Report, arg(name="report")]
)
