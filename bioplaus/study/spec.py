"""What a study file may say: [base], one arm's settings; [rules], what differs for a rule; [grid], lists to be crossed;
[[extra]], arms beside the grid.

    name = "noise"
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

Every key is checked before any work starts; a `StudyError` says which key, what was expected, and what is near.
"""

import difflib
import inspect
import itertools
import tomllib
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bioplaus.study.defaults import defaults


class StudyError(ValueError):
    """A study that cannot be run as written. The message says what is wrong, what was expected, and what to do."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NetSpec(_Strict):
    """kind: mlp (hidden layers of these sizes; none: a linear readout) or cnn (LeNet-5's shape). W ~ N(0, variance / fan).

    output: the neurons of the last layer; sigmoid goes with the losses mse and bernoulli.
    """

    kind: Literal["mlp", "cnn"] = "mlp"
    hidden: tuple[int, ...] = (128, 128)
    output: Literal["identity", "sigmoid"] = "identity"
    variance: float = Field(default=0.25, gt=0)
    fan: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"


class NeuronSpec(_Strict):
    """kind: the rate function. level: sigma, the window of poisson, or the release probability. evaluate: noise at test time."""

    kind: Literal["tanh", "sigmoid", "hard_sigmoid", "relu", "softplus"] = "tanh"
    noise: Literal["none", "gaussian", "gaussian_current", "multiplicative", "poisson", "synaptic_release"] = "none"
    level: float = Field(default=0.0, ge=0)
    evaluate: Literal["on", "off", "mean"] = "on"


class ModulatorSpec(_Strict):
    """kind: a key of MODULATORS. hyper: its hyperparameters."""

    kind: str = "unmodulated"
    hyper: dict[str, int | float] = {}


class OptimiserSpec(_Strict):
    """kind: sgd, momentum (0.9) or adam; weight_decay is decoupled and scaled by the learning rate, as in AdamW.

    schedule: constant; cosine, to zero at the end of training; or step, times 0.1 at each of `milestones` (fractions of training).
    """

    kind: Literal["sgd", "momentum", "adam"] = "adam"
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["constant", "cosine", "step"] = "constant"
    milestones: tuple[float, ...] = (0.5, 0.75)


class Arm(_Strict):
    """One arm: everything that a training run and its measures need. hyper: the rule's hyperparameters.

    Training lasts `steps`, or `epochs` passes over the training data where those are given instead.
    """

    data: str = "digits"
    net: NetSpec = NetSpec()
    neuron: NeuronSpec = NeuronSpec()
    rule: str = "bp"
    hyper: dict[str, bool | int | float] = {}
    modulator: ModulatorSpec = ModulatorSpec()
    loss: Literal["cross_entropy", "binary_cross_entropy", "bernoulli", "mse"] = "cross_entropy"
    optimiser: OptimiserSpec = OptimiserSpec()
    batch_size: int = Field(default=64, gt=0)
    steps: int = Field(default=1000, gt=0)
    epochs: float | None = Field(default=None, gt=0)
    seeds: int = Field(default=5, gt=0)
    points: int = Field(default=10, gt=0, description="how often test accuracy and alignment are measured during training")
    alignment: bool = True
    robustness: bool = True
    energy: bool = True

    @model_validator(mode="before")
    @classmethod
    def _one_budget(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if "steps" in settings and "epochs" in settings:
            raise ValueError("give steps or epochs, not both")
        return settings


class Study(_Strict):
    """base: settings that differ from `Arm`'s defaults; rules: rule -> settings of its arms, over base; grid: dotted key -> values.

    The grid is crossed in the order written, and has the last word. extra: more arms beside it, each with settings over those.
    tuned: in a study file, rules stand over the settings that `bioplaus tune` found for each.
    """

    name: str = Field(min_length=1)
    tuned: bool = False
    base: dict[str, Any] = {}
    rules: dict[str, dict[str, Any]] = {}
    grid: dict[str, list[Any]] = {}
    extra: list[dict[str, Any]] = []


def load(path: Path) -> Study:
    """Read a study file. Raises StudyError if it is missing, is not TOML, or has unknown parts."""
    try:
        study = _checked(Study, tomllib.loads(Path(path).read_text()), "the study")
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


def nearest(name: str, names: Any) -> str:
    """'; did you mean ...?' or '; expected one of ...'."""
    close = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of: {', '.join(names)}"


def _check_names(arm: Arm) -> None:
    """Names and hyperparameters that live in registries rather than in the types above."""
    from bioplaus.data import DATASETS
    from bioplaus.modulators import MODULATORS
    from bioplaus.rules import available

    rules = available()
    for key, name, names in (
        ("data", arm.data, DATASETS),
        ("rule", arm.rule, rules),
        ("modulator.kind", arm.modulator.kind, MODULATORS),
    ):
        if name not in names:
            raise StudyError(f"{key}: there is no {name!r}{nearest(name, names)}")
    for key, factory, hyper in (
        ("hyper", rules[arm.rule], arm.hyper),
        ("modulator.hyper", MODULATORS[arm.modulator.kind], arm.modulator.hyper),
    ):
        known = inspect.signature(factory).parameters
        names = [n for n, p in known.items() if _numeric(p.annotation)]
        for name in names:
            if known[name].default is inspect.Parameter.empty and name not in hyper:
                raise StudyError(f"{key}.{name}: is missing, and {factory.__name__} has no default for it; give a number")
        for name, value in hyper.items():
            if name not in names:
                raise StudyError(f"{key}.{name}: unknown hyperparameter{nearest(name, names)}")
            if known[name].annotation is int and not (isinstance(value, int) and value > 0):
                raise StudyError(f"{key}.{name}: expected a whole number of 1 or more, got {value!r}")
    noise, level = arm.neuron.noise, arm.neuron.level
    if noise == "poisson" and level <= 0:
        raise StudyError(f"neuron.level: for poisson it is the counting window and must be above 0, got {level}")
    if noise == "synaptic_release" and not 0 < level <= 1:
        raise StudyError(f"neuron.level: for synaptic_release it is a probability in (0, 1], got {level}")
    if min(arm.net.hidden, default=1) < 1:
        raise StudyError(f"net.hidden: every layer needs 1 unit or more, got {list(arm.net.hidden)}")


def _numeric(annotation: Any) -> bool:
    from jax.typing import ArrayLike

    return annotation in (bool, int, float, ArrayLike)
