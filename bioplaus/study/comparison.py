"""`compare`: rules side by side at the settings that most users want."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bioplaus import data as datasets
from bioplaus.data import Dataset
from bioplaus.data.fetch import FOLDERS
from bioplaus.rules import of_labels
from bioplaus.study.build import runnable
from bioplaus.study.defaults import defaults
from bioplaus.study.run import Results, run_study
from bioplaus.study.sequences import NETS, in_moments, net_kind, spiking_settings
from bioplaus.study.settings import Arm, Study, StudyError
from bioplaus.study.spec import arms
from bioplaus.study.tune import DOWNLOADED_DATA_SETTINGS
from bioplaus.types import Net

SPIKING_CORE = ("bp", "fa", "kp", "usf", "dfa", "local_losses")
"""The rules of `compare` on a spiking net: those that take spikes and answer within minutes."""

SPIKING_CURVES = ("input_noise", "weight_noise", "lesion", "hidden_spike_deletion")
"""The robustness curves of `compare` on a spiking net."""

SPIKING_BUDGET = {"seeds": 3, "steps": 300}
"""Seeds and steps of `compare` on a spiking net, unless others are given."""

CORE = ("bp", "fa", "kp", "usf", "dfa", "np", "pc", "ep")
"""The rules of `make compare`: one from each family of ways to assign credit."""

MAX_EPOCHS = 5
"""The largest number of epochs that `compare` trains for on a data set that is downloaded."""


def compare(
    rules: Sequence[str] | str | None = None,
    *,
    net: Net | str | None = None,
    data: str | tuple[Any, Any] | Dataset = "digits",
    seeds: int | None = None,
    steps: int | None = None,
    own: bool = False,
    out: str | Path | None = None,
    show: bool = True,
) -> Results:
    """Train and measure rules, and the frozen baseline, on the same net, data and batches.

    rules: keys of `bp.rules.RULES`, or 'all' that learn from labels; None for CORE, and
    SPIKING_CORE on a spiking net.
    net: a net, or mlp or spiking, those of `comparison`; None for spiking if the data are
    sequences, else mlp. data: the name of a data
    set, (x, y), or a Dataset. seeds, steps: None for 5 seeds and 1,000 steps; on a data set that is
    downloaded, for 3 seeds and at most 5 epochs; on a spiking net, for 3 seeds and 300 steps. own:
    use the settings that tuning found for each rule, instead of common ones. out: a new folder for
    results and report. show: a progress bar.

    print(compare(...)) shows the table. Raises StudyError, before any work starts, for settings
    that are wrong.
    """
    names = [rules] if isinstance(rules, str) else rules
    arrays = (
        None
        if isinstance(data, str)
        else data
        if isinstance(data, Dataset)
        else datasets.own(*data)
    )
    study = comparison(
        names,
        data=data if isinstance(data, str) else "digits",
        net=net if isinstance(net, str) or net is None else NETS[0],
        arrays=arrays,
        seeds=seeds,
        steps=steps,
        own=own,
    )
    given = None if isinstance(net, str) else net
    if given is not None:  # settings of a net would have no effect
        study = study.model_copy(
            update={"base": {key: value for key, value in study.base.items() if key != "net"}}
        )
    return run_study(study, net=given, data=arrays, out=Path(out) if out else None, show=show)


def comparison(
    rules: Sequence[str] | None,
    *,
    data: str,
    net: str | None = None,
    arrays: Dataset | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    own: bool = False,
) -> Study:
    """The study that `compare` runs: the given rules (or 'all') and the frozen baseline.

    net: None for spiking if the data are sequences, else mlp. With net = spiking it is the net of
    `bioplaus.study.sequences.spiking_settings`, 3 seeds and 300 steps, where `all` are the rules
    that take such a net; a rule that takes LIF neurons alone gives them to all, and the name of the
    study says so. With net = mlp it is:
    Digits, arrays and data sets of other packages: hidden layers 128-128, 5 seeds, 1,000 steps.
    Data sets that are downloaded: hidden layers 256-256, batches of 128, 3 seeds, and for each rule
    the epochs in bioplaus/defaults.toml, at most 5. arrays: the user's data, if they have no name.
    own: use the settings that tuning found for each rule, instead of the defaults of `Arm`.
    """
    if net_kind(net, data, arrays) == "spiking":
        return _spiking_comparison(rules, data, arrays, seeds=seeds, steps=steps, own=own)
    rules = CORE if rules is None else rules
    if not rules:
        raise StudyError("rules: got no key; give keys of rules, as in bp,fa, or all")
    rules = of_labels(over_time=False) if list(rules) == ["all"] else rules
    keys = [*dict.fromkeys([*rules, "frozen"])]
    large, tuned = data in FOLDERS, {key: found for key, found in defaults().items() if key in keys}
    base: dict[str, Any] = {
        "data": data,
        "seeds": (3 if large else 5) if seeds is None else seeds,
    } | (DOWNLOADED_DATA_SETTINGS if large else {})
    budget: dict[str, dict[str, Any]] = {}
    if steps is None and large:
        budget = {key: {"epochs": min(tuned[key]["epochs"], MAX_EPOCHS)} for key in tuned}
        base |= {"epochs": MAX_EPOCHS, "points": MAX_EPOCHS}
    else:
        base["steps"] = 1000 if steps is None else steps
    if own:
        budget = {
            key: {k: v for k, v in tuned[key].items() if k != "epochs"} | budget.get(key, {})
            for key in tuned
        }
    return Study(name=f"compare {data}", base=base, rules=budget, grid={"rule": keys})


def _spiking_comparison(
    rules: Sequence[str] | None,
    data: str,
    arrays: Dataset | None,
    *,
    seeds: int | None,
    steps: int | None,
    own: bool,
) -> Study:
    """`comparison` for a spiking net. Raises StudyError for `own`: tuning was of other nets."""
    if own:
        raise StudyError(
            "own: the settings in bioplaus/defaults.toml are of nets of a single moment; leave own"
            " out for a spiking net"
        )
    asked = {k: v for k, v in {"seeds": seeds, "steps": steps}.items() if v is not None}
    base: dict[str, Any] = {"data": data, "curves": SPIKING_CURVES} | SPIKING_BUDGET | asked
    arms(Study(name="names", base=base))  # names are checked before data are read
    use = datasets.load(data) if arrays is None else arrays
    base |= spiking_settings(use)
    taken = SPIKING_CORE if rules is None else rules
    if list(taken) == ["all"]:
        taken = [key for key in of_labels() if _takes(base, key, use)]
    keys = [*dict.fromkeys([*taken, "frozen"])]
    name = f"compare {data}, spiking"
    # One net for all: some rules, as ottt, take LIF neurons and no adaptive ones.
    plain = base | {"neuron": {"kind": "lif"}}
    picky = [key for key in keys if not _takes(base, key, use) and _takes(plain, key, use)]
    if picky:
        base, name = (
            plain,
            f"{name}: LIF neurons, because {', '.join(picky)} takes no adaptive ones",
        )
    return Study(name=name, base=base, grid={"rule": keys})


def _takes(base: dict[str, Any], rule: str, data: Dataset) -> bool:
    """Whether a rule takes the net of these settings."""
    try:
        runnable(in_moments(Arm.model_validate(base | {"rule": rule}), data), data)
    except StudyError:
        return False
    return True
