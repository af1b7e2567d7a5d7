"""What can be set in a study, its types and its defaults."""

import difflib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bioplaus.rules.kolen_pollack import DECAY

DECAYS = {"kp": DECAY}
"""Weight decay of rules that live by it, where a study gives none."""


class StudyError(ValueError):
    """A study that cannot be run as written. The message says what is wrong, what was expected, and what to do."""


def nearest(name: str, names: Any) -> str:
    """'; did you mean ...?' or '; expected one of ...'."""
    close = difflib.get_close_matches(name[:100], list(names), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; expected one of: {', '.join(names)}"


MOST = 2**31 - 1
"""The largest count: steps and their like are int32 in a program."""

LARGEST = 3.4e38


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Settings(_Strict):
    @field_validator("*")
    @classmethod
    def _held(cls, value: Any) -> Any:
        """Numbers that a program can hold, also where they are hyperparameters."""
        for number in value.values() if isinstance(value, dict) else (value,):
            if isinstance(number, int) and abs(number) > MOST:
                raise ValueError(f"whole numbers should be {MOST:,} at most; larger ones need a decimal point")
            if isinstance(number, float) and abs(number) > LARGEST:
                raise ValueError(f"numbers should be {LARGEST:g} at most, the largest of float32")
        return value


Count = Annotated[int, Field(gt=0, le=MOST)]


def _unsaid(value: Any) -> bool:
    """Settings that came later are written only where they are used: the folders of arms keep their names."""
    return not value


class NetSpec(_Settings):
    """kind: mlp (hidden layers of these sizes; none: a linear readout) or cnn (LeNet-5's shape). W ~ N(0, variance / fan).

    positive: hidden weights uniform and above 0, of the same mean square, and the last layer's N(0, 0.25 / fan_in). For mlp.
    output: the neurons of the last layer; sigmoid goes with the losses mse and bernoulli.
    """

    kind: Literal["mlp", "cnn"] = "mlp"
    hidden: tuple[Count, ...] = (128, 128)
    output: Literal["identity", "sigmoid"] = "identity"
    variance: float = Field(default=0.25, gt=0)
    fan: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    positive: bool = False


class NeuronSpec(_Settings):
    """kind: the rate function. level: sigma, the window of poisson, or the release probability. evaluate: noise at test time.

    slope, threshold: of sigmoid; softmax has the slope.
    """

    kind: Literal["tanh", "sigmoid", "hard_sigmoid", "relu", "leaky_relu", "gelu", "softplus", "softmax"] = "tanh"
    slope: float = Field(default=1.0, gt=0)
    threshold: float = 0.0
    noise: Literal["none", "gaussian", "gaussian_current", "multiplicative", "poisson", "synaptic_release"] = "none"
    level: float = Field(default=0.0, ge=0)
    evaluate: Literal["on", "off", "mean"] = "on"


class ModulatorSpec(_Settings):
    """kind: a key of `bioplaus.modulators.available()`. hyper: its hyperparameters."""

    kind: str = "unmodulated"
    hyper: dict[str, int | float] = {}


class OptimiserSpec(_Settings):
    """kind: sgd, momentum (0.9) or adam; weight_decay is decoupled and scaled by the learning rate, as in AdamW. Where none is given,
    a rule of `DECAYS` has its own.

    schedule: constant; cosine, to zero at the end of training; warmup, over a tenth of training to 1.1 times the rate, then along
    a cosine to a tenth of it; or step, times `factor` at each of `milestones` (fractions of training).
    largest: a rate for hidden layers, whose updates are then divided by their largest entry, each array's by its own, where `kind`
    is for the last layer alone; on the same schedule, without decay. As in Krotov and Hopfield, 2019. None: `kind` for all.
    Constraints on the net's weights, see `bioplaus.optim.projections`: dale, Dale's law, for hidden units; density, the fraction of
    synapses that exist; bits of each weight, 32 for no rounding; bound, the largest weight, for low bits the range of the levels.
    """

    kind: Literal["sgd", "momentum", "adam"] = "adam"
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["constant", "cosine", "warmup", "step"] = "constant"
    largest: float | None = Field(default=None, gt=0)
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    factor: float = Field(default=0.1, gt=0)
    dale: bool = False
    density: float = Field(default=1.0, gt=0, le=1)
    bits: Literal[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 32] = 32
    bound: float | None = Field(default=None, gt=0)


class AdversarialSpec(_Settings):
    """Attacks on the trained net, in the L-infinity ball. steps: of PGD, for the curve and the suite.

    suite: run every attack of `bioplaus.measure.robustness.suite` at radius epsilon, a fraction of the range of the inputs, on
    the first `examples` of the test set. The twelve checks that go with it, and they alone, support a claim of robustness.
    restarts: of PGD. queries: of Square and of the ray search, each. samples: random ones an example. draws: noise samples of a
    gradient, for a net with noise at test time.
    """

    steps: Count = 20
    suite: bool = False
    epsilon: float = Field(default=0.1, gt=0)
    examples: Count = 200
    restarts: Count = 5
    queries: Count = 1000
    samples: Count = 100
    draws: Count = 20


class TrainingDataSpec(_Settings):
    """Training data made worse, see `bioplaus.data.noisy`: rates of label noise, input noise (standard deviation, as a fraction of
    the range of the inputs), imbalance (the first class has so many times the examples of the last), and the fraction of the
    examples that is there.
    """

    symmetric: float = Field(default=0.0, ge=0, le=1)
    asymmetric: float = Field(default=0.0, ge=0, le=1)
    input_noise: float = Field(default=0.0, ge=0)
    imbalance: float = Field(default=1.0, ge=1)
    fraction: float = Field(default=1.0, gt=0, le=1)


class ScheduleSpec(_Settings):
    """From the setting's own value at the first step to `to` at the last: a + (b - a) t, along half a cosine, or a (b / a)^t."""

    to: float
    kind: Literal["linear", "cosine", "exponential"] = "linear"


class ContrastSpec(_Strict):
    """A planned comparison of arm a with arm b, see `bioplaus.study.contrasts`."""

    a: str
    b: str
    metric: str = "accuracy"


class Arm(_Settings):
    """One arm: everything that a training run and its measures need. hyper: the rule's hyperparameters.

    inputs: unit, pixels in [0, 1]; or centred, 2 x - 1. jitter: training images are moved by up to so many pixels, anew each time.
    stream: 0, the training data lie on the device; or the number of steps whose batches do, and the rest stay on the host.
    precision: of activities, errors and gradients on the way; weights and the optimiser's moments stay float32 under bfloat16.
    float64 is for all, and for this arm alone.
    schedules: key of a setting -> how it changes in training ("hyper.beta", "neuron.level", "hyper.temperature", ...: whatever is a
    number to the program); measures are taken at the last value.

    Training lasts `steps`, or `epochs` passes over the training data where those are given instead.
    alignment: whether updates are compared with backprop's during training, and hidden layers with those of its arm afterwards.
    robustness: whether the trained net is disturbed and attacked; curves: by what, keys of `bioplaus.measure.robustness.CURVES`;
    draws: of each random one. corruptions: of the test images: none, generated, or the folder of MNIST-C or CIFAR-10-C.
    """

    data: str = "digits"
    inputs: Literal["unit", "centred"] = "unit"
    jitter: int = Field(default=0, ge=0, le=MOST, exclude_if=_unsaid)
    net: NetSpec = NetSpec()
    neuron: NeuronSpec = NeuronSpec()
    rule: str = "bp"
    hyper: dict[str, bool | int | float] = {}
    modulator: ModulatorSpec = ModulatorSpec()
    loss: Literal["cross_entropy", "binary_cross_entropy", "bernoulli", "mse"] = "cross_entropy"
    optimiser: OptimiserSpec = OptimiserSpec()
    schedules: dict[str, ScheduleSpec] = Field(default={}, exclude_if=_unsaid)
    batch_size: Count = 64
    stream: int = Field(default=0, ge=0, le=MOST, exclude_if=_unsaid)
    precision: Literal["float32", "bfloat16", "float64"] = Field(default="float32", exclude_if=lambda p: p == "float32")
    steps: Count = 1000
    epochs: float | None = Field(default=None, gt=0, le=MOST)
    seeds: Count = 5
    points: Count = Field(default=10, description="how often test accuracy and alignment are measured during training")
    alignment: bool = True
    robustness: bool = True
    adversarial: AdversarialSpec = AdversarialSpec()
    curves: tuple[str, ...] = ("input_noise", "weight_noise", "lesion")
    draws: Count = 5
    corruptions: str = "none"
    training_data: TrainingDataSpec = TrainingDataSpec()
    energy: bool = True

    @model_validator(mode="before")
    @classmethod
    def _own_decay(cls, settings: dict[str, Any]) -> dict[str, Any]:
        optimiser, rule = settings.get("optimiser", {}), settings.get("rule")
        if isinstance(rule, str) and rule in DECAYS and isinstance(optimiser, dict) and "weight_decay" not in optimiser:
            return {**settings, "optimiser": {**optimiser, "weight_decay": DECAYS[rule]}}
        return settings

    @model_validator(mode="before")
    @classmethod
    def _one_budget(cls, settings: dict[str, Any]) -> dict[str, Any]:
        if "steps" in settings and "epochs" in settings:
            raise ValueError("give steps or epochs, not both")
        return settings


class Study(_Strict):
    """base: settings that differ from `Arm`'s defaults; rules: rule -> settings of its arms, over base; grid: dotted key -> values.

    The grid is crossed in the order written, and has the last word. extra: more arms beside it, each with settings over those.
    contrast: comparisons that were planned; they alone get p-values.
    profiles: files of energy profiles of your own, see `bioplaus.measure.energy.profiles`; every arm is priced on them as well.
    tuned: in a study file, rules stand over the settings that `bioplaus tune` found for each.
    """

    name: str = Field(min_length=1)
    tuned: bool = False
    base: dict[str, Any] = {}
    rules: dict[str, dict[str, Any]] = {}
    grid: dict[str, list[Any]] = {}
    extra: list[dict[str, Any]] = []
    contrast: list[ContrastSpec] = []
    profiles: list[str] = []
