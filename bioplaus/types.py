"""The contracts: all of the public protocol, on one page.

A net is a tuple of layers; a layer is synapses followed by neurons; a rule is a drop-in for
`jax.value_and_grad`. Everything is a NamedTuple of pure functions, so that jit, vmap, scan and grad
apply to all of it. Each function is a Protocol below, which says what its arguments are. Arguments
before a `/` are given by position, and a function of yours may call them what it likes; `gate` and
`context`, which may be left out, keep their names.

Shapes: B examples, n units, n_l of layer l, C outputs. [] is a scalar.

    key      a key of `jax.random`, from which all noise of a call is drawn
    params   parameters: of a layer, a tree of arrays; of a net, a tuple of one such tree per layer
    state    what is kept from one call to the next; () if nothing is kept
    batch    a `Batch` of B examples
    x        inputs [B, ...] of a net, or of a layer
    current  what a layer's synapses send into its neurons [B, n]
    context  task or state signals, a tree of arrays [B, ...]; () if there are none
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, Protocol, TypedDict, get_args

import jax
from jax.typing import ArrayLike

Array = jax.Array
Key = jax.Array
PyTree = Any

Loss = Callable[[Array, Array], Array]
"""(output [B, C], y [B, C]) -> loss [B], one number per example."""


class Batch(NamedTuple):
    """Examples. x: [B, ...]; y: [B, C], or integer labels [B], which every rule, loss and measure
    turns to one-hot rows. context: for modulators.
    """

    x: Array
    y: Array
    context: PyTree = ()


# --- Neurons and layers


class NeuronInitFn(Protocol):
    """The state of neurons before they have received anything."""

    def __call__(self, current: Array, /) -> PyTree: ...


class StepFn(Protocol):
    """One step of neurons: (the state after it, output [B, n])."""

    def __call__(self, state: PyTree, current: Array, key: Key, /) -> tuple[PyTree, Array]: ...


class Neuron(NamedTuple):
    """What turns a current into an output. The state of a memoryless neuron is (). Noise comes only
    from `key`. `off` is the same neuron without its noise, and `mean` the same with its expected
    output; both are None if it has no noise.
    """

    init: NeuronInitFn
    step: StepFn
    off: "Neuron | None" = None
    mean: "Neuron | None" = None


class LayerInitFn(Protocol):
    """Fresh parameters for inputs shaped like x."""

    def __call__(self, key: Key, x: Array, /) -> PyTree: ...


class SynapseFn(Protocol):
    """What an input becomes on its way into the neurons: (the state after it, current)."""

    def __call__(
        self, params: PyTree, state: PyTree, x: Array, key: Key, /
    ) -> tuple[PyTree, Array]: ...


class CreditFn(Protocol):
    """Pulls a teaching signal back through the synapses: (grads, signal at the input [B, ...]).

    feedback: a tree of the shape of params, through which the signal travels to the input;
    feedback = params is backprop. signal: at the current, [B, n]. grads: a tree of the shape of
    params, summed over the batch.
    """

    def __call__(
        self, params: PyTree, feedback: PyTree, state: PyTree, x: Array, key: Key, signal: Array, /
    ) -> tuple[PyTree, Array]: ...


class Layer(NamedTuple):
    """Synapses followed by neurons: the unit of locality. Pooling and flattening belong to the next
    layer's synapses. `off` is the layer without synaptic noise; None if it has no such noise.
    `composite`: errors pass weights of the layer on their way to others inside it, so that `credit`
    reads `feedback` for its grads too.
    """

    init: LayerInitFn
    synapse: SynapseFn
    credit: CreditFn
    neuron: Neuron
    off: "Layer | None" = None
    composite: bool = False


Net = tuple[Layer, ...]
"""Parameters of a net are a tuple as well, one entry a layer."""


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
"""One gate for all layers, or a tuple of one per layer; each [], [B] or [B, n_l]; None is open."""


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
    """The output [B, C], as THIS rule's network answers."""

    def __call__(
        self, params: PyTree, state: PyTree, x: Array, key: Key, /, context: PyTree = ()
    ) -> Array: ...


class Rule(NamedTuple):
    """A learning rule: the drop-in for `jax.value_and_grad`."""

    init: InitFn
    grad: GradFn
    predict: PredictFn


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

CROSSING = "feedback"
"""Inside of a phase: a signal at a layer's current crosses weights on its way back to the input."""


# --- Neuromodulators


class Gain(NamedTuple):
    """A layer's excitability: output = out * neuron(scale * current + offset). Each [], [n] or [B,
    n].
    """

    scale: ArrayLike = 1.0
    offset: ArrayLike = 0.0
    out: ArrayLike = 1.0


class ModulatorInitFn(Protocol):
    """The modulator's state before the first batch. currents: shape and dtype [B, n_l] a layer."""

    def __call__(self, key: Key, currents: tuple[jax.ShapeDtypeStruct, ...], /) -> PyTree: ...


class GainFn(Protocol):
    """One Gain a layer, before the forward pass."""

    def __call__(self, state: PyTree, context: PyTree, /) -> tuple[Gain, ...]: ...


class PlasticityFn(Protocol):
    """(the state after this batch, gates), after the forward pass."""

    def __call__(self, state: PyTree, signals: Signals, /) -> tuple[PyTree, Gates]: ...


class Modulator(NamedTuple):
    """A neuromodulator. It acts on excitability before the forward pass, on plasticity after it,
    and never sees labels in `gain`."""

    init: ModulatorInitFn
    gain: GainFn
    gate: PlasticityFn
