"""The contracts: all of the public protocol.

`nets` has batches, neurons, layers, and layers over time; `rules` has gates and learning rules;
`modulators` has neuromodulators.

A net is a tuple of layers; a layer is synapses followed by neurons; a rule is a drop-in for
`jax.value_and_grad`. Everything is a NamedTuple of pure functions, so that jit, vmap, scan and grad
apply to all of it. Each function is a Protocol, which says what its arguments are. Arguments
before a `/` are given by position, and a function of yours may call them what it likes; `gate` and
`context`, which may be left out, keep their names.

Shapes: B examples, T moments, n units, n_l of layer l, C outputs. [] is a scalar.

    key      a key of `jax.random`, from which all noise of a call is drawn
    params   parameters: of a layer, a tree of arrays; of a net, a tuple of one such tree per layer
    state    what is kept from one call to the next; () if nothing is kept
    batch    a `Batch` of B examples
    x        inputs [B, ...] of a net, or of a layer
    current  what a layer's synapses send into its neurons [B, n]
    context  task or state signals: a dict {name: array [B, ...]}; () if there are none
"""

from bioplaus.types.modulators import (
    GainFn,
    Modulator,
    ModulatorInitFn,
    PlasticityFn,
)
from bioplaus.types.nets import (
    Array,
    Batch,
    ClosedFn,
    CreditFn,
    EncodeFn,
    Encoder,
    Gain,
    Key,
    Layer,
    LayerInitFn,
    LeakFn,
    Loss,
    Net,
    Neuron,
    NeuronInitFn,
    Past,
    Played,
    PyTree,
    RestFn,
    RunFn,
    StartFn,
    StepFn,
    SynapseFn,
    ThroughFn,
    Time,
)
from bioplaus.types.rules import (
    CROSSING,
    FEEDBACK,
    MOMENTS,
    PER_EXAMPLE,
    PER_LAYER,
    PHASES,
    Feedback,
    Gate,
    GateFn,
    Gates,
    GradFn,
    Info,
    InitFn,
    OptimiserOf,
    OverTime,
    PerExample,
    PerLayer,
    Phase,
    PredictFn,
    Rule,
    RuleFactory,
    Signals,
    StreamInfo,
    StreamState,
)

__all__ = [
    "CROSSING",
    "FEEDBACK",
    "MOMENTS",
    "PER_EXAMPLE",
    "PER_LAYER",
    "PHASES",
    "Array",
    "Batch",
    "ClosedFn",
    "CreditFn",
    "EncodeFn",
    "Encoder",
    "Feedback",
    "Gain",
    "GainFn",
    "Gate",
    "GateFn",
    "Gates",
    "GradFn",
    "Info",
    "InitFn",
    "Key",
    "Layer",
    "LayerInitFn",
    "LeakFn",
    "Loss",
    "Modulator",
    "ModulatorInitFn",
    "Net",
    "Neuron",
    "NeuronInitFn",
    "OptimiserOf",
    "OverTime",
    "Past",
    "PerExample",
    "PerLayer",
    "Phase",
    "PlasticityFn",
    "Played",
    "PredictFn",
    "PyTree",
    "RestFn",
    "Rule",
    "RuleFactory",
    "RunFn",
    "Signals",
    "StartFn",
    "StepFn",
    "StreamInfo",
    "StreamState",
    "SynapseFn",
    "ThroughFn",
    "Time",
]
