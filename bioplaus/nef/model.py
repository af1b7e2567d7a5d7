"""What a model is made of: ensembles and nodes, each under a name, connections and probes."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from jax.typing import ArrayLike

from bioplaus.hyper import Count, declared
from bioplaus.nef.decoders import Function
from bioplaus.nef.ensemble import Ensemble
from bioplaus.nef.learning import Learning
from bioplaus.nef.synapses import Synapse, lowpass
from bioplaus.types import Array

NOTHING: Mapping = MappingProxyType({})


class Node(NamedTuple):
    """What is computed without neurons: function(t, x [size_in]) -> [size_out], t in s.

    function None: the output is given from outside, step by step (`source`).
    """

    size_in: int
    size_out: int
    function: Callable[[Array, Array], Array] | None


@declared
def source(size: Count) -> Node:
    """A node whose output [size] `run` is given for each step."""
    return Node(0, size, None)


@declared
def relay(size: Count) -> Node:
    """A node that passes on the sum [size] of what arrives in the same step."""
    return Node(size, size, lambda t, x: x)


class Connection(NamedTuple):
    """From an ensemble or a node to an ensemble or a node, by their names.

    function: of what the source represents; of an ensemble, decoders are fitted for it; None is x
    itself. transform: T [k, k_f] or a scalar, by which f(x) [k_f] is multiplied. weights: [n, k_f]
    in place of the decoders. synapse: None connects within the step. to_neurons: what arrives [n]
    is a current, times the gains of the target, and does not pass its encoders. learning: as `pes`.
    """

    source: str
    target: str
    function: Function | None = None
    transform: ArrayLike | None = None
    weights: ArrayLike | None = None
    synapse: Synapse | None = lowpass()
    to_neurons: bool = False
    learning: Learning | None = None


class Probe(NamedTuple):
    """What is recorded at each step. The fields are those of a `Connection`.

    activities: record the neurons [n] themselves, in place of what they represent.
    """

    source: str
    function: Function | None = None
    transform: ArrayLike | None = None
    weights: ArrayLike | None = None
    synapse: Synapse | None = None
    activities: bool = False


class Model(NamedTuple):
    """ensembles, nodes, probes: by name. `network` makes it run."""

    ensembles: Mapping[str, Ensemble] = NOTHING
    nodes: Mapping[str, Node] = NOTHING
    connections: tuple[Connection, ...] = ()
    probes: Mapping[str, Probe] = NOTHING
