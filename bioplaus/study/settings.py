"""The settings of a study and of an arm: keys, types, domains and defaults."""

import difflib
from typing import Any, Literal

from pydantic import Field, model_validator

from bioplaus.rules.kolen_pollack import DECAY
from bioplaus.study.forms import MAX_COUNT, Count, Settings, Strict, unset
from bioplaus.study.tables import (
    AdversarialSpec,
    ContrastSpec,
    EncoderSpec,
    ModulatorSpec,
    NetSpec,
    NeuronSpec,
    OptimiserSpec,
    RatesSpec,
    ScheduleSpec,
    StructureSpec,
    SynapsesSpec,
    TrainingDataSpec,
)

DECAYS = {"kp": DECAY}
"""The default weight decay of rules whose theory needs one."""


class StudyError(ValueError):
    """A study that cannot be run as written.

    The message says what is wrong, what was expected, and what to do.
    """


def nearest(name: str, names: Any) -> str:
    """The end of a message about an unknown name: '; did you mean ...?' or '; expected one of'."""
    close = difflib.get_close_matches(name[:100], list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of: {', '.join(names)}"


class Arm(Settings):
    """One arm of a study: all settings of a training run and of its measures."""

    data: str = "digits"
    """The data set, as `bioplaus list data` names it."""
    inputs: Literal["unit", "centred"] = "unit"
    """unit leaves pixels x in [0, 1]; centred maps them to 2 x - 1."""
    jitter: int = Field(default=0, ge=0, le=MAX_COUNT, exclude_if=unset)
    """Shifts training images by up to this number of pixels, drawn anew at each presentation."""
    net: NetSpec = NetSpec()
    """The network."""
    encoder: EncoderSpec = Field(default=EncoderSpec(), exclude_if=unset)
    """What turns data that are not sequences into the moments of a spiking net."""
    neuron: NeuronSpec = NeuronSpec()
    """The hidden neurons and their noise."""
    synapses: SynapsesSpec = Field(default=SynapsesSpec(), exclude_if=unset)
    """Synapses with dynamics of their own."""
    rates: RatesSpec = Field(default=RatesSpec(), exclude_if=unset)
    """Regularisation of firing rates."""
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
    structure: StructureSpec = Field(default=StructureSpec(), exclude_if=unset)
    """Units that are replaced, and synapses that move."""
    schedules: dict[str, ScheduleSpec] = Field(default={}, exclude_if=unset)
    """Key of a setting -> how it changes during training. The setting may be any number that the
    compiled program takes as an argument, such as `hyper.beta` or `neuron.level`. The net is
    measured at the last value.
    """
    batch_size: Count = 64
    """Examples per batch."""
    stream: int = Field(default=0, ge=0, le=MAX_COUNT, exclude_if=unset)
    """0 keeps all training data on the device. A number n keeps them on the host, and the batches
    of n steps on the device; the batches of the next n steps are sent meanwhile, so that device
    memory holds 2 n batches for each seed.
    """
    online: int = Field(default=0, ge=0, le=MAX_COUNT, exclude_if=unset)
    """0 learns from whole sequences. A number K learns while they run: the weights change after
    every K moments, by the rule's form for streams.
    """
    precision: Literal["float32", "bfloat16", "float64"] = Field(
        default="float32", exclude_if=lambda p: p == "float32"
    )
    """Precision of activities, errors and gradients. With bfloat16, weights and the optimiser's
    moments stay float32. With float64, everything in this arm is float64.
    """
    steps: Count = 1000
    """Training steps. Give `steps` or `epochs`, not both."""
    epochs: float | None = Field(default=None, gt=0, le=MAX_COUNT)
    """Passes over the training data, instead of `steps`."""
    seeds: Count = 5
    """Number of seeds. A seed fixes the initial weights and the order of the data; all seeds are
    trained together.
    """
    points: Count = 10
    """Number of times that test accuracy and alignment are measured during training."""
    alignment: bool = True
    """Whether to compare updates with those of backprop during training, and hidden layers with
    those of the bp arm after training.
    """
    robustness: bool = True
    """Whether to disturb and attack the trained net."""
    adversarial: AdversarialSpec = AdversarialSpec()
    """The attacks."""
    curves: tuple[str, ...] = ("input_noise", "weight_noise", "lesion")
    """The disturbances of the trained net, as keys of `bioplaus.measure.robustness.CURVES`."""
    draws: Count = 5
    """Number of draws of each random disturbance."""
    corruptions: str = "none"
    """Corrupted test images: none; generated, which corrupts the test images of the data set; or
    the folder of the published MNIST-C or CIFAR-10-C.
    """
    training_data: TrainingDataSpec = TrainingDataSpec()
    """Ways to degrade the training data."""
    energy: bool = True
    """Whether to count operations and memory traffic, and to estimate their energy."""

    @model_validator(mode="before")
    @classmethod
    def _default_decay(cls, settings: dict[str, Any]) -> dict[str, Any]:
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
    """A study file.

    The grid is crossed in the order in which it is written. Its values replace those of [rules],
    which replace those of [base].
    """

    name: str = Field(min_length=1)
    """The name of the study, in reports."""
    tuned: bool = False
    """Whether to use the settings that `bioplaus tune` found for each rule. Settings in [rules]
    replace them.
    """
    base: dict[str, Any] = Field(default={})
    """Settings of every arm, where they differ from the defaults below."""
    rules: dict[str, dict[str, Any]] = Field(default={})
    """Key of a rule -> settings of its arms, which replace those of [base]."""
    grid: dict[str, list[Any]] = Field(default={})
    """Dotted key of a setting -> its values. There is an arm for each combination of values."""
    extra: list[dict[str, Any]] = Field(default=[])
    """[[extra]] tables: further arms beside the grid. The settings of each replace those of [base]
    and [rules].
    """
    contrast: list[ContrastSpec] = Field(default=[])
    """[[contrast]] tables: comparisons that are planned before the run. Only these get p-values."""
    profiles: list[str] = Field(default=[])
    """Files of further energy profiles. The energy of every arm is estimated on them as well."""
