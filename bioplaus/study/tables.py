"""The tables of a study's settings, as [base.net] in a study file: their keys, types, domains and
defaults.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

MAX_COUNT = 2**31 - 1
"""The largest count: steps and their like are int32 in a program."""

MAX_FLOAT32 = 3.4e38


class Strict(BaseModel):
    """The string below a field is its description, which `docs/settings.md` is made of."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Settings(Strict):
    @field_validator("*")
    @classmethod
    def _held(cls, value: Any) -> Any:
        """Numbers that a program can hold, also where they are hyperparameters."""
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
    """mlp is a multilayer perceptron, cnn a convolutional net of the shape of LeNet-5."""
    hidden: tuple[Count, ...] = (128, 128)
    """Sizes of the hidden layers of an mlp; an empty list is a linear readout."""
    output: Literal["identity", "sigmoid"] = "identity"
    """Neurons of the last layer; sigmoid goes with the losses mse and bernoulli."""
    variance: float = Field(default=0.25, gt=0)
    """Variance of an initial weight, times its fan."""
    fan: Literal["fan_in", "fan_out", "fan_avg"] = "fan_in"
    """What the variance is divided by: the number of inputs, of outputs, or the mean of both."""
    positive: bool = False
    """Draws hidden weights of an mlp uniformly above 0, with the mean square that normal ones would
    have; the last layer is then N(0, 0.25 / fan_in)."""


class NeuronSpec(Settings):
    """The neurons of the hidden layers, and their noise."""

    kind: str = "tanh"
    """The rate function, a key of `bioplaus.neurons.NEURONS`."""
    slope: float = Field(default=1.0, gt=0)
    """Slope of sigmoid and of softmax neurons."""
    threshold: float = 0.0
    """Threshold of sigmoid neurons: the current at which they give 1/2."""
    noise: str = "none"
    """The kind of noise: none, a key of `bioplaus.neurons.NOISES`, or of `SYNAPTIC_NOISES` there
    for noise of the synapses.
    """
    level: float = Field(default=0.0, ge=0)
    """Strength of the noise: its sigma, the length of the counting window for poisson, or the
    release probability for synaptic_release.
    """
    evaluate: Literal["on", "off", "mean"] = "on"
    """Noise at test time: on as in training, off, or replaced by the expected output."""


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
    """Decoupled weight decay, scaled by the learning rate as in AdamW. Rules that need a decay have
    a default of their own: 0.3 for kp.
    """
    schedule: Literal["constant", "cosine", "warmup", "step"] = "constant"
    """The learning rate over training: constant; cosine, to zero at the end; warmup, over a tenth
    of training to 1.1 times the rate, then along a cosine to a tenth of it; or step, which
    multiplies the rate by `factor` at each of `milestones`.
    """
    largest: float | None = Field(default=None, gt=0)
    """A learning rate for hidden layers whose updates are divided by their largest entry, as in
    Krotov and Hopfield, 2019; each array is divided by its own, on the same schedule and without
    decay. Then `kind` is for the last layer alone.
    """
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    """When the schedule step changes the rate, as fractions of training."""
    factor: float = Field(default=0.1, gt=0)
    """What the schedule step multiplies the rate by at each milestone."""
    dale: bool = False
    """Dale's law: no hidden unit has outgoing weights of both signs, and none changes its sign."""
    density: float = Field(default=1.0, gt=0, le=1)
    """Fraction of the synapses that exist."""
    bits: Literal[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 32] = 32
    """Bits of each weight; 32 is no rounding."""
    bound: float | None = Field(default=None, gt=0)
    """The largest absolute value of a weight; with few bits, the range of the levels."""


class AdversarialSpec(Settings):
    """Attacks on the trained net, in the L-infinity ball, by the true gradient of what is
    deployed.
    """

    steps: Count = 20
    """Steps of projected gradient descent (PGD), for the curve and for the suite."""
    suite: bool = False
    """Runs every attack of `bioplaus.measure.robustness.suite`, with the twelve checks that alone
    support a claim of robustness.
    """
    epsilon: float = Field(default=0.1, gt=0)
    """Radius of the suite's attacks, as a fraction of the range of the inputs."""
    examples: Count = 200
    """The suite attacks so many examples, the first of the test set."""
    restarts: Count = 5
    """Random restarts of PGD in the suite."""
    queries: Count = 1000
    """Queries per example of the Square attack, and as many of the ray search."""
    samples: Count = 100
    """Random points of the ball that the suite tries per example."""
    draws: Count = 20
    """Noise samples that a gradient is averaged over, for a net with noise at test time."""


class TrainingDataSpec(Settings):
    """Training data made worse by the functions of `bioplaus.data.noisy`."""

    symmetric: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the labels that are replaced by another class, each as likely."""
    asymmetric: float = Field(default=0.0, ge=0, le=1)
    """Fraction of the labels that are replaced by the class which they are confused with."""
    input_noise: float = Field(default=0.0, ge=0)
    """Standard deviation of Gaussian noise on the inputs, as a fraction of their range."""
    imbalance: float = Field(default=1.0, ge=1)
    """How many times more examples the first class has than the last."""
    fraction: float = Field(default=1.0, gt=0, le=1)
    """Fraction of the training examples that is used."""


class ScheduleSpec(Settings):
    """How one number changes in training, from the setting's own value a at the first step to b at
    the last.

    t is the fraction of training that is over.
    """

    to: float
    """The value b at the last step."""
    kind: Literal["linear", "cosine", "exponential"] = "linear"
    """a + (b - a) t, the same along half a cosine, or a (b / a)^t."""


class ContrastSpec(Strict):
    """A planned comparison of arm a with arm b, see `bioplaus.study.contrasts`."""

    a: str
    """An arm, as the report names it."""
    b: str
    """The arm that it is compared with."""
    metric: str = "accuracy"
    """accuracy, ece, nll, brier, aurc, mCE_BP or relative mCE_BP; or the name of a curve, for the
    area under it.
    """
