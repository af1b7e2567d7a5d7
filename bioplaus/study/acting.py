"""Settings that cannot act: a value other than the default where nothing reads it. Whoever wrote it
takes its effect for granted.

Defaults are written out in a study that was saved, and are never refused. [rules] of a rule that no
arm has are no mistake: they wait for `--rule`, or for a grid that has it.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import BaseModel

from bioplaus.measure.robustness import CURVES
from bioplaus.study.settings import Arm, Study, StudyError


class Reader(NamedTuple):
    """keys: dotted; a table stands for all in it. acts: (arm, whether the run was given a net) ->
    whether anything reads them.
    why: what a reader of the message should know.
    """

    keys: tuple[str, ...]
    acts: Callable[[Arm, bool], bool]
    why: str


def _hidden(arm: Arm, own: bool) -> bool:
    return own or arm.net.kind == "cnn" or bool(arm.net.hidden)


def _noisy(arm: Arm, own: bool) -> bool:
    return own or arm.neuron.noise != "none"


def _suite(arm: Arm, own: bool) -> bool:
    return arm.robustness and arm.adversarial.suite


READERS = (
    Reader(
        ("net", *(f"neuron.{key}" for key in ("kind", "slope", "threshold", "noise", "level"))),
        lambda a, own: not own,
        "is for a net that the study makes, and this run was given one",
    ),
    Reader(
        ("net.hidden", "net.positive"), lambda a, own: a.net.kind == "mlp", "is for net.kind = mlp"
    ),
    Reader(
        ("net.positive", "optimiser.dale", "optimiser.largest"),
        _hidden,
        "is for hidden layers, and there are none",
    ),
    Reader(
        ("neuron.slope",),
        lambda a, own: a.neuron.kind in ("sigmoid", "softmax"),
        "is for the kinds sigmoid and softmax",
    ),
    Reader(
        ("neuron.threshold",), lambda a, own: a.neuron.kind == "sigmoid", "is for the kind sigmoid"
    ),
    Reader(
        ("neuron.level", "neuron.evaluate"),
        _noisy,
        "is for neurons with noise, and neuron.noise is none",
    ),
    Reader(
        ("optimiser.milestones", "optimiser.factor"),
        lambda a, own: a.optimiser.schedule == "step",
        "is for schedule = step",
    ),
    Reader(
        ("adversarial", "curves", "draws"), lambda a, own: a.robustness, "is for robustness = true"
    ),
    Reader(
        tuple(
            f"adversarial.{key}"
            for key in ("epsilon", "examples", "restarts", "queries", "samples", "draws")
        ),
        _suite,
        "is for the suite of attacks, and adversarial.suite is false",
    ),
    Reader(
        ("adversarial.draws",),
        lambda a, own: _noisy(a, own) and a.neuron.evaluate == "on",
        "is for noise at test time: neuron.noise, with neuron.evaluate = on",
    ),
    Reader(
        ("draws",),
        lambda a, own: any(CURVES[name].random for name in a.curves),
        "is for random curves, and none is chosen",
    ),
)


def check_acting(arm: Arm, own_net: bool = False) -> None:
    """Raise StudyError for the first setting of an arm that is not its default and cannot act.
    own_net: the run was given a net.
    """
    for reader in READERS:
        for key in reader.keys:
            value, default = _value(arm, key), _value(_DEFAULT, key)
            if value != default and not reader.acts(arm, own_net):
                said = "" if isinstance(value, BaseModel) else f" = {value!r}"
                raise StudyError(
                    f"{key}{said} cannot act in an arm of {arm.rule}: it {reader.why}; leave it"
                    f" out{_back(default)}"
                )
    doubled = [name for i, name in enumerate(arm.curves) if name in arm.curves[:i]]
    if doubled:
        raise StudyError(f"curves: {doubled[0]!r} is there twice; name each once")
    marks = arm.optimiser.milestones
    if any(b <= a for a, b in itertools.pairwise(marks)):
        raise StudyError(
            f"optimiser.milestones: got {list(marks)}; each must be above the one before"
        )


def check_study(study: Study, arms: list[Arm]) -> None:
    """Raise StudyError for what stands beside the arms and cannot act."""
    if study.profiles and not any(arm.energy for arm in arms):
        raise StudyError(
            "profiles: energy is false in every arm, so that they price nothing; leave them out"
        )
    if study.tuned:
        raise StudyError(
            "tuned: is read where a study file is loaded; from Python, use bioplaus.study.load"
        )


def _value(arm: Arm, key: str) -> Any:
    found: Any = arm
    for part in key.split("."):
        found = getattr(found, part)
    return found


def _back(default: Any) -> str:
    """How an arm beside others drops what it got from [base]; TOML has no word for None."""
    return (
        ""
        if default is None or isinstance(default, BaseModel)
        else f", or set it back to {default!r} for this arm"
    )


_DEFAULT = Arm()
