"""Where values go in a program.

That is: which weights an operation reads, along which axes, and for which layer it works.

Arrays are followed through every operation that does not involve data: transposes, reshapes,
slices, loops, masks, scales. After a comparison or a sign, only signs are left of an array. A rule
may probe a layer with inputs other than those of the forward pass. The responses count as activity,
not as weights, if there are fewer probes than the layer has inputs: too few to recover the weight
matrix.
"""

import math
from typing import NamedTuple

import jax

from bioplaus import states
from bioplaus.measure.program.graph import Program, dependents, reaching
from bioplaus.measure.program.operations import MAC_OPS, Op, contracted, phase
from bioplaus.types import CROSSING, PyTree

Axes = tuple[frozenset[int], ...]


class Carried(NamedTuple):
    """An array that a value contains. word: with its magnitudes, else only with its signs. axes:
    for each axis of the value, the axes of the array that lie along it.
    """

    word: bool
    axes: Axes


class Reads(NamedTuple):
    """What the multiply-accumulates (MACs) of an update read. Arrays are given by their value ids.

    forward: positions of the operations that sum over the axes which the network itself sums over.
    words, bits: forward weights that are read backwards for other layers, with magnitudes, or only
    as signs.
    inside: forward weights that are read backwards only for their own layer.
    feedback: weights that are not the net's.
    """

    forward: frozenset[int]
    words: frozenset[int]
    bits: frozenset[int]
    inside: frozenset[int]
    feedback: frozenset[int]


def reads_of(program: Program, forward_sums: dict[int, frozenset[int]]) -> Reads:
    """What an update reads.

    program: (params, state, batch, key) -> (grads, state). forward_sums: `forward_axes` of one
    forward pass, in which params have the same value ids.
    """
    params, state, data, _ = program.inputs
    serves = [reaching(program.ops, jax.tree.leaves(g)) for g in program.outputs[0]]
    layer = {array: l for l, p in enumerate(params) for array in jax.tree.leaves(p)}
    forward, words, bits, inside, feedback = set(), set(), set(), set(), set()
    for i, array, word, axes in _reads(
        program, jax.tree.leaves((params, state)), jax.tree.leaves(data), forward_sums
    ):
        if array not in layer:
            feedback.add(array)
        elif array in forward_sums and (
            axes - forward_sums[array] or CROSSING in program.ops[i].scope
        ):
            served = [l for l, ops in enumerate(serves) if i in ops]
            same_layer = served == [layer[array]]
            (inside if same_layer else words if word else bits).add(array)
        elif array in forward_sums:
            forward.add(i)
    return Reads(*map(frozenset, (forward, words, bits - words, inside - words - bits, feedback)))


def layers_of(
    program: Program, params: PyTree, state: PyTree, grads: PyTree, after: PyTree, data: set[int]
) -> tuple[list[int], dict[int, int]]:
    """The layer that each operation works for, and the layer that each value comes from. Layers
    count from 1 to L; 0 stands for none.

    A MAC operation belongs to the layer whose weights it reads. Those are the layer's entry of
    params, and what the rule's state declares to be the layer's (`PerLayer`). Outside of the
    forward pass, an operation that serves a single layer's gradient belongs to that layer, and so
    does one that serves no gradient but a single layer's next state. Every other operation belongs
    to the lowest layer that its operands come from.

    params, state, grads: value ids; params and grads have one entry per layer. after: value ids of
    the state that an update leaves. data: the values that depend on the batch.
    """
    label = {v: l for l, p in enumerate(params, 1) for v in jax.tree.leaves(p)}
    label.update(zip(jax.tree.leaves(state), jax.tree.leaves(states.layers(state)), strict=True))
    serves = [reaching(program.ops, jax.tree.leaves(g)) for g in grads]
    kept = {l: set() for l in range(1, len(params) + 1)}
    for v, l in zip(jax.tree.leaves(after), jax.tree.leaves(states.layers(after)), strict=True):
        kept.get(l, set()).add(v)
    keeps = [reaching(program.ops, values) for values in kept.values()]
    layer_of_op = []
    for i, op in enumerate(program.ops):
        labelled = [v for v in op.inputs if label.get(v)]
        weights = [label[v] for v in labelled if v not in data]
        served = [] if phase(op) == "forward" else _numbers(serves, i) or _numbers(keeps, i)
        if op.name in MAC_OPS and weights:
            layer_of_op.append(max(weights))
        elif len(served) == 1:
            layer_of_op.append(served[0])
        else:
            layer_of_op.append(min((label[v] for v in labelled), default=0))
        for v in op.outputs:
            label[v] = layer_of_op[-1]
    return layer_of_op, label


def _numbers(sets: list[set[int]], i: int) -> list[int]:
    """The numbers, counted from 1, of the sets that contain i."""
    return [n for n, held in enumerate(sets, 1) if i in held]


def forward_axes(program: Program) -> dict[int, frozenset[int]]:
    """The arrays of params that a forward pass multiplies by.

    With each array, the axes of it that are summed over.
    """
    found = {}
    for _, array, _, axes in _reads(
        program, jax.tree.leaves(program.inputs[0]), jax.tree.leaves(program.inputs[1]), {}
    ):
        found[array] = found.get(array, frozenset()) | axes
    return found


def _reads(program: Program, arrays, data, forward_sums):
    """Every read of arrays of two axes or more by MAC operations.

    Yields (position of the operation, array, whether with its magnitudes, its axes that are summed
    over).
    """
    table = _carried(
        program,
        [a for a in arrays if len(program.shapes[a]) > 1],
        dependents(program, data),
        forward_sums,
    )
    for i, op in enumerate(program.ops):
        for k in range(2) if op.name in MAC_OPS else ():
            for array, c in table.get(op.inputs[k], {}).items():
                yield i, array, c.word, frozenset().union(*(c.axes[d] for d in contracted(op, k)))


def _carried(program: Program, arrays, data, forward_sums) -> dict[int, dict[int, Carried]]:
    """The arrays that each value contains, for all values that do not depend on data. Passes over
    the program are repeated until nothing is added, because loops carry values back.
    """
    table = {
        a: {a: Carried(True, tuple(frozenset([d]) for d in range(len(program.shapes[a]))))}
        for a in arrays
    }
    before = None
    while table != before:
        before = dict(table)
        for op in program.ops:
            if data.isdisjoint(op.outputs):
                inside = _transfer(op, program.shapes, table, forward_sums)
                table.update({v: inside for v in op.outputs if inside})
    return table


def _transfer(op: Op, shapes, table, forward_sums) -> dict[int, Carried]:
    """The arrays that the result of op contains, from those that its operands contain."""
    rank, inside = len(shapes[op.outputs[0]]), {}
    sign = op.name in ("sign", "lt", "le", "gt", "ge", "eq", "ne", "is_finite")
    for k, v in enumerate(op.inputs):
        probed = op.name == "dot_general" and forward_sums.keys().isdisjoint(
            table.get(op.inputs[1 - k], {})
        )
        for array, c in table.get(v, {}).items():
            sums = forward_sums.get(array)
            if probed and sums is not None and _few_probes(op, k, c, shapes, sums):
                continue
            axes = _moved(op, k, c.axes, shapes)
            if len(axes) != rank:  # a gather or the like: anything may be anywhere
                axes = (frozenset().union(*axes),) * rank
            old = inside.get(array, Carried(False, (frozenset(),) * rank))
            inside[array] = Carried(
                old.word or (c.word and not sign),
                tuple(a | b for a, b in zip(old.axes, axes, strict=True)),
            )
    return inside


def _few_probes(op: Op, operand: int, inside: Carried, shapes, sums: frozenset[int]) -> bool:
    """Whether a product is the response of a layer to fewer inputs than its weights sum over. sums:
    the axes of the weights that the forward pass sums over.
    """
    contracts = contracted(op, operand)
    inputs = math.prod(shapes[op.inputs[operand]][d] for d in contracts)
    probes = math.prod(shapes[op.inputs[1 - operand]]) // max(inputs, 1)
    return frozenset().union(*(inside.axes[d] for d in contracts)) == sums and probes < inputs


def _moved(op: Op, operand: int, axes: Axes, shapes) -> Axes:
    """Where op puts the axes of one operand. Operations that are not listed keep them in place."""
    p, old, new = op.params, shapes[op.inputs[operand]], shapes[op.outputs[0]]
    none = frozenset()
    match op.name:
        case "transpose":
            return tuple(axes[d] for d in p["permutation"])
        case "broadcast_in_dim":
            source = dict(zip(p["broadcast_dimensions"], axes, strict=True))
            return tuple(source.get(d, none) for d in range(len(new)))
        case "reshape":
            return _reshaped(axes, old, new)
        case "squeeze":
            return tuple(a for d, a in enumerate(axes) if d not in p["dimensions"])
        case "index":
            return axes[1:]
        case "stack":
            return (none, *axes)
        case "dot_general":
            sums, batch = (side[operand] for side in p["dimension_numbers"])
            free = tuple(a for d, a in enumerate(axes) if d not in (*sums, *batch))
            gap = (none,) * (len(new) - len(batch) - len(free))
            return (*(axes[d] for d in batch), *(free + gap if operand == 0 else gap + free))
        case name if name.startswith(("reduce_", "arg")) and "axes" in p:
            return tuple(a for d, a in enumerate(axes) if d not in p["axes"])
    return axes if axes else (none,) * len(new)


def _reshaped(axes: Axes, old, new) -> Axes:
    """Axes after a row-major reshape. An old and a new axis share elements if the ranges of their
    strides overlap.
    """

    def ranges(shape):
        strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
        return [(s, s * n) for s, n in zip(strides, shape, strict=True)]

    def meets(a, b):
        return max(a[0], b[0]) < min(a[1], b[1])

    return tuple(
        frozenset().union(*(a for a, r in zip(axes, ranges(old), strict=True) if meets(r, n)))
        for n in ranges(new)
    )
