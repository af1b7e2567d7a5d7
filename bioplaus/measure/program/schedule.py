"""When values are computed, and how long they must be held. Time is counted in products that must
follow one another.

LOCKING. The longest chain of MAC operations between the batch and the gradient of a layer; each
step of a scan counts. For backprop it is L + (L - l) + 1 for layer l = 1 ... L. (The term:
Jaderberg et al., "Decoupled Neural Interfaces using Synthetic Gradients", 2017, arXiv:1608.05343.)

RESIDENCY. Values of the forward pass that later products need must be held until the last of them:

    sum_v words(v) * (last use - birth + 1)

v: the batch, and values of the forward pass that products outside of it read, unchanged or moved;
birth, last use: lengths of the chains that end there. For backprop the sum is sum_l n_l (2 (L - l)
+ 1) over l = 0 ... L - 1, with n_l units in layer l and n_0 inputs.

TIME. A net over time that learns by going back through the moments of a sequence, from the last to
the first, must wait for the last, and hold of every moment what its products then need: the memory
grows with the number of moments. What an update goes back through are loops over moments
(`types.MOMENTS`) that run in reverse. An update without such loops may be made as the moments come.
"""

import math
from collections.abc import Callable
from itertools import groupby
from typing import NamedTuple

import jax

from bioplaus.measure.program.graph import Program, dependents
from bioplaus.measure.program.operations import MAC_OPS, MOVES, Op, phase


class Residency(NamedTuple):
    """words: number of words held after the forward pass, per example. word_steps: the same, times
    how long each is held, in products that follow one another.
    """

    words: float
    word_steps: float


def residency(program: Program, size: int) -> Residency:
    """What an update must hold of its forward pass. size: number of examples in the batch."""
    depth, last = depths(program), {}
    for op, values in _reads(program):
        for v in values:
            last[v] = max(last.get(v, 0), depth[op.outputs[0]])
    words = {v: math.prod(program.shapes[v]) / size for v in last}
    return Residency(sum(words.values()), sum(words[v] * (last[v] - depth[v] + 1) for v in last))


def held_over_time(program: Program, size: int) -> float:
    """Words per example of the batch and of the forward pass that an update must hold until it has
    gone back through the moments: that products read beside what such a loop has computed.
    """
    back = [v for op in program.ops if goes_back(op) for v in op.outputs]
    late = dependents(program, back)
    held = set().union(*(v for op, v in _reads(program) if not late.isdisjoint(op.inputs)))
    return sum(math.prod(program.shapes[v]) for v in held) / size


def goes_back(op: Op) -> bool:
    """Whether op opens a step of a loop over moments that runs in reverse."""
    return op.name in ("carry", "index") and op.loops[-1].moments and op.loops[-1].reverse


def _reads(program: Program) -> list[tuple[Op, set[int]]]:
    """Products outside of the forward pass, and what each reads of the batch and of that pass."""
    source = {v: op for op in program.ops for v in op.outputs}
    batch = set(jax.tree.leaves(program.inputs[2]))

    def held(v: int) -> set[int]:
        """The values of the forward pass or of the batch that v is a moved copy of."""
        op = source.get(v)
        if v in batch or (op and phase(op) == "forward"):
            return {v}
        return (
            set().union(*map(held, op.inputs))
            if op and op.name in MOVES - {"carry", "stack"}
            else set()
        )

    return [
        (op, set().union(*map(held, op.inputs)))
        for op in program.ops
        if op.name in MAC_OPS and phase(op) != "forward"
    ]


def is_product(op: Op) -> bool:
    return op.name in MAC_OPS


def _opens(op: Op, level: int) -> bool:
    return op.name == "carry" and len(op.loops) == level + 1


def depths(program: Program, counts: Callable[[Op], bool] = is_product) -> list[int]:
    """For each value, the length of the longest chain of operations that ends there. Those that
    `counts` says count, by default MAC operations.
    """
    depth = [0] * len(program.shapes)

    def run(ops, level):
        for loop, group in groupby(
            ops, key=lambda op: op.loops[level] if len(op.loops) > level else None
        ):
            group = list(group)
            if loop is None:
                for op in group:
                    reached = max((depth[v] for v in op.inputs), default=0) + counts(op)
                    for v in op.outputs:
                        depth[v] = reached
                continue
            carries = [op for op in group if _opens(op, level)]
            body = [op for op in group if not _opens(op, level)]
            for step in range(max(loop.length or 1, 1)):
                values = [depth[op.inputs[min(step, 1)]] for op in carries]
                for op, value in zip(carries, values, strict=True):
                    depth[op.outputs[0]] = value + counts(op)
                run(body, level + 1)

    run(program.ops, 0)
    return depth
