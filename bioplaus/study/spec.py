"""What a study file may say: [base], one arm's settings; [rules], what differs for a rule; [grid], lists to be crossed;
[[extra]], arms beside the grid; [[contrast]], comparisons that are planned; profiles, energy profiles of your own.

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
    a = "pc"
    b = "fa"

Every key is checked before any work starts; a `StudyError` says which key, what was expected, and what is near.
"""

import itertools
import tomllib
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from bioplaus.study.defaults import defaults
from bioplaus.study.settings import Arm, Study, StudyError, nearest


def load(path: Path) -> Study:
    """Read a study file. Raises StudyError if it is missing, is not TOML, or has unknown parts."""
    try:
        study = _checked(Study, tomllib.loads(Path(path).read_text(encoding="utf-8")), "the study")
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: cannot be read ({error}); give the path of a study file (.toml)") from error
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path}: is not valid TOML: {error}") from error
    rules = defaults() if study.tuned else {}  # written out, so that what is saved with the results says it all
    rules |= {rule: _over(rules.get(rule, {}), settings) for rule, settings in study.rules.items()}
    return study.model_copy(update={"rules": rules, "tuned": False})


def override(study: Study, words: Sequence[str]) -> Study:
    """The study with `--key.path value` pairs put into [base], whatever [rules] and [grid] said; `--rules.fa.key` is for one rule.

    Values are read as TOML (0.1, true, [1, 2]); anything else is taken as text.
    """
    base, rules, grid = dict(study.base), dict(study.rules), dict(study.grid)
    if len(words) % 2:
        raise StudyError(f"{words[-1]}: has no value; settings are given as pairs, --key.path value")
    for flag, text in zip(words[::2], words[1::2], strict=True):
        if not flag.startswith("--") or len(flag) < 3:
            raise StudyError(f"{flag!r}: expected a setting such as --optimiser.learning_rate 0.01")
        key = flag[2:].replace("-", "_")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        if key.startswith("rules."):
            rules = _put(rules, key.removeprefix("rules."), value)
        else:
            base = _put(_drop_budget(base, {key}), key, value)
            rules = {rule: _drop(_drop_budget(settings, {key}), key) for rule, settings in rules.items()}
            grid.pop(key, None)
    return study.model_copy(update={"base": base, "rules": rules, "grid": grid})


def arms(study: Study) -> list[Arm]:
    """Every arm of the study, checked. Raises StudyError for the first thing that is wrong."""
    for key, values in study.grid.items():
        if not values:
            raise StudyError(f"grid.{key}: is empty; give at least one value")
    for rule, settings in study.rules.items():
        _check_names(_checked(Arm, _over(study.base, settings) | {"rule": rule}, f"rules.{rule}"))
    found = []

    def add(settings: dict[str, Any], where: str) -> None:
        arm = _checked(Arm, settings, where)
        _check_names(arm)
        if arm not in found:
            found.append(arm)

    for combination in itertools.product(*study.grid.values()):
        chosen = dict(zip(study.grid, combination, strict=True))
        rule = chosen.get("rule", study.base.get("rule", "bp"))
        settings = _over(study.base, study.rules.get(rule, {}))
        for key, value in chosen.items():
            settings = _put(_drop_budget(settings, {key}), key, value)
        add(settings, "base")
    for i, settings in enumerate(study.extra):
        own = study.rules.get(settings.get("rule", study.base.get("rule", "bp")), {})
        add(_over(_over(study.base, own), settings), f"extra[{i}]")
    return found


def resolved(study: Study) -> dict[str, Any]:
    """The study with all defaults written out, re-runnable: what is saved as study.toml."""
    base = _checked(Arm, study.base, "base").model_dump(mode="json", exclude_none=True)
    base.pop("steps" if "epochs" in base else "", None)
    if "weight_decay" not in study.base.get("optimiser", {}):
        base["optimiser"].pop("weight_decay")  # not given: it depends on the rule
    return {**study.model_dump(), "base": base}


def _put(settings: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    if not rest:
        return {**settings, head: value}
    inner = settings.get(head, {})
    if not isinstance(inner, dict):
        raise StudyError(f"{key}: {head} is {inner!r}, which has no part {rest!r}")
    return {**settings, head: _put(inner, rest, value)}


def _drop(settings: dict[str, Any], key: str) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    if not rest or not isinstance(settings.get(head), dict):
        return {k: v for k, v in settings.items() if k != head or rest}
    return {**settings, head: _drop(settings[head], rest)}


def _drop_budget(settings: dict[str, Any], keys: Container[str]) -> dict[str, Any]:
    """`settings` without steps and epochs if one of them is among `keys`, which then says how long training lasts."""
    given = "steps" in keys or "epochs" in keys
    return {k: v for k, v in settings.items() if k not in ("steps", "epochs")} if given else dict(settings)


def _over(settings: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """`more` over `settings`, table by table."""
    found = _drop_budget(settings, more)
    for key, value in more.items():
        old = found.get(key)
        found[key] = _over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return found


def _checked(model: type[BaseModel], settings: dict[str, Any], where: str) -> Any:
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        raise StudyError("; ".join(_explain(model, e, where) for e in error.errors()[:3])) from None


def _explain(model: type[BaseModel], error: Any, where: str) -> str:
    path = [str(p) for p in error["loc"]]
    key = ".".join(path if model is Study else [where, *path])
    if error["type"] != "extra_forbidden":
        return f"{key}: {error['msg'][0].lower()}{error['msg'][1:]}, got {error['input']!r}"
    for name in path[:-1]:
        model = model.model_fields[name].annotation  # type: ignore[assignment]
    return f"{key}: unknown key{nearest(path[-1], model.model_fields)}"


def _check_names(arm: Arm) -> None:
    """Names and hyperparameters that live in registries rather than in the types above."""
    from bioplaus.data import DATASETS
    from bioplaus.measure.robustness import CURVES
    from bioplaus.modulators import MODULATORS
    from bioplaus.rules import available
    from bioplaus.study.build import check_numbers

    rules = available()
    for key, name, names in (
        ("data", arm.data, DATASETS),
        ("rule", arm.rule, rules),
        ("modulator.kind", arm.modulator.kind, MODULATORS),
        *(("curves", curve, CURVES) for curve in arm.curves),
    ):
        if name not in names:
            raise StudyError(f"{key}: there is no {name!r}{nearest(name, names)}")
    check_numbers(arm)
    if min(arm.net.hidden, default=1) < 1:
        raise StudyError(f"net.hidden: every layer needs 1 unit or more, got {list(arm.net.hidden)}")
