"""`compare`: rules side by side at the settings that most users want."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bioplaus import data as datasets
from bioplaus.data import Dataset
from bioplaus.data.fetch import FOLDERS
from bioplaus.rules import RULES
from bioplaus.study.defaults import defaults
from bioplaus.study.run import Results, run_study
from bioplaus.study.settings import Study, StudyError
from bioplaus.study.tune import DOWNLOADED_DATA_SETTINGS
from bioplaus.types import Net

CORE = ("bp", "fa", "kp", "usf", "dfa", "np", "pc", "ep")
"""The rules of `make compare`: one from each family of ways to assign credit."""

MAX_EPOCHS = 5
"""The largest number of epochs that `compare` trains for on a data set that is downloaded."""


def compare(
    rules: Sequence[str] | str = CORE,
    *,
    net: Net | None = None,
    data: str | tuple[Any, Any] | Dataset = "digits",
    seeds: int | None = None,
    steps: int | None = None,
    own: bool = False,
    out: str | Path | None = None,
    show: bool = True,
) -> Results:
    """Train and measure rules, and the frozen baseline, on the same net, data and batches.

    rules: keys of `bp.rules.RULES`, or 'all'. net: None for the net of `comparison`. data: the name
    of a data set, (x, y), or a Dataset. seeds, steps: None for 5 seeds and 1,000 steps; on a data
    set that is downloaded, for 3 seeds and at most 5 epochs. own: use the settings that tuning
    found for each rule, instead of common ones. out: a new folder for results and report. show: a
    progress bar.

    print(compare(...)) shows the table. Raises StudyError, before any work starts, for settings
    that are wrong.
    """
    names = [rules] if isinstance(rules, str) else rules
    study = comparison(
        names, data=data if isinstance(data, str) else "digits", seeds=seeds, steps=steps, own=own
    )
    if net is not None:  # settings of a net would have no effect
        study = study.model_copy(
            update={"base": {key: value for key, value in study.base.items() if key != "net"}}
        )
    arrays = (
        None
        if isinstance(data, str)
        else data
        if isinstance(data, Dataset)
        else datasets.own(*data)
    )
    return run_study(study, net=net, data=arrays, out=Path(out) if out else None, show=show)


def comparison(
    rules: Sequence[str],
    *,
    data: str,
    seeds: int | None = None,
    steps: int | None = None,
    own: bool = False,
) -> Study:
    """The study that `compare` runs: the given rules (or 'all') and the frozen baseline.

    Digits, arrays and data sets of other packages: hidden layers 128-128, 5 seeds, 1,000 steps.
    Data sets that are downloaded: hidden layers 256-256, batches of 128, 3 seeds, and for each rule
    the epochs in bioplaus/defaults.toml, at most 5. own: use the settings that tuning found for
    each rule, instead of the defaults of `Arm`.
    """
    if not rules:
        raise StudyError("rules: got no key; give keys of rules, as in bp,fa, or all")
    keys = [*dict.fromkeys([*(RULES if list(rules) == ["all"] else rules), "frozen"])]
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
