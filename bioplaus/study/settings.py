"""What can be set in a study, its types and its defaults."""

import difflib
from typing import Any, Literal

from pydantic import Field, model_validator

from bioplaus.rules.kolen_pollack import DECAY
from bioplaus.study.tables import (
    MAX_COUNT,
    AdversarialSpec,
    ContrastSpec,
    Count,
    ModulatorSpec,
    NetSpec,
    NeuronSpec,
    OptimiserSpec,
    ScheduleSpec,
    Settings,
    Strict,
    TrainingDataSpec,
)

DECAYS = {"kp": DECAY}
"""Weight decay of rules that live by it, where a study gives none."""


class StudyError(ValueError):
    """A study that cannot be run as written. The message says what is wrong, what was expected, and
    what to do.
    """


def nearest(name: str, names: Any) -> str:
    """'; did you mean ...?' or '; expected one of ...'."""
    close = difflib.get_close_matches(name[:100], list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of: {', '.join(names)}"


def _unsaid(value: Any) -> bool:
    """Leave a setting out of an arm's dump while it has its default.

    The name of an arm's folder is a hash of the dump: settings that were added later must not
    change the hash of older arms.
    """
    return not value


class Arm(Settings):
    """One arm: everything that a training run and its measures need."""

    data: str = "digits"
    """The data set, as `bioplaus list data` names it."""
    inputs: Literal["unit", "centred"] = "unit"
    """unit, pixels in [0, 1]; or centred, 2 x - 1."""
    jitter: int = Field(default=0, ge=0, le=MAX_COUNT, exclude_if=_unsaid)
    """Training images are shifted by up to so many pixels, drawn anew at each presentation."""
    net: NetSpec = NetSpec()
    """The network."""
    neuron: NeuronSpec = NeuronSpec()
    """The hidden neurons and their noise."""
    rule: str = "bp"
    """The learning rule, as `bioplaus list rules` names it."""
    hyper: dict[str, bool | int | float] = Field(default={})
    """Hyperparameters of the rule."""
    modulator: ModulatorSpec = ModulatorSpec()
    """The neuromodulator."""
    loss: Literal["cross_entropy", "binary_cross_entropy", "bernoulli", "mse"] = "cross_entropy"
    """The loss. cross_entropy and binary_cross_entropy take logits, bernoulli probabilities, mse
    values.
    """
    optimiser: OptimiserSpec = OptimiserSpec()
    """The optimiser, and constraints on the weights."""
    schedules: dict[str, ScheduleSpec] = Field(default={}, exclude_if=_unsaid)
    """Key of a setting -> how it changes in training. It may be any number that the compiled
    program takes as an argument, such as `hyper.beta` or `neuron.level`. Measures are taken at its
    last value.
    """
    batch_size: Count = 64
    """Examples per batch."""
    stream: int = Field(default=0, ge=0, le=MAX_COUNT, exclude_if=_unsaid)
    """0 keeps the training data on the device. A number n keeps them on the host, and n steps'
    batches on the device at once; the next n are prepared meanwhile, so that memory holds both.
    """
    precision: Literal["float32", "bfloat16", "float64"] = Field(
        default="float32", exclude_if=lambda p: p == "float32"
    )
    """Precision of activities, errors and gradients. Under bfloat16, weights and the optimiser's
    moments stay float32. float64 is for everything, and for this arm alone.
    """
    steps: Count = 1000
    """Training steps; not together with `epochs`."""
    epochs: float | None = Field(default=None, gt=0, le=MAX_COUNT)
    """Passes over the training data, instead of `steps`."""
    seeds: Count = 5
    """Seeds, which are trained together; a seed fixes the initial weights and the order of the
    data.
    """
    points: Count = 10
    """How often test accuracy and alignment are measured during training."""
    alignment: bool = True
    """Compares updates with backprop's during training, and hidden layers with those of the bp arm
    afterwards.
    """
    robustness: bool = True
    """Disturbs and attacks the trained net."""
    adversarial: AdversarialSpec = AdversarialSpec()
    """The attacks."""
    curves: tuple[str, ...] = ("input_noise", "weight_noise", "lesion")
    """What the trained net is disturbed by, the keys of `bioplaus.measure.robustness.CURVES`."""
    draws: Count = 5
    """Draws of each random disturbance."""
    corruptions: str = "none"
    """Corrupted test images: none, generated (made here), or the folder of the published MNIST-C or
    CIFAR-10-C.
    """
    training_data: TrainingDataSpec = TrainingDataSpec()
    """How the training data are made worse."""
    energy: bool = True
    """Counts and prices operations and memory traffic."""

    @model_validator(mode="before")
    @classmethod
    def _own_decay(cls, settings: dict[str, Any]) -> dict[str, Any]:
        optimiser, rule = settings.get("optimiser", {}), settings.get("rule")
        if (
            isinstance(rule, str)
            and rule in DECAYS
            and isinstance(optimiser, dict)
            and "weight_decay" not in optimiser
        ):
            return {**settings, "optimiser": {**optimiser, "weight_decay": DECAYS[rule]}}
        return settings

    @model_validator(mode="before")
    @classmethod
    def _one_budget(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if "steps" in settings and "epochs" in settings:
            raise ValueError("give steps or epochs, not both")
        return settings


class Study(Strict):
    """A study file. The grid is crossed in the order written, and has the last word over base and
    rules.
    """

    name: str = Field(min_length=1)
    """The name of the study, in reports."""
    tuned: bool = False
    """Gives each rule the settings that `bioplaus tune` found for it, below those of [rules]."""
    base: dict[str, Any] = Field(default={})
    """Settings of every arm, where they differ from the defaults below."""
    rules: dict[str, dict[str, Any]] = Field(default={})
    """Key of a rule -> settings of its arms, over those of [base]."""
    grid: dict[str, list[Any]] = Field(default={})
    """Dotted key of a setting -> the values that are crossed with all others."""
    extra: list[dict[str, Any]] = Field(default=[])
    """[[extra]] tables: more arms beside the grid, each with its settings over those of [base] and
    [rules].
    """
    contrast: list[ContrastSpec] = Field(default=[])
    """[[contrast]] tables: comparisons that were planned before the run. These alone get
    p-values.
    """
    profiles: list[str] = Field(default=[])
    """Files of energy profiles of your own; every arm is priced on them as well."""
