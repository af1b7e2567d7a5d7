"""Where values go in a program: which weights an operation reads and along which axes, and which
layer it works for.

Arrays are followed through everything that does not involve data: transposes, reshapes, slices,
loops, masks, scales. What comes through comparisons and signs alone is carried as bits. What the
network answers to inputs of a rule's own is activity, not weights, where these are fewer than the
weights sum over: they cannot hold the array.
"""

import math
from typing import NamedTuple

import jax

from bioplaus import states
from bioplaus.measure.program.graph import Program, dependents, reaching
from bioplaus.measure.program.operations import MAC_OPS, Op, contracted, phase
from bioplaus.types import PyTree

Axes = tuple[frozenset[int], ...]


class Carried(NamedTuple):
    """An array inside of a value. word: with magnitudes, else signs only; axes: for each axis of
    the value, those of the array.
    """

    word: bool
    axes: Axes


class Reads(NamedTuple):
    """The arrays (value ids) that the products of an update read.

    forward: positions of the products that sum over the axes which the network itself sums over.
    words, bits: forward weights that are read backwards for other layers, with magnitudes or as
    signs alone. inside: those read so for their own layer alone.
    feedback: weights that are not the net's.
    """

    forward: frozenset[int]
    words: frozenset[int]
    bits: frozenset[int]
    inside: frozenset[int]
    feedback: frozenset[int]


def reads_of(program: Program, own: dict[int, frozenset[int]]) -> Reads:
    """program: of (params, state, batch, key) -> (grads, state). own: `forward_axes` of one pass;
    params have the same ids there.
    """
    params, state, data, _ = program.inputs
    serves = [reaching(program.ops, jax.tree.leaves(g)) for g in program.outputs[0]]
    layer = {array: l for l, p in enumerate(params) for array in jax.tree.leaves(p)}
    forward, words, bits, inside, feedback = set(), set(), set(), set(), set()
    for i, array, word, axes in _reads(
        program, jax.tree.leaves((params, state)), jax.tree.leaves(data), own
    ):
        if array not in layer:
            feedback.add(array)
        elif array in own and (axes - own[array] or "feedback" in program.ops[i].scope):
            alone = [l for l, ops in enumerate(serves) if i in ops] == [layer[array]]
            (inside if alone else words if word else bits).add(array)
        elif array in own:
            forward.add(i)
    return Reads(*map(frozenset, (forward, words, bits - words, inside - words - bits, feedback)))


def layers_of(
    program: Program, params: PyTree, state: PyTree, grads: PyTree, after: PyTree, data: set[int]
) -> tuple[list[int], dict[int, int]]:
    """The layer that each operation works for, and that each value comes from: 1 to L, 0 where it
    is no layer's own.

    A product with a layer's weights is that layer's: with an entry of params, or with what the
    rule's state declares to be a layer's (`PerLayer`). Outside of the forward pass, what serves one
    layer's gradient alone is that layer's, too, and so is what serves no gradient, but one layer's
    next state. All else belongs to the lowest layer that its operands come from.
    params, state, grads: value ids; params and grads have one entry a layer. after: the state that
    an update leaves.
    """
    label = {v: l for l, p in enumerate(params, 1) for v in jax.tree.leaves(p)}
    label.update(zip(jax.tree.leaves(state), jax.tree.leaves(states.layers(state)), strict=True))
    serves = [reaching(program.ops, jax.tree.leaves(g)) for g in grads]
    kept = {l: set() for l in range(1, len(params) + 1)}
    for v, l in zip(jax.tree.leaves(after), jax.tree.leaves(states.layers(after)), strict=True):
        kept.get(l, set()).add(v)
    keeps = [reaching(program.ops, values) for values in kept.values()]
    found = []
    for i, op in enumerate(program.ops):
        known = [v for v in op.inputs if label.get(v)]
        weights = [label[v] for v in known if v not in data]
        alone = [] if phase(op) == "forward" else _numbers(serves, i) or _numbers(keeps, i)
        if op.name in MAC_OPS and weights:
            found.append(max(weights))
        elif len(alone) == 1:
            found.append(alone[0])
        else:
            found.append(min((label[v] for v in known), default=0))
        for v in op.outputs:
            label[v] = found[-1]
    return found, label


def _numbers(sets: list[set[int]], i: int) -> list[int]:
    """Which of the sets hold i, counted from 1."""
    return [n for n, held in enumerate(sets, 1) if i in held]


def forward_axes(program: Program) -> dict[int, frozenset[int]]:
    """For each array of params that the forward pass multiplies by: the axes it sums over."""
    own = {}
    for _, array, _, axes in _reads(
        program, jax.tree.leaves(program.inputs[0]), jax.tree.leaves(program.inputs[1]), {}
    ):
        own[array] = own.get(array, frozenset()) | axes
    return own


def _reads(program: Program, arrays, data, own):
    """Every read of arrays (two axes or more) by MACs: (position, array, with its magnitudes?, its
    axes that are summed over).
    """
    table = _carried(
        program, [a for a in arrays if len(program.shapes[a]) > 1], dependents(program, data), own
    )
    for i, op in enumerate(program.ops):
        for k in range(2) if op.name in MAC_OPS else ():
            for array, c in table.get(op.inputs[k], {}).items():
                yield i, array, c.word, frozenset().union(*(c.axes[d] for d in contracted(op, k)))


def _carried(program: Program, arrays, data, own) -> dict[int, dict[int, Carried]]:
    """Which arrays each value that is not data contains: by passes until nothing is added, for the
    sake of loops. own: forward axes.
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
                inside = _transfer(op, program.shapes, table, own)
                table.update({v: inside for v in op.outputs if inside})
    return table


def _transfer(op: Op, shapes, table, own) -> dict[int, Carried]:
    """What the result of op contains, from what its operands contain."""
    rank, inside = len(shapes[op.outputs[0]]), {}
    sign = op.name in ("sign", "lt", "le", "gt", "ge", "eq", "ne", "is_finite")
    for k, v in enumerate(op.inputs):
        probed = op.name == "dot_general" and own.keys().isdisjoint(table.get(op.inputs[1 - k], {}))
        for array, c in table.get(v, {}).items():
            if probed and array in own and _answers(op, k, c, shapes, own[array]):
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


def _answers(op: Op, operand: int, inside: Carried, shapes, own: frozenset[int]) -> bool:
    """Whether a product is what a layer answers to fewer inputs than its weights sum over. own: the
    axes that those are.
    """
    sums, other = contracted(op, operand), 1 - operand
    summed = math.prod(shapes[op.inputs[operand]][d] for d in sums)
    inputs = math.prod(shapes[op.inputs[other]]) // max(summed, 1)
    return frozenset().union(*(inside.axes[d] for d in sums)) == own and inputs < summed


def _moved(op: Op, operand: int, axes: Axes, shapes) -> Axes:
    """Where op puts the axes of one operand. Operations not named here keep them in place."""
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
    """Axes after a row-major reshape: an old and a new axis meet where the ranges of their strides
    overlap.
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
