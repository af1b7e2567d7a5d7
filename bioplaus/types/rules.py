"""Gates on plasticity, learning rules, and the words on the fields of their states."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Protocol, TypedDict, get_args

from jax.typing import ArrayLike

from bioplaus.types.nets import Array, Batch, Key, Loss, Net, PyTree

# --- Gates on plasticity


class Signals(NamedTuple):
    """What a rule offers to a gate before it learns, each [B]: loss; correct (0 or 1); entropy and
    surprise -log p(y|x), both in nats.

    All but the loss depend on what the loss declares outputs to be (`bioplaus.outputs`). They are
    None if it declares nothing, and a gate that reads them then raises ValueError.
    """

    loss: Array
    correct: Array
    entropy: Array
    surprise: Array


Gates = ArrayLike | tuple[ArrayLike | None, ...] | None
"""One gate for all layers, or a tuple of one per layer; None is open. Each is [], [B], or has all
axes of the layer's current, each 1 or as long as there: [B, n_l] of a dense layer; of a convolution
[B, 1, 1, n_l] for its channels and [B, H, W, 1] for its places; over time [B, T, n_l]."""


class GateFn(Protocol):
    """Gates that depend on how the batch went."""

    def __call__(self, signals: Signals, /) -> Gates: ...


Gate = Gates | GateFn


# --- Learning rules


class Info(TypedDict):
    """What a rule reports about one batch: a plain dict.

    loss: mean loss, []. signals: the `Signals` of this batch. residual: [], of a rule whose network
    settles: small against 1 if it has settled (`bioplaus.rules.shared.relax`). gate: [], of a
    modulated rule: its gates, averaged over examples, then over layers.
    A rule that reports more declares it in a subclass, `class MyInfo(Info)`. Training keeps the
    history of every entry that is an array [].
    """

    loss: Array
    signals: Signals
    residual: NotRequired[Array]
    gate: NotRequired[Array]


class StreamInfo(Info):
    """What a rule reports of a piece of K moments of B streams. output: [B, K, C], its answers, by
    the weights from before the piece."""

    output: Array


class InitFn(Protocol):
    """The rule's state before the first batch."""

    def __call__(self, key: Key, params: PyTree, batch: Batch, /) -> PyTree: ...


class GradFn(Protocol):
    """(grads, state, info). grads: a tree of the shape of params, to be DESCENDED, with any optax
    transformation: (1/B) sum_b g_b grad_b, where gate: g. state: for the next batch.
    """

    def __call__(
        self, params: PyTree, state: PyTree, batch: Batch, key: Key, /, gate: Gate = None
    ) -> tuple[PyTree, PyTree, Info]: ...


class PredictFn(Protocol):
    """The output [B, C], as THIS rule's network answers.

    A net that answers at each moment gives the mean output of all moments. `net.predictor`, and
    what passes a call on to it, take `asked` as a further keyword: [B, T], the moments that count.
    """

    def __call__(
        self, params: PyTree, state: PyTree, x: Array, key: Key, /, context: PyTree = ()
    ) -> Array: ...


class Rule(NamedTuple):
    """A learning rule: the drop-in for `jax.value_and_grad`.

    stream: the same rule on streams, which learns while time runs. A batch of it is the next K
    moments of B streams, 1 or more: x [B, K, ...], y [B, K, C], asked [B, K]; row b goes on where
    row b of the last batch has ended. Its state is a `StreamState`, and its `grad` gives a
    `StreamInfo`. None for rules that learn from whole examples alone. `bioplaus.online` runs it.
    """

    init: InitFn
    grad: GradFn
    predict: PredictFn
    stream: "Rule | None" = None


class OverTime(NamedTuple):
    """What a rule does on nets over time; its factory declares it, `learning_rule(time=...)`.

    An entry is None where the rule runs, and else the reason why it refuses:
    nets: all nets over time. recurrent: layers that hear themselves. memory: neurons or synapses
    with a state, such as `leaky`. spikes: neurons that fire. each_moment: a loss
    `at_each_moment`.
    still: None for a rule that teaches every layer, else the reason why hidden layers do not learn.
    streams: whether it also learns on streams, while time runs: then its `Rule.stream` exists.
    moment, rates: of a rule that learns from spikes alone, why it refuses nets of one moment, and
    hidden layers whose neurons do not fire.
    """

    nets: str | None = None
    recurrent: str | None = None
    memory: str | None = None
    spikes: str | None = None
    each_moment: str | None = None
    still: str | None = None
    streams: bool = False
    moment: str | None = None
    rates: str | None = None


class RuleFactory(Protocol):
    """Makes a rule for a net and a loss.

    hyper: the rule's hyperparameters, by name, with defaults, in domains that are declared by the
    words of `bioplaus.hyper`. Those that are `ArrayLike` may be tracers; sizes and counts are ints.
    """

    # Together `*args: Any, **hyper: Any` say to a type checker: any further parameters.
    def __call__(self, net: Net, loss: Loss, /, *args: Any, **hyper: Any) -> Rule: ...


# --- Words on the fields of a rule's State (a NamedTuple), which `bioplaus.states` reads

PER_EXAMPLE = "per example"
PerExample = Annotated[PyTree, PER_EXAMPLE]
"""Belongs to the examples of the last batch, and means nothing for others: what the rule holds of
each example, and how often it has met them. The rest of a state serves every batch."""

PER_LAYER = "per layer"
PerLayer = Annotated[PyTree, PER_LAYER]
"""A tuple of one entry a layer, from the first on; it may end before the last layer."""

FEEDBACK = "feedback weights"
Feedback = Annotated[PyTree, PER_LAYER, FEEDBACK]
"""Weights that errors pass on their way back, to be compared with the forward ones: a tuple of one
entry a layer, with the shapes of its params, or () where no error passes."""


class StreamState(NamedTuple):
    """The state of a rule on streams, `Rule.stream`, one row a stream.

    learned: the state of the rule itself. pasts: of `net.advance`, one entry a layer. traces: what
    else the rule keeps of the moments so far. Arrays of pasts and traces have the rows first, but
    for numbers that all streams share, as that of the moment.
    """

    learned: PyTree
    pasts: PerExample
    traces: PerExample


class OptimiserOf(NamedTuple):
    """Holds the state of an optimiser. of: (the rule's State) -> the tree that it trains."""

    of: Callable[[Any], PyTree]


# --- Names of scopes, by which `bioplaus.measure` counts what an update costs

Phase = Literal["forward", "credit", "update", "auxiliary", "optimiser"]
"""What operations are for, as `with jax.named_scope("credit"):` says. The outermost counts.

    forward    what the network computes of its input, nudged or not
    credit     what carries teaching signals to the layers
    update     what becomes of a signal and a layer's activity: the change of its weights
    auxiliary  what else a rule or a modulator learns or computes for itself
    optimiser  what makes a change of weights out of grads; training sets it
"""

PHASES: tuple[Phase, ...] = get_args(Phase)

MOMENTS = "moments"
"""Inside of a phase: a loop whose steps are the moments of a sequence, in order or in reverse."""

CROSSING = "feedback"
"""Inside of a phase: a signal at a layer's current crosses weights on its way back to the input."""
