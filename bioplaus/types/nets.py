"""Batches, neurons, layers, and layers over time."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
from jax.typing import ArrayLike

Array = jax.Array
Key = jax.Array
PyTree = Any

Loss = Callable[[Array, Array], Array]
"""(output [B, C], y [B, C]) -> loss [B], one number per example."""


class Batch(NamedTuple):
    """Examples. x: [B, ...]; y: [B, C], or integer labels [B], which every rule, loss and measure
    turns to one-hot rows. context: what else is known of each example, as the number of its task: a
    dict {name: array [B, ...]}, or (). Whatever reads it says under which name, in a parameter
    `key`, so that several readers share one context.

    For a net that answers at each moment, y is [B, T, C], or integer labels [B, T], or, for all
    moments alike, floats [B, C] or labels [B]. asked: [B, T], which of those answers count; None
    for all of them.
    """

    x: Array
    y: Array
    context: PyTree = ()
    asked: Array | None = None


# --- Neurons and layers


class NeuronInitFn(Protocol):
    """The state of neurons before they have received anything."""

    def __call__(self, current: Array, /) -> PyTree: ...


class StepFn(Protocol):
    """One step of neurons: (the state after it, output [B, n])."""

    def __call__(self, state: PyTree, current: Array, key: Key, /) -> tuple[PyTree, Array]: ...


LeakFn = Callable[[Array], Array]
"""(current) -> a, in the dtype of the current."""


class Neuron(NamedTuple):
    """What turns a current into an output: `init(current [B, n])` is the state at rest, and
    `step(state, current [B, n], key)` the state after a moment and the output [B, n]. The state of
    a memoryless neuron is (). Noise comes only from `key`. `off` is the same neuron without its
    noise, and `mean` the same with its expected output; both are None if it has no noise. `at(dt)`
    is the same neuron in steps of dt ms; it is None if no number of the neuron is a time. A state
    is a tree of floats. `spikes`: whether it fires, so that its output is 0 or 1 but for noise
    behind it, and its derivative a surrogate.

    `leak`: of neurons that do nothing but leak, whose state is one array [B, n]: the derivative of
    the state after a moment by the state before it is the number a = leak(current), whatever the
    neurons receive, or send. None for all others.
    """

    init: NeuronInitFn
    step: StepFn
    off: "Neuron | None" = None
    mean: "Neuron | None" = None
    at: "Callable[[float], Neuron] | None" = None
    spikes: bool = False
    leak: LeakFn | None = None


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


class RestFn(Protocol):
    """The state of synapses that have received nothing yet. x: the input of one moment [B, ...]."""

    def __call__(self, params: PyTree, x: Array, /) -> PyTree: ...


class Layer(NamedTuple):
    """Synapses followed by neurons: the unit of locality. Pooling and flattening belong to the next
    layer's synapses. `off` is the layer without synaptic noise; None if it has no such noise.
    `composite`: errors pass weights of the layer on their way to others inside it, so that `credit`
    reads `feedback` for its grads too.

    `time` is None for a layer of one moment, and only that: no rank announces time. `rest` is None
    for synapses without a state; `at(dt)` is the layer in steps of dt ms, None if its synapses know
    no time. Both are read by `bioplaus.layers.time`, which makes layers that run over time. `pool`
    is the map [B, T, ...] -> [B, ...] by which a layer of one moment reads a sequence; None if it
    reads none, or by a map that is not declared as a pool (`bioplaus.pools`).

    `affine`: whether the current is linear in the input but for a part that no input changes, and
    linear in each parameter, as x w + b is.

    `given(context)` is the layer whose synapses have heard the context of a batch, `Batch.context`;
    its own `given` is None. None for a layer that hears none. Layers that wrap others carry it.
    """

    init: LayerInitFn
    synapse: SynapseFn
    credit: CreditFn
    neuron: Neuron
    off: "Layer | None" = None
    composite: bool = False
    time: "Time | None" = None
    rest: RestFn | None = None
    at: "Callable[[float], Layer] | None" = None
    pool: Callable[[Array], Array] | None = None
    affine: bool = False
    given: "Callable[[PyTree], Layer] | None" = None


# --- Excitability


class Gain(NamedTuple):
    """A layer's excitability: output = out * neuron(scale * current + offset).

    Each number is a scalar, [n], or has all axes of the current (`out`: of the output), each 1 or
    as long as there: [B, n] of a dense layer; of a convolution [B, 1, 1, n] for its channels and
    [B, H, W, 1] for its places; over time [B, 1, n] or [B, T, n]. The forward pass raises
    ValueError for any other shape.
    """

    scale: ArrayLike = 1.0
    offset: ArrayLike = 0.0
    out: ArrayLike = 1.0


# --- Layers over time


class EncodeFn(Protocol):
    """Inputs x [B, ...] as sequences [B, T, ...]. All noise comes from `key`."""

    def __call__(self, x: Array, key: Key, /) -> Array: ...


class Encoder(NamedTuple):
    """What turns inputs into moments, as pixels into spikes (`bioplaus.encoders`).

    decode: (moments [B, T, ...]) -> what they tell of the inputs. mean: the same encoder without
    its noise, which gives the expected value of each moment; None if it draws nothing. at(dt): the
    same in moments of dt ms; None if no number of the encoder is a time. sequences: whether x are
    sequences [B, T, ...] already, of other values.
    """

    encode: EncodeFn
    decode: Callable[[Array], Array]
    mean: "Encoder | None" = None
    at: "Callable[[float], Encoder] | None" = None
    sequences: bool = False


class Past(NamedTuple):
    """What a layer has kept of the moments so far. t: their number []; synapses, neurons: states;
    output: of the last moment, () unless the layer hears it."""

    t: Array
    synapses: PyTree
    output: PyTree
    neurons: PyTree


class Played(NamedTuple):
    """A layer's answer to a piece of a sequence: current [B, T, n], output [B, T, n], the Past
    after it. heard: the layer's own output one moment before [B, T, n], () unless it hears it."""

    heard: PyTree
    current: Array
    output: Array
    past: PyTree


StartFn = Callable[[PyTree, Array], Past]
"""(params, x [B, T, ...]) -> the Past at rest, before the first moment of x."""


class RunFn(Protocol):
    """A piece x [B, T, ...], from a past, or from rest where that is None. key: of the layer."""

    def __call__(self, params: PyTree, past: Past | None, x: Array, key: Key, /) -> Played: ...


ThroughFn = Callable[[Array, Key, Array], Array]
"""(current [B, T, n], key, signal) -> from a signal at the neurons' output to one at their current,
through all later moments of their own states, of a whole sequence from rest. key: of the layer."""


class ClosedFn(Protocol):
    """From the layer's output to its current, through all later moments: the path through the
    layer's own synapses is taken at `feedback`; feedback = params is backprop through time.

    current, signal: [B, T, n] of a whole sequence, from rest. key: of the layer.
    """

    def __call__(
        self, params: PyTree, feedback: PyTree, current: Array, key: Key, signal: Array, /
    ) -> Array: ...


class Time(NamedTuple):
    """What makes a layer one over time. Axis 1 of its inputs, currents and outputs is time, and its
    `init`, `synapse`, `credit` and `neuron` work on whole sequences from rest, so that a rule need
    not know. `synapse` and `credit` take as their state what the layer heard, `Trace.heard`.

    moment: the layer at one moment [B, ...], of a recurrent layer without its own synapses.
    dt: length of a moment in ms.
    lift: (change) -> the same layer over time, made of change(each layer of one moment in it).
    gained: (gain) -> the same layer with changed excitability at every moment.
    through: what `jax.vjp` of `neuron` from rest gives, in less time and memory.
    closed: `through` that also takes the path through the layer's own synapses; None unless the
    layer hears itself.
    encoder: of a net's first layer, whose inputs are then those of the encoder, and no sequences.
    bare: this layer without its encoder.
    neuron: the layer's own `neuron`. Nets are refused whose layer has another: only `lift` changes
    what runs.
    horizon: moments of a stretch within which gradients pass; None for all.
    gains: what `gained` has added, the newest first.
    """

    moment: Layer
    dt: float
    lift: Callable[[Callable[[Layer], Layer]], Layer]
    gained: "Callable[[Gain], Layer]"
    start: StartFn
    run: RunFn
    through: ThroughFn
    closed: ClosedFn | None = None
    encoder: Encoder | None = None
    bare: "Layer | None" = None
    neuron: Neuron | None = None
    horizon: int | None = None
    gains: tuple[Gain, ...] = ()


Net = tuple[Layer, ...]
"""Parameters of a net are a tuple as well, one entry a layer."""
