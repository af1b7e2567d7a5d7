"""The tables of settings in a study file, such as [base.net]: keys, types, domains, defaults."""

from typing import Annotated, Literal

from pydantic import Field

from bioplaus.study.forms import Count, OfKind, Settings, Strict, unset


class NetSpec(Settings):
    """The network. Weights are drawn from N(0, variance / fan)."""

    kind: Literal["mlp", "cnn", "spiking"] = "mlp"
    """mlp is a multilayer perceptron; cnn is a convolutional net with the layers of LeNet-5;
    spiking has the hidden layers of an mlp, which run over time, on sequences.
    """
    hidden: tuple[Count, ...] = (128, 128)
    """Sizes of the hidden layers of an mlp or a spiking net. An empty list gives a linear
    readout.
    """
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
    cue: Count | None = Field(default=None, exclude_if=unset)
    """If given, every layer hears the cue of the data, of so many numbers, by gains that the rule
    learns (`bioplaus.contextual`). Data that have one: digits-in-contexts, of 3 numbers.
    """
    recurrent: bool = Field(default=False, exclude_if=unset)
    """Whether each hidden layer of a spiking net also hears its own output of the moment before."""
    dt: float | None = Field(default=None, gt=0, exclude_if=unset)
    """Length of a moment of a spiking net in ms. The default is that of the data set, and 1 for
    data that an encoder turns into sequences.
    """
    horizon: Count | None = Field(default=None, exclude_if=unset)
    """If given, truncates backprop through time: no gradient passes from one stretch of so many
    moments to the one before.
    """
    readout: Literal["pooled", "last", "each"] = Field(
        default="pooled", exclude_if=lambda r: r == "pooled"
    )
    """What the last layer of a spiking net answers: pooled, once, from the mean of the last hidden
    layer over all moments; last, once, from the last moment; each, at each moment, by leaky
    integrators, where the loss is the sum over moments and the answer their mean.
    """
    readout_gain: float = Field(default=1.0, gt=0, exclude_if=lambda g: g == 1)
    """Factor on what a readout that answers once receives. A factor of T / 4, for T moments, is a
    readout of a quarter of the number of spikes.
    """
    readout_tau: float = Field(default=20.0, gt=0, exclude_if=lambda t: t == 20)
    """Time constant in ms of the leaky integrators of a readout at each moment."""


class SurrogateSpec(OfKind):
    """The surrogate of a spike's derivative. Its numbers are further keys, such as gamma."""

    kind: str = "triangle"
    """The surrogate, a key of `bioplaus.neurons.SURROGATES`."""


class NeuronSpec(OfKind):
    """The neurons of the hidden layers, and their noise.

    Numbers of neurons over time are further keys, such as tau: those of the sections below.
    """

    kind: str = "tanh"
    """The neuron, a key of `bioplaus.neurons.NEURONS`. Those over time need a spiking net."""
    slope: float = Field(default=1.0, gt=0)
    """Slope of sigmoid and softmax neurons."""
    threshold: float = 0.0
    """Threshold. Of sigmoid neurons, the current at which their output is 1/2; of neurons over
    time, the potential of a spike, where 0 stands for the neuron's default.
    """
    reset: Literal["subtract", "subtract_undecayed", "to_zero"] | float = Field(
        default="subtract", exclude_if=lambda r: r == "subtract"
    )
    """What a spike does to the potential: of lif and alif, a key of `bioplaus.neurons.RESETS`; of
    adex, its potential after a spike in mV.
    """
    surrogate: SurrogateSpec = Field(default=SurrogateSpec(), exclude_if=unset)
    """The surrogate of a spike's derivative."""
    tau_syn: float | None = Field(default=None, gt=0, exclude_if=unset)
    """If given, exponential synapses with this time constant in ms stand before the neurons of a
    spiking net.
    """
    noise: str = "none"
    """The kind of noise: none, a key of `bioplaus.neurons.NOISES`, or a key of
    `bioplaus.neurons.SYNAPTIC_NOISES` for noise of the synapses.
    """
    level: float = Field(default=0.0, ge=0)
    """Strength of the noise. It is the standard deviation sigma, but the length of the counting
    window for poisson and bernoulli, and the release probability for synaptic_release and quantal.
    """
    noise_hyper: dict[str, int | float] = Field(default={}, exclude_if=unset)
    """Further numbers of the noise, such as the correlation of correlated."""
    each_moment: bool = Field(default=False, exclude_if=unset)
    """Whether the synapses of a spiking net draw their noise anew at each moment. If not, they draw
    once for each sequence. Noise of neurons is always drawn at each moment.
    """
    evaluate: Literal["on", "off", "mean"] = "on"
    """Noise at test time: on, as in training; off; or mean, the expected output."""


class SynapsesSpec(OfKind):
    """Synapses with dynamics of their own, of every layer but a readout that answers once.

    Their numbers are further keys, such as tau_recover: those of the sections below.
    """

    kind: str = "none"
    """none, or a key of `bioplaus.layers.SYNAPSES`. short_term and slow_release need a spiking
    net.
    """


class EncoderSpec(OfKind):
    """The encoder of a spiking net on data that are not sequences. It draws anew in each step.

    Its numbers are further keys, such as steps: those of the sections below.
    """

    kind: str = "none"
    """none, or a key of `bioplaus.encoders.ENCODERS`."""


class RatesSpec(Settings):
    """Keeps neurons that fire near a rate, by `bioplaus.rate_regularised`, under any rule."""

    target: float = Field(default=10.0, ge=0)
    """The rate of each unit that is aimed at, in Hz."""
    strength: float = Field(default=0.0, ge=0)
    """Strength of the regularisation, in units of the loss times ms^2; 0 is none."""


class StructureSpec(OfKind):
    """How the net rebuilds itself while it learns (`bioplaus.structure`). The frozen baseline does
    not.

    Numbers of each kind are further keys, such as rate: those of the sections below.
    """

    kind: str = "none"
    """none, or a key of `bioplaus.structure.STRUCTURES`."""


class ModulatorSpec(Settings):
    """The neuromodulator of the learning rule."""

    kind: str = "unmodulated"
    """The modulator, as `bioplaus list modulators` names it."""
    hyper: dict[str, int | float] = Field(default={})
    """Hyperparameters of the modulator."""


class OptimiserSpec(Settings):
    """The optimiser of the net's weights, and constraints that hold after every update.

    Constraints are those of `bioplaus.optim.projections`.
    """

    kind: Literal["sgd", "momentum", "adam"] = "adam"
    """Plain gradient descent, with momentum 0.9, or Adam."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """The learning rate."""
    temperature: float = Field(default=0.0, ge=0, exclude_if=unset)
    """Temperature of Langevin dynamics, in units of the loss: every update has noise of variance
    2 x learning rate x temperature. Needs kind = sgd.
    """
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
    clip: float | None = Field(default=None, gt=0, exclude_if=unset)
    """If given, the largest norm of the gradient of all parameters together. A larger gradient is
    scaled down to it, before all else.
    """
    gated: bool = Field(default=False, exclude_if=unset)
    """Whether the gate of a modulator scales the update that the optimiser makes, by
    `bioplaus.optim.gated`, and not the gradient, by whose size Adam divides.
    """
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
