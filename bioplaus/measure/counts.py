"""The counts of a program by phase and layer.

`bioplaus.measure.cost` fills them in, and `bioplaus.measure.energy` prices them.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from bioplaus.measure.program import Program
from bioplaus.measure.program.operations import (
    MAC_OPS,
    OTHER,
    Op,
    arithmetic,
    kind,
    macs,
    phase,
    times,
)
from bioplaus.measure.program.products import Products
from bioplaus.measure.program.schedule import Residency
from bioplaus.types import PHASES

Count = int | Fraction


class Counts(NamedTuple):
    """Counts per example.

    macs: multiply-accumulates. acs: accumulates, where an operand holds only 0, 1 and -1.
    adds, muls, compares, transcendentals: elementwise operations; divisions count as
    transcendentals.
    random: random numbers drawn. spikes: nonzero values that forward products receive; in dense
    counts, all values. neuron_updates: currents that arrive at neurons.
    synapse_updates: weights of the net that change.
    weight_reads, weight_writes: words that do not depend on the example (weights, feedback, state),
    moved once per batch. activation_reads, activation_writes: all other words that MACs read and
    write.
    broadcast: words that an operation outside of the forward pass takes from a layer that is not a
    neighbour of its layer.
    transport: words that would have to be sent to a separate feedback array to keep it equal to the
    forward weights.
    """

    macs: Count = 0
    acs: Count = 0
    adds: Count = 0
    muls: Count = 0
    compares: Count = 0
    transcendentals: Count = 0
    random: Count = 0
    spikes: Count = 0
    neuron_updates: Count = 0
    synapse_updates: Count = 0
    weight_reads: Count = 0
    weight_writes: Count = 0
    activation_reads: Count = 0
    activation_writes: Count = 0
    broadcast: Count = 0
    transport: Count = 0

    @property
    def ops(self) -> Count:
        """Elementwise operations of all kinds."""
        return self.adds + self.muls + self.compares + self.transcendentals


class Traffic(NamedTuple):
    """words: words per example moved to or from tensors of one size. tensor: that size in words,
    for the whole batch.
    """

    tensor: int
    words: Count


class Cost(NamedTuple):
    """The cost of an update, or of an answer.

    batch: number of examples B. parameters, neurons: of the net.
    cells: (phase, layer) -> counts; layer 0 holds what belongs to no single layer.
    state_words: words of the rule's state that change, read and written, per example.
    traffic: all words moved, by the size of the tensor.
    inference_macs: multiply-accumulates of `rule.predict`, per example.
    residency: what an update must hold of its forward pass.
    trains: whether an update is included. effective: whether counted on a run; otherwise dense.
    """

    batch: int
    parameters: int
    neurons: int
    cells: dict[tuple[str, int], Counts]
    state_words: Count
    traffic: tuple[Traffic, ...]
    inference_macs: Count
    residency: Residency
    trains: bool = True
    effective: bool = False

    @property
    def phases(self) -> dict[str, Counts]:
        """Counts by phase, summed over layers.

        The phases are 'forward', 'credit', 'update', 'auxiliary', 'optimiser' and 'other'.
        """
        return {
            name: _sum(c for (p, _), c in self.cells.items() if p == name)
            for name in (*PHASES, OTHER)
        }

    @property
    def layers(self) -> dict[int, Counts]:
        """Counts by layer, summed over phases."""
        return {
            l: _sum(c for (_, k), c in self.cells.items() if k == l)
            for l in sorted({l for _, l in self.cells})
        }


def repeated(cost: Cost, times: Count) -> Cost:
    """The cost of so many updates, as of the pieces of a sequence, each with the same counts.

    What an update must hold of its forward pass (`residency`) is that of one.
    """
    return cost._replace(
        cells={
            where: Counts(*(times * count for count in counts))
            for where, counts in cost.cells.items()
        },
        state_words=times * cost.state_words,
        traffic=tuple(Traffic(tensor, times * words) for tensor, words in cost.traffic),
        inference_macs=times * cost.inference_macs,
    )


def total(cost: Cost) -> Counts:
    """Counts summed over phases and layers."""
    return _sum(cost.cells.values())


def counted(
    program: Program,
    layers: tuple[list[int], dict[int, int]],
    forwards: frozenset[int],
    data: set[int],
    products: Products | None,
) -> tuple[dict[tuple[str, int], Counter[str]], Counter[int]]:
    """Fields of Counts by phase and layer, and words moved by tensor size, for the whole batch.

    layers: result of `layers_of`. forwards: positions of the products in the network's own
    direction. products: counts of a run of them; None for dense counts.
    """
    cells, traffic, sent = defaultdict(Counter), Counter(), set()
    for i, op in enumerate(program.ops):
        n, layer, shapes = times(op), layers[0][i], program.shapes
        here = cells[phase(op), layer]
        here[f"{kind(op)}s"] += n * arithmetic(op, shapes)
        here["random"] += n * drawn(op, shapes)
        if op.name in MAC_OPS:
            product = (
                (n * macs(op, shapes), 0, n * _received(op, shapes, data))
                if products is None
                else products[i]
            )
            here["macs"] += product[0]
            here["acs"] += product[1]
            if i in forwards:
                here["spikes"] += product[2]
                here["neuron_updates"] += n * math.prod(shapes[op.outputs[0]])
            for v in (*op.inputs, *op.outputs):
                words = math.prod(shapes[v])
                way = "writes" if v in op.outputs else "reads"
                here[f"{'activation' if v in data else 'weight'}_{way}"] += n * words
                traffic[words] += n * words
        else:
            here["macs"] += n * macs(op, shapes)
        if phase(op) != "forward" and layer:
            for v in data.intersection(op.inputs):
                source = layers[1].get(v, 0)
                if source and abs(source - layer) > 1 and (v, layer) not in sent:
                    sent.add((v, layer))
                    here["broadcast"] += n * math.prod(shapes[v])
    return cells, traffic


def drawn(op: Op, shapes: Sequence[tuple[int, ...]]) -> int:
    """Random numbers of one run of op."""
    return math.prod(shapes[op.outputs[0]]) if op.name == "random_bits" else 0


def per(count: int, size: int) -> Count:
    """count / size, as an int if it is whole, else a Fraction."""
    share = Fraction(count, size)
    return int(share) if share.denominator == 1 else share


def _received(op: Op, shapes, data: set[int]) -> int:
    return sum(math.prod(shapes[v]) for v in op.inputs if v in data)


def _sum(counts) -> Counts:
    return Counts(*(sum(column) for column in zip(Counts(), *counts, strict=True)))
