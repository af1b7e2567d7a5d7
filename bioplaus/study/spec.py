"""Reads and checks study files.

    [base]          settings of every arm
    [rules]         settings of the arms of one rule
    [grid]          lists of values that are crossed
    [[extra]]       further arms, beside the grid
    [[contrast]]    planned comparisons of two arms
    profiles        files of further energy profiles

An example:

    name = "noise"
    profiles = ["path/to/own.toml"]
    [base]
    data = "digits"
    steps = 1000
    [base.neuron]
    noise = "gaussian"
    [rules.pc]
    hyper = {steps = 30}
    [grid]
    rule = ["bp", "fa", "pc"]
    "neuron.level" = [0.0, 0.1, 0.3]
    [[extra]]
    rule = "bp"
    net = {hidden = []}
    [[contrast]]
    a = "pc · mlp 128-128 · tanh gaussian 0.1"
    b = "fa · mlp 128-128 · tanh gaussian 0.1"

Every key is checked before any work starts; a `StudyError` names the key, what was expected, and
the valid name that is most similar.
"""

import itertools
import reprlib
import tomllib
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from bioplaus.rules import available
from bioplaus.study.acting import check_acting, check_study
from bioplaus.study.defaults import defaults
from bioplaus.study.settings import Arm, Study, StudyError, nearest
from bioplaus.study.sizes import check_count
from bioplaus.support import NEEDS_WORLD, needs_rewards
from bioplaus.types import RuleFactory

MAX_TABLE_DEPTH = 4  # the largest number of dots in a key


def load(path: Path) -> Study:
    """Read a study file. Raises StudyError if it is missing, is not TOML, or has unknown keys."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise StudyError(
            f"{path}: cannot be read ({error}); give the path of a study file (.toml)"
        ) from error
    study = _checked(Study, _toml(text, str(path)), "the study")
    # tuned settings are written out, so that the study that is saved with results is complete
    rules = defaults() if study.tuned else {}
    rules |= {rule: _over(rules.get(rule, {}), settings) for rule, settings in study.rules.items()}
    return study.model_copy(update={"rules": rules, "tuned": False})


def _toml(text: str, where: str) -> dict[str, Any]:
    """Raises StudyError for text that is not TOML, or whose values Python refuses to read."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{where}: is not valid TOML: {error}") from error
    # an integer of more than 4,300 digits, or hundreds of nested brackets
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{where}: holds a value that is too long or too deep: {error}") from error


def override(study: Study, words: Sequence[str]) -> Study:
    """The study with settings from the command line, as pairs `--key.path value`.

    They replace the settings of [base], [rules] and [grid]; `--rules.fa.key` is a setting for the
    rule fa alone. Values are read as TOML (0.1, true, [1, 2]); anything else is taken as text.
    """
    base, rules, grid = dict(study.base), dict(study.rules), dict(study.grid)
    if len(words) % 2:
        raise StudyError(
            f"{words[-1]}: has no value; settings are given as pairs, --key.path value"
        )
    for flag, text in zip(words[::2], words[1::2], strict=True):
        if not flag.startswith("--") or len(flag) < 3:
            raise StudyError(f"{flag!r}: expected a setting such as --optimiser.learning_rate 0.01")
        key = flag[2:].replace("-", "_")
        value = _value(text, flag)
        if key.startswith("rules."):
            rules = _put(rules, key.removeprefix("rules."), value)
        else:
            base = _put(_drop_budget(base, {key}), key, value)
            rules = {
                rule: _drop(_drop_budget(settings, {key}), key) for rule, settings in rules.items()
            }
            grid.pop(key, None)
    return _checked(
        Study, study.model_dump() | {"base": base, "rules": rules, "grid": grid}, "the study"
    )


def _value(text: str, flag: str) -> Any:
    """The value that follows `--key`: a TOML value, or else the text itself."""
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{flag}: has a value that is too long or too deep: {error}") from error
    return found["value"] if len(found) == 1 else text


def arms(
    study: Study, *, many: bool = False, own_net: bool = False, check: bool = True
) -> list[Arm]:
    """Every arm of the study, checked. Raises StudyError for the first error.

    many, check: see `plan`. own_net: the user gave the run a net, so that settings of a net are
    refused.
    """
    if check:
        check_count(study, many)
    for key, values in study.grid.items():
        if not values:
            raise StudyError(f"grid.{key}: is empty; give at least one value")
    rules = available()
    for rule, settings in study.rules.items():
        _check_names(
            rules, _checked(Arm, _over(study.base, settings) | {"rule": rule}, f"rules.{rule}")
        )
    # by its settings, so that an arm that occurs twice is trained once
    found: dict[str, Arm] = {}

    def add(settings: dict[str, Any], where: str) -> None:
        arm = _checked(Arm, settings, where)
        _check_names(rules, arm)
        if check:
            check_acting(arm, own_net)
        found.setdefault(arm.model_dump_json(), arm)

    for combination in itertools.product(*study.grid.values()):
        chosen = dict(zip(study.grid, combination, strict=True))
        settings = _over(study.base, _of_rule(study, chosen))
        for key, value in chosen.items():
            settings = _put(_drop_budget(settings, {key}), key, value)
        add(settings, "base")
    for i, settings in enumerate(study.extra):
        add(_over(_over(study.base, _of_rule(study, settings)), settings), f"extra[{i}]")
    if check:
        check_study(study, list(found.values()))
    return list(found.values())


def _of_rule(study: Study, chosen: dict[str, Any]) -> dict[str, Any]:
    """The settings of [rules] for the rule of an arm.

    A rule that is not text is refused later, when the arm is checked.
    """
    rule = chosen.get("rule", study.base.get("rule", "bp"))
    return study.rules.get(rule, {}) if isinstance(rule, str) else {}


def resolved(study: Study) -> dict[str, Any]:
    """The study with all defaults written out, as it is saved in study.toml and can be rerun."""
    base = _checked(Arm, study.base, "base").model_dump(mode="json", exclude_none=True)
    base.pop("steps" if "epochs" in base else "", None)
    if "weight_decay" not in study.base.get("optimiser", {}):
        base["optimiser"].pop("weight_decay")  # the default depends on the rule
    return {**study.model_dump(), "base": base}


def _put(settings: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    if key.count(".") > MAX_TABLE_DEPTH:
        raise StudyError(
            f"grid.{_SHORT.repr(key)[1:-1]}: unknown key; settings are no more than"
            f" {MAX_TABLE_DEPTH} tables deep"
        )
    if not rest:
        return {**settings, head: value}
    inner = settings.get(head, {})
    if not isinstance(inner, dict):
        raise StudyError(f"{key}: {head} is {inner!r}, not a table, and so has no key {rest!r}")
    return {**settings, head: _put(inner, rest, value)}


def _drop(settings: dict[str, Any], key: str) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    if not rest or not isinstance(settings.get(head), dict):
        return {k: v for k, v in settings.items() if k != head or rest}
    return {**settings, head: _drop(settings[head], rest)}


def _drop_budget(settings: dict[str, Any], keys: Container[str]) -> dict[str, Any]:
    """`settings`, without steps and epochs if `keys` holds one of these and so replaces both."""
    given = "steps" in keys or "epochs" in keys
    return (
        {k: v for k, v in settings.items() if k not in ("steps", "epochs")}
        if given
        else dict(settings)
    )


def _over(settings: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """`settings` with those of `more` in their place, table by table."""
    found = _drop_budget(settings, more)
    for key, value in more.items():
        old = found.get(key)
        found[key] = (
            _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return found


def _checked(model: type[BaseModel], settings: dict[str, Any], where: str) -> Any:
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        raise StudyError("; ".join(_explain(model, e, where) for e in error.errors()[:3])) from None


def _explain(model: type[BaseModel], error: Any, where: str) -> str:
    path = [str(p) for p in error["loc"]]
    key = _SHORT.repr(".".join(path if model is Study else [where, *path]))[1:-1]
    if error["type"] != "extra_forbidden":
        return (
            f"{key}: {error['msg'][0].lower()}{error['msg'][1:]}, got {_SHORT.repr(error['input'])}"
        )
    return f"{key}: unknown key{nearest(path[-1], _fields(model, path[:-1]))}"


_SHORT = reprlib.Repr()  # keeps a message to one line, however long the value is
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 200, 200


def _fields(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """The keys of the table at a path in the settings of a model."""
    found: Any = model
    for part in path:
        found = (
            found.model_fields[part].annotation if isinstance(found, type) else get_args(found)[-1]
        )
    return list(found.model_fields)


def _check_names(rules: Mapping[str, RuleFactory], arm: Arm) -> None:
    """Raise StudyError for names and hyperparameters that are in no registry."""
    from bioplaus import data, modulators
    from bioplaus.encoders import ENCODERS
    from bioplaus.layers import SYNAPSES
    from bioplaus.measure.robustness import CURVES
    from bioplaus.neurons import NEURONS, NOISES, SURROGATES, SYNAPTIC_NOISES
    from bioplaus.structure import STRUCTURES
    from bioplaus.study.build import check_numbers
    from bioplaus.study.nets import over_moments

    for key, name, names in (
        ("data", arm.data, data.available()),
        ("rule", arm.rule, rules),
        ("neuron.kind", arm.neuron.kind, NEURONS),
        ("neuron.surrogate.kind", arm.neuron.surrogate.kind, SURROGATES),
        ("encoder.kind", arm.encoder.kind, ("none", *ENCODERS)),
        ("synapses.kind", arm.synapses.kind, ("none", *SYNAPSES)),
        ("structure.kind", arm.structure.kind, ("none", *STRUCTURES)),
        ("neuron.noise", arm.neuron.noise, ("none", *NOISES, *SYNAPTIC_NOISES)),
        ("modulator.kind", arm.modulator.kind, modulators.available()),
        *(("curves", curve, CURVES) for curve in arm.curves),
    ):
        if name not in names:
            raise StudyError(f"{key}: there is no {_SHORT.repr(name)}{nearest(name, names)}")
    if needs_rewards(rules[arm.rule]):
        raise StudyError(f"rule: {arm.rule} cannot be in a study: {NEEDS_WORLD}")
    if over_moments(arm.neuron) and arm.net.kind != "spiking":
        raise StudyError(
            f"neuron.kind: {arm.neuron.kind} neurons have a state, which needs a net over time; set"
            ' net.kind = "spiking"'
        )
    if arm.net.kind == "spiking" and not arm.net.hidden:
        raise StudyError("net.hidden: is empty; a spiking net needs 1 hidden layer or more")
    check_numbers(arm)
