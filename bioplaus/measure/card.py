"""The plausibility card of a rule: what its update needs that neurons may not have, read off its program. Nothing is typed in.

WEIGHT TRANSPORT. `net.forward` tells which axes of each weight array the network itself sums over (in x w, the inputs of w).
A forward weight is transported when the update multiplies by it and sums over any other axis (the outputs, as in s w^T), or
multiplies by it in a 'feedback' scope. Arrays are followed through everything that does not involve data: transposes,
reshapes, slices, loops, masks, scales. What comes through comparisons and signs alone is transported as bits. So backprop is
found under any name and in any scope. Not found: a transposed product written as an elementwise product and a sum. A read
that serves the gradient of the array's own layer alone is backprop inside a layer, and is told apart. What the network answers to
inputs of a rule's own is activity, not weights, where these are fewer than the weights sum over: they cannot hold the array.

LOCKING. The longest chain of MAC operations between the batch and the gradient of a layer, each step of a scan counted:
backprop has L + (L - l) + 1 for layer l = 1 ... L. (Jaderberg et al., "Decoupled Neural Interfaces using Synthetic
Gradients", 2017, arXiv:1608.05343, for the term.)
"""

import math
from itertools import groupby
from typing import NamedTuple

import jax

from bioplaus.measure.cost import Count, changed, counted, per, total_macs, traced
from bioplaus.measure.program import MAC_OPS, Op, Program, contracted, dependents, reaching, times, trace
from bioplaus.net import forward
from bioplaus.types import Batch, Net, Rule

Axes = tuple[frozenset[int], ...]


class Carried(NamedTuple):
    """An array inside of a value. word: with magnitudes, else signs only; axes: for each axis of the value, those of the array."""

    word: bool
    axes: Axes


class Card(NamedTuple):
    """What one update needs.

    transport_words: forward weights read backwards for other layers. transport_bits: those of which only signs are.
    feedback_words: weights of the rule's own that MACs read. learns_feedback: whether any of those change.
    forward_passes: MACs in the 'forward' scope over those of one pass. settling_steps: longest scan that holds MACs, 0 for none.
    locking: longest chain of MAC operations up to each layer's gradient. random: numbers drawn an example.
    crossed: for each layer, its weight arrays that are read backwards for its own gradient alone: backprop inside a layer.
    """

    transport_words: int
    transport_bits: int
    feedback_words: int
    learns_feedback: bool
    forward_passes: float
    settling_steps: int
    locking: tuple[int, ...]
    random: Count
    crossed: tuple[int, ...]


def card(rule: Rule, net: Net, batch: Batch) -> Card:
    """Compute the card. batch: arrays or `jax.ShapeDtypeStruct`. Raises NotCountable as `cost` does."""
    t = traced(rule, net, batch)
    program, size = t.program, batch.x.shape[0]
    params, state, data, _ = program.inputs
    one_pass = trace(lambda p, x, k: forward(net, p, x, k).output, t.params, t.batch.x, t.key)
    own = _forward_axes(one_pass)  # params come first in both programs: the same ids
    serves = [reaching(program.ops, jax.tree.leaves(g)) for g in program.outputs[0]]
    layer = {array: l for l, p in enumerate(params) for array in jax.tree.leaves(p)}
    words, bits, inside, feedback = set(), set(), set(), set()
    for i, array, word, axes in _reads(program, jax.tree.leaves((params, state)), jax.tree.leaves(data), own):
        if array not in layer:
            feedback.add(array)
        elif array in own and (axes - own[array] or "feedback" in program.ops[i].scope):
            alone = [l for l, ops in enumerate(serves) if i in ops] == [layer[array]]
            (inside if alone else words if word else bits).add(array)
    counts, _ = counted(program, jax.tree.leaves(data))
    depth = _depths(program)
    return Card(
        transport_words=_words(program, words),
        transport_bits=_words(program, bits - words),
        feedback_words=_words(program, feedback),
        learns_feedback=not feedback.isdisjoint(changed(program)),
        forward_passes=counts["forward"]["macs"] / max(total_macs(one_pass), 1),
        settling_steps=max((times(op) for op in program.ops if op.name in MAC_OPS and op.loops), default=0),
        locking=tuple(max((depth[v] for v in jax.tree.leaves(g)), default=0) for g in program.outputs[0]),
        random=per(sum(c["random"] for c in counts.values()), size),
        crossed=tuple(len((inside - words - bits).intersection(jax.tree.leaves(p))) for p in params),
    )


def describe(card: Card) -> list[tuple[str, str]]:
    """The card as (property, plain sentence), for reports."""
    if card.transport_words:
        transport = f"yes: {card.transport_words:,} forward weights are read backwards"
    elif card.transport_bits:
        transport = f"the signs of {card.transport_bits:,} forward weights, no magnitudes"
    else:
        transport = "none"
    kind = "learned" if card.learns_feedback else "fixed"
    blocks = [f"layer {l} crosses {k} of its own weight arrays" for l, k in enumerate(card.crossed, 1) if k]
    return [
        ("weight transport", transport),
        ("feedback weights", f"{card.feedback_words:,}, {kind}" if card.feedback_words else "none of its own"),
        ("forward computation", f"{card.forward_passes:.3g} forward passes an update"),
        ("settling", f"{card.settling_steps} steps" if card.settling_steps else "none"),
        ("locking", f"{max(card.locking)} products in sequence at most; by layer: {', '.join(map(str, card.locking))}"),
        ("random numbers", f"{float(card.random):,.6g} an example" if card.random else "none"),
        ("backprop inside a layer", ", ".join(blocks) or "none"),
    ]


def _words(program: Program, arrays: set[int]) -> int:
    return sum(math.prod(program.shapes[a]) for a in arrays)


def _forward_axes(program: Program) -> dict[int, frozenset[int]]:
    """For each array of params that the forward pass multiplies by: the axes it sums over."""
    own = {}
    for _, array, _, axes in _reads(program, jax.tree.leaves(program.inputs[0]), jax.tree.leaves(program.inputs[1]), {}):
        own[array] = own.get(array, frozenset()) | axes
    return own


def _reads(program: Program, arrays, data, own):
    """Every read of arrays (two axes or more) by MACs: (position, array, with its magnitudes?, its axes that are summed over)."""
    table = _carried(program, [a for a in arrays if len(program.shapes[a]) > 1], dependents(program, data), own)
    for i, op in enumerate(program.ops):
        for k in range(2) if op.name in MAC_OPS else ():
            for array, c in table.get(op.inputs[k], {}).items():
                yield i, array, c.word, frozenset().union(*(c.axes[d] for d in contracted(op, k)))


def _carried(program: Program, arrays, data, own) -> dict[int, dict[int, Carried]]:
    """Which arrays each value that is not data contains: by passes until nothing is added, for the sake of loops. own: forward axes."""
    table = {a: {a: Carried(True, tuple(frozenset([d]) for d in range(len(program.shapes[a]))))} for a in arrays}
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
            inside[array] = Carried(old.word or (c.word and not sign), tuple(a | b for a, b in zip(old.axes, axes, strict=True)))
    return inside


def _answers(op: Op, operand: int, inside: Carried, shapes, own: frozenset[int]) -> bool:
    """Whether a product is what a layer answers to fewer inputs than its weights sum over. own: the axes that those are."""
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
    """Axes after a row-major reshape: an old and a new axis meet where the ranges of their strides overlap."""

    def ranges(shape):
        strides = [math.prod(shape[d + 1 :]) for d in range(len(shape))]
        return [(s, s * n) for s, n in zip(strides, shape, strict=True)]

    def meets(a, b):
        return max(a[0], b[0]) < min(a[1], b[1])

    return tuple(frozenset().union(*(a for a, r in zip(axes, ranges(old), strict=True) if meets(r, n))) for n in ranges(new))


def _opens(op: Op, level: int) -> bool:
    return op.name == "carry" and len(op.loops) == level + 1


def _depths(program: Program) -> list[int]:
    """For each value, the longest chain of MAC operations that ends there."""
    depth = [0] * len(program.shapes)

    def run(ops, level):
        for loop, group in groupby(ops, key=lambda op: op.loops[level] if len(op.loops) > level else None):
            group = list(group)
            if loop is None:
                for op in group:
                    reached = max((depth[v] for v in op.inputs), default=0) + (op.name in MAC_OPS)
                    for v in op.outputs:
                        depth[v] = reached
                continue
            carries = [op for op in group if _opens(op, level)]
            body = [op for op in group if not _opens(op, level)]
            for step in range(max(loop.length or 1, 1)):
                values = [depth[op.inputs[min(step, 1)]] for op in carries]
                for op, value in zip(carries, values, strict=True):
                    depth[op.outputs[0]] = value
                run(body, level + 1)

    run(program.ops, 0)
    return depth
