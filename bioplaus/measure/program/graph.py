"""A traced program as a graph: which operations and values depend on which, and what is redundant.

Dead operations are those that no output depends on. An operation in a loop stays if any of its
steps is needed.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from bioplaus.measure.program.operations import Op, phase
from bioplaus.types import PyTree


class Program(NamedTuple):
    """The operations of a function that its outputs depend on, in order.

    Every value has an integer id. shapes: the shape of each value, by id. inputs, outputs: the
    function's arguments and result, as trees of value ids. constants: the arrays that the function
    closes over, by value id.
    """

    ops: tuple[Op, ...]
    shapes: list[tuple[int, ...]]
    inputs: tuple[PyTree, ...]
    outputs: PyTree
    constants: dict[int, Any]


def dependents(program: Program, ids: Iterable[int]) -> set[int]:
    """The values that depend on the values `ids`, those included."""
    found, before = set(ids), -1
    while len(found) > before:  # one more pass for each level of nested loops
        before = len(found)
        for op in program.ops:
            if not found.isdisjoint(op.inputs):
                found.update(op.outputs)
    return found


def reaching(ops: Sequence[Op], values: Iterable[int]) -> set[int]:
    """The positions of the operations that `values` depend on."""
    source = {v: i for i, op in enumerate(ops) for v in op.outputs}
    found, todo = set(), list(values)
    while todo:
        i = source.get(todo.pop())
        if i is not None and i not in found:
            found.add(i)
            todo.extend(ops[i].inputs)
    return found


def live(ops: Sequence[Op], outputs: Iterable[int]) -> list[Op]:
    """The operations that the outputs depend on, in order."""
    return [ops[i] for i in sorted(reaching(ops, outputs))]


def merged(
    ops: Sequence[Op], outputs: Sequence[int], constants: dict[int, Any]
) -> tuple[list[Op], list[int]]:
    """Operations and outputs, with what several parts of a composition compute alike kept once.

    A part that computes the same thing twice is charged for it twice: its n-th computation is
    merged with the n-th of another part. Operations in different loops are not merged.
    """
    replaced_by: dict[int, int] = {}  # value -> the equal value that is kept in its place
    identity: dict[int, Any] = {  # value -> what is the same for all values equal to it
        v: (str(c.dtype), c.shape, c.tobytes()) if isinstance(c, np.ndarray) else id(c)
        for v, c in constants.items()
    }
    # computation -> its results, one entry for each time that a single part computes it
    results: dict[Any, list[tuple[int, ...]]] = {}
    times, kept = Counter(), []
    for op in ops:
        part = tuple(s for s in op.scope if s.startswith("part="))
        computation = (
            phase(op),
            op.name,
            tuple(op.params.values()),
            tuple(identity.get(v, v) for v in op.inputs),
            op.loops,
        )
        if part and op.primitive is not None and _hashable(computation):
            known, n = results.setdefault(computation, []), times[part, computation]
            times[part, computation] += 1
            if n < len(known):
                replaced_by.update(zip(op.outputs, known[n], strict=True))
                identity.update(zip(op.outputs, known[0], strict=True))
                continue
            known.append(op.outputs)
            identity.update(zip(op.outputs, known[0], strict=True))
        kept.append(op)
    kept = [op._replace(inputs=tuple(replaced_by.get(v, v) for v in op.inputs)) for op in kept]
    return kept, [replaced_by.get(v, v) for v in outputs]


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
