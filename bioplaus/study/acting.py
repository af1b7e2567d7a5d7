"""Refuses settings that have no effect.

A setting that differs from its default, while nothing in its arm reads it, is an error: its author
believes that it does something. Defaults are never refused, because a saved study writes them all
out. Settings in [rules] for a rule that no arm uses are allowed: `--rule` or a grid may use that
rule later.
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import BaseModel

from bioplaus.measure.robustness import CURVES
from bioplaus.neurons import SYNAPTIC_NOISES
from bioplaus.study.nets import resets_by_name, takes
from bioplaus.study.settings import Arm, Study, StudyError
from bioplaus.study.tables import NeuronSpec


class Reader(NamedTuple):
    """When a group of settings has an effect.

    keys: dotted keys; the key of a table stands for all settings in it. acts: (arm, own_net) ->
    whether anything reads these settings; own_net: the user gave the run a net. why: the end of the
    error message, which says when the setting has an effect.
    """

    keys: tuple[str, ...]
    acts: Callable[[Arm, bool], bool]
    why: str


def _hidden(arm: Arm, own_net: bool) -> bool:
    return own_net or arm.net.kind == "cnn" or bool(arm.net.hidden)


def _noisy(arm: Arm, own_net: bool) -> bool:
    return own_net or arm.neuron.noise != "none"


def _suite(arm: Arm, own_net: bool) -> bool:
    return arm.robustness and arm.adversarial.suite


MODE = "evaluate"  # of noise at test time, which acts on any net

READERS = (
    Reader(
        (
            "net",
            "encoder",
            "synapses",
            *(f"neuron.{key}" for key in NeuronSpec.model_fields if key != MODE),
        ),
        lambda a, own_net: not own_net,
        "applies to a net that the study builds, and this run was given a net",
    ),
    Reader(
        ("net.hidden",),
        lambda a, own_net: a.net.kind != "cnn",
        "applies to net.kind = mlp and spiking",
    ),
    Reader(
        ("net.positive",),
        lambda a, own_net: a.net.kind == "mlp",
        "applies to net.kind = mlp",
    ),
    Reader(
        (
            "encoder",
            "neuron.tau_syn",
            *(f"net.{key}" for key in ("recurrent", "dt", "horizon", "readout")),
            *(f"net.{key}" for key in ("readout_gain", "readout_tau")),
        ),
        lambda a, own_net: a.net.kind == "spiking",
        "applies to net.kind = spiking",
    ),
    Reader(
        ("online",),
        lambda a, own_net: own_net or (a.net.kind == "spiking" and a.net.readout == "each"),
        "applies to a net that answers at each moment, net.kind = spiking and net.readout = each",
    ),
    Reader(
        ("net.readout_tau",),
        lambda a, own_net: a.net.readout == "each",
        "applies to a readout at each moment, net.readout = each",
    ),
    Reader(
        ("net.readout_gain", "net.output"),
        lambda a, own_net: a.net.readout != "each",
        "applies to a net that answers once, and net.readout is each",
    ),
    Reader(
        ("rates.target",),
        lambda a, own_net: bool(a.rates.strength),
        "applies to a regularisation of rates.strength above 0",
    ),
    Reader(
        ("rates.strength",),
        lambda a, own_net: own_net or takes(a.neuron, "surrogate"),
        "applies to neurons that fire, as lif and alif",
    ),
    Reader(
        ("neuron.reset",),
        lambda a, own_net: resets_by_name(a.neuron) == isinstance(a.neuron.reset, str),
        "is a name for lif and alif, a number for adex, and applies to no other neuron",
    ),
    Reader(
        ("neuron.surrogate",),
        lambda a, own_net: takes(a.neuron, "surrogate"),
        "applies to neurons that fire, as lif and alif",
    ),
    Reader(
        ("net.positive", "optimiser.dale", "optimiser.largest"),
        _hidden,
        "applies to hidden layers, and this net has none",
    ),
    Reader(
        ("neuron.slope",),
        lambda a, own_net: a.neuron.kind in ("sigmoid", "softmax"),
        "applies to the kinds sigmoid and softmax",
    ),
    Reader(
        ("neuron.threshold",),
        lambda a, own_net: takes(a.neuron, "threshold"),
        "applies to the kind sigmoid, and to neurons that fire",
    ),
    Reader(
        ("neuron.level", "neuron.evaluate"),
        _noisy,
        "applies to neurons with noise, and neuron.noise is none",
    ),
    Reader(
        ("neuron.each_moment",),
        lambda a, own_net: a.net.kind == "spiking" and a.neuron.noise in SYNAPTIC_NOISES,
        "applies to noise of synapses in net.kind = spiking",
    ),
    Reader(
        ("optimiser.temperature",),
        lambda a, own_net: a.optimiser.kind == "sgd",
        "applies to kind = sgd, whose noise is that of Langevin dynamics",
    ),
    Reader(
        ("optimiser.milestones", "optimiser.factor"),
        lambda a, own_net: a.optimiser.schedule == "step",
        "applies to schedule = step",
    ),
    Reader(
        ("adversarial", "curves", "draws"),
        lambda a, own_net: a.robustness,
        "applies to robustness = true",
    ),
    Reader(
        tuple(
            f"adversarial.{key}"
            for key in ("epsilon", "examples", "restarts", "queries", "samples", "draws")
        ),
        _suite,
        "applies to the suite of attacks, and adversarial.suite is false",
    ),
    Reader(
        ("adversarial.draws",),
        lambda a, own_net: _noisy(a, own_net) and a.neuron.evaluate == "on",
        "applies to noise at test time: set neuron.noise, with neuron.evaluate = on",
    ),
    Reader(
        ("draws",),
        lambda a, own_net: any(CURVES[name].random for name in a.curves),
        "applies to curves that draw random numbers, and curves lists none of these",
    ),
)


def check_acting(arm: Arm, own_net: bool = False) -> None:
    """Raise StudyError for the first setting of an arm that has no effect.

    own_net: the user gave the run a net.
    """
    for reader in READERS:
        for key in reader.keys:
            value, default = _value(arm, key), _value(_DEFAULT, key)
            if value != default and not reader.acts(arm, own_net):
                shown = "" if isinstance(value, BaseModel) else f" = {value!r}"
                raise StudyError(
                    f"{key}{shown} has no effect in an arm of {arm.rule}: it {reader.why}; leave it"
                    f" out{_back(default)}"
                )
    doubled = [name for i, name in enumerate(arm.curves) if name in arm.curves[:i]]
    if doubled:
        raise StudyError(f"curves: {doubled[0]!r} is listed twice; list each curve once")
    marks = arm.optimiser.milestones
    if any(b <= a for a, b in itertools.pairwise(marks)):
        raise StudyError(
            f"optimiser.milestones: got {list(marks)}; each must be larger than the one before it"
        )


def check_study(study: Study, arms: list[Arm]) -> None:
    """Raise StudyError for a setting of the study itself that has no effect."""
    if study.profiles and not any(arm.energy for arm in arms):
        raise StudyError(
            "profiles: energy is false in every arm, so no energy is computed; leave profiles out"
        )
    if study.tuned:
        raise StudyError(
            "tuned: has an effect only in a study file; load the file with bioplaus.study.load"
        )


def _value(arm: Arm, key: str) -> Any:
    found: Any = arm
    for part in key.split("."):
        found = getattr(found, part)
    return found


def _back(default: Any) -> str:
    """How to undo a setting of [base] for one arm; '' for None, which TOML cannot write."""
    return (
        ""
        if default is None or isinstance(default, BaseModel)
        else f", or set it back to {default!r} for this arm"
    )


_DEFAULT = Arm()
