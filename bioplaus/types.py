"""The contracts: all of the public protocol, on one page.

A net is a tuple of layers; a layer is synapses followed by neurons; a rule is a drop-in for `jax.value_and_grad`.
Everything is a NamedTuple of pure functions, so that jit, vmap, scan and grad apply to all of it.

Shapes: B examples, n units, C outputs. x: [B, ...], y: [B, C].
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax
from jax.typing import ArrayLike

Array = jax.Array
Key = jax.Array
PyTree = Any

Loss = Callable[[Array, Array], Array]
"""(output [B, C], y [B, C]) -> loss [B], one number per example."""


class Batch(NamedTuple):
    """Examples. x: [B, ...]; y: [B, C], or integer labels [B], which every rule, loss and measure turns to one-hot rows.

    context: task or state signals [B, ...] for modulators, () where there are none.
    """

    x: Array
    y: Array
    context: PyTree = ()


class Neuron(NamedTuple):
    """What turns a current into an output. A memoryless neuron has state (). Noise comes only from `key`.

    `off` and `mean` are the same neuron without its noise and with its expected output; None where it has no noise.
    """

    init: Callable[[Array], PyTree]  # (current) -> state
    step: Callable[[PyTree, Array, Key], tuple[PyTree, Array]]  # (state, current, key) -> (state, output)
    off: "Neuron | None" = None
    mean: "Neuron | None" = None


class Layer(NamedTuple):
    """Synapses followed by neurons: the unit of locality. Pooling and flattening belong to the next layer's synapses.

    `credit` pulls a teaching signal at this layer's current back: on the parameters (grads, summed over the batch), and
    on the input through `feedback`, a tree of the shape of params (feedback = params is backprop).
    `off` is the layer without synaptic noise; None where it has none.
    `composite`: errors pass weights of the layer on their way to others inside it, so that `credit` reads `feedback` for its grads too.
    """

    init: Callable[[Key, Array], PyTree]  # (key, example input) -> params
    synapse: Callable[[PyTree, PyTree, Array, Key], tuple[PyTree, Array]]  # (params, state, input, key) -> (state, current)
    credit: Callable[
        [PyTree, PyTree, PyTree, Array, Key, Array], tuple[PyTree, Array]
    ]  # (params, feedback, state, input, key, signal) -> (grads, signal at the input)
    neuron: Neuron
    off: "Layer | None" = None
    composite: bool = False


Net = tuple[Layer, ...]
"""Parameters of a net are a tuple as well, one entry a layer."""


class Signals(NamedTuple):
    """What a rule's free phase offers to a gate, each [B]: loss; correct (0 or 1); entropy and surprise -log p(y|x) in nats.

    All but the loss follow from what the loss declares outputs to be (`bioplaus.outputs`), and are None where it declares nothing:
    a gate that reads them then raises ValueError.
    """

    loss: Array
    correct: Array
    entropy: Array
    surprise: Array


Gates = ArrayLike | tuple[ArrayLike | None, ...] | None
"""Gate on plasticity: one for all layers, or a tuple of one per layer; each a scalar, [B] or [B, n_post]; None is open."""

Gate = Gates | Callable[[Signals], Gates]


class Rule(NamedTuple):
    """A learning rule: the drop-in for `jax.value_and_grad`.

    init:    (key, params, batch) -> state
    grad:    (params, state, batch, key, gate=None) -> (grads, state, info). grads has the tree of params and is to be
             DESCENDED, with any optax transformation: (1/B) sum_b g_b grad_b. info['loss'] is the mean loss, and
             info['signals'] the `Signals` of this batch; a rule that settles adds info['residual'].
    predict: (params, state, x, key, context=()) -> output [B, C], as THIS rule's network answers.
    """

    init: Callable[[Key, PyTree, Batch], PyTree]
    grad: Callable[..., tuple[PyTree, PyTree, dict[str, Any]]]
    predict: Callable[..., Array]


PER_EXAMPLE = "per example"
PerExample = Annotated[PyTree, PER_EXAMPLE]
"""A field of a rule's State that belongs to the examples of its last batch, and means nothing for others: what it holds of each
example, and how often it has met them. The rest of a state serves every batch. `bioplaus.states` reads it."""


PER_LAYER = "per layer"
PerLayer = Annotated[PyTree, PER_LAYER]
"""A field of a rule's State that is a tuple of one entry a layer, from the first on; it may end before the last layer."""


class OptimiserOf(NamedTuple):
    """A word for a field that holds the state of an optimiser: of: (the rule's State) -> the tree that it trains."""

    of: Callable[[Any], PyTree]


RuleFactory = Callable[..., Rule]
"""(net, loss, *, hyperparameters) -> Rule. Array hyperparameters (`ArrayLike`) may be tracers; sizes and counts are ints."""


class Gain(NamedTuple):
    """A layer's excitability: output = out * neuron(scale * current + offset). Each a scalar, [n] or [B, n]."""

    scale: ArrayLike = 1.0
    offset: ArrayLike = 0.0
    out: ArrayLike = 1.0


class Modulator(NamedTuple):
    """A neuromodulator. It acts on excitability before the forward pass, on plasticity after it, and never sees labels in `gain`.

    init: (key, currents) -> state;  currents: one `jax.ShapeDtypeStruct` [B, n_l] a layer
    gain: (state, context) -> one Gain a layer
    gate: (state, signals) -> (state, gates)
    """

    init: Callable[[Key, tuple[jax.ShapeDtypeStruct, ...]], PyTree]
    gain: Callable[[PyTree, PyTree], tuple[Gain, ...]]
    gate: Callable[[PyTree, Signals], tuple[PyTree, Gates]]
