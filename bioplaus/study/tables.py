"""The tables of settings in a study file, such as [base.net]: keys, types, domains, defaults."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

MAX_COUNT = 2**31 - 1
"""The largest whole number: compiled programs hold counts as int32."""

MAX_FLOAT32 = 3.4e38
"""The largest number that a program can hold as float32."""


class Strict(BaseModel):
    """A frozen model without unknown keys.

    The string below a field is its description; `docs/settings.md` is generated from these.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Settings(Strict):
    """A table whose numbers a compiled program can hold."""

    @field_validator("*")
    @classmethod
    def _held(cls, value: Any) -> Any:
        """Raise ValueError for numbers that are too large, hyperparameters included."""
        for number in value.values() if isinstance(value, dict) else (value,):
            if isinstance(number, int) and abs(number) > MAX_COUNT:
                raise ValueError(
                    f"whole numbers should be {MAX_COUNT:,} at most; larger ones need a decimal"
                    " point"
                )
            if isinstance(number, float) and abs(number) > MAX_FLOAT32:
                raise ValueError(
                    f"numbers should be {MAX_FLOAT32:g} at most, the largest of float32"
                )
        return value


Count = Annotated[int, Field(gt=0, le=MAX_COUNT)]


class NetSpec(Settings):
    """The network. Weights are drawn from N(0, variance / fan)."""

    kind: Literal["mlp", "cnn"] = "mlp"
    """mlp is a multilayer perceptron; cnn is a convolutional net with the layers of LeNet-5."""
    hidden: tuple[Count, ...] = (128, 128)
    """Sizes of the hidden layers of an mlp. An empty list gives a linear readout."""
    output: Literal["identity", "sigmoid"] = "identity"
    """Neurons of the last layer. Use sigmoid with the losses mse and bernoulli."""
    variance: float = Field(default=0.25, gt=0)
    """Variance of an initial weight, times its fan."""
    fan: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    """The fan that the variance is divided by: the number of inputs of a unit, the number of its
    outputs, or the mean of both.
    """
    positive: bool = False
    """Whether to draw the hidden weights of an mlp from a uniform distribution above 0, with the
    mean square of the normal one. The last layer is then drawn from N(0, 0.25 / fan_in).
    """


class NeuronSpec(Settings):
    """The neurons of the hidden layers, and their noise."""

    kind: str = "tanh"
    """The rate function, a key of `bioplaus.neurons.NEURONS`."""
    slope: float = Field(default=1.0, gt=0)
    """Slope of sigmoid and softmax neurons."""
    threshold: float = 0.0
    """Threshold of sigmoid neurons: the current at which their output is 1/2."""
    noise: str = "none"
    """The kind of noise: none, a key of `bioplaus.neurons.NOISES`, or a key of
    `bioplaus.neurons.SYNAPTIC_NOISES` for noise of the synapses.
    """
    level: float = Field(default=0.0, ge=0)
    """Strength of the noise. It is the standard deviation sigma, but the length of the counting
    window for poisson, and the release probability for synaptic_release.
    """
    evaluate: Literal["on", "off", "mean"] = "on"
    """Noise at test time: on, as in training; off; or mean, the expected output."""


class ModulatorSpec(Settings):
    """The neuromodulator of the learning rule."""

    kind: str = "unmodulated"
    """The modulator, as `bioplaus list modulators` names it."""
    hyper: dict[str, int | float] = {}
    """Hyperparameters of the modulator."""


class OptimiserSpec(Settings):
    """The optimiser of the net's weights, and constraints that hold after every update.

    Constraints are those of `bioplaus.optim.projections`.
    """

    kind: Literal["sgd", "momentum", "adam"] = "adam"
    """Plain gradient descent, with momentum 0.9, or Adam."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """The learning rate."""
    weight_decay: float = Field(default=0.01, ge=0)
    """Decoupled weight decay, scaled by the learning rate as in AdamW. The default for kp, which
    needs a decay, is 0.3.
    """
    schedule: Literal["constant", "cosine", "warmup", "step"] = "constant"
    """The learning rate during training. cosine falls to zero at the end. warmup rises to 1.1 times
    the rate over a tenth of training, then falls along a cosine to a tenth of the rate. step
    multiplies the rate by `factor` at each of `milestones`.
    """
    largest: float | None = Field(default=None, gt=0)
    """If given, updates of hidden layers are divided by their largest absolute entry, array by
    array, as in Krotov and Hopfield (2019), and this is the learning rate of these layers. It
    follows the same schedule; these layers have no weight decay. `kind` then applies to the last
    layer alone.
    """
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    """The fractions of training at which the schedule step changes the rate."""
    factor: float = Field(default=0.1, gt=0)
    """The factor by which the schedule step multiplies the rate at each milestone."""
    dale: bool = False
    """Dale's law: all outgoing weights of a hidden unit have one sign, which never changes."""
    density: float = Field(default=1.0, gt=0, le=1)
    """Fraction of the synapses that exist."""
    bits: Literal[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 32] = 32
    """Bits of each weight. 32 means that weights are not rounded."""
    bound: float | None = Field(default=None, gt=0)
    """The largest absolute value of a weight. With fewer than 32 bits, levels span this range."""


class AdversarialSpec(Settings):
    """Attacks on the trained net, in the L-infinity ball, by the true gradient of its output."""

    steps: Count = 20
    """Steps of projected gradient descent (PGD), in the curve under attack and in the suite."""
    suite: bool = False
    """Whether to run every attack of `bioplaus.measure.robustness.suite`, and its twelve checks. A
    claim of robustness needs them.
    """
    epsilon: float = Field(default=0.1, gt=0)
    """Radius of the suite's attacks, as a fraction of the range of the inputs."""
    examples: Count = 200
    """Number of test examples that the suite attacks."""
    restarts: Count = 5
    """Random restarts of PGD in the suite."""
    queries: Count = 1000
    """Queries per example of the Square attack, and of the ray search."""
    samples: Count = 100
    """Random points of the L-infinity ball that the suite tries for each example."""
    draws: Count = 20
    """Noise samples over which a gradient is averaged, for a net with noise at test time."""


class TrainingDataSpec(Settings):
    """Degrades the training data, by the functions of `bioplaus.data.noisy`."""

    symmetric: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the labels that are replaced by another class, drawn uniformly."""
    asymmetric: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the labels that are replaced by a similar class."""
    input_noise: float = Field(default=0.0, ge=0)
    """Standard deviation of Gaussian noise on the inputs, as a fraction of their range."""
    imbalance: float = Field(default=1.0, ge=1)
    """Number of examples of the first class divided by that of the last class."""
    fraction: float = Field(default=1.0, gt=0, le=1)
    """Fraction of the training examples that are used."""


class ScheduleSpec(Settings):
    """How one number changes during training.

    It goes from the value of its setting, a, at the first step to `to`, b, at the last step.
    """

    to: float
    """The value b at the last step."""
    kind: Literal["linear", "cosine", "exponential"] = "linear"
    """At a fraction t of training, where a is the value at the first step: linear is
    a + (b - a) t; cosine goes from a to b along half a cosine; exponential is a (b / a)^t.
    """


class ContrastSpec(Strict):
    """A planned comparison of arm a with arm b, see `bioplaus.study.contrasts`."""

    a: str
    """The name of an arm, as in the report."""
    b: str
    """The name of the arm that a is compared with."""
    metric: str = "accuracy"
    """accuracy, ece, nll, brier, aurc, mCE_BP or relative mCE_BP; or the name of a curve, for the
    area under it.
    """
