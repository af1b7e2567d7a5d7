"""The plausibility card of a rule: what its update needs that neurons may not have, read off its
program. Nothing is typed in.

WEIGHT TRANSPORT. `net.forward` tells which axes of each weight array the network itself sums over
(in x w, the inputs of w). A forward weight is transported when the update multiplies by it and sums
over any other axis (the outputs, as in s w^T), or multiplies by it in a 'feedback' scope. Arrays
are followed through everything that does not involve data: transposes, reshapes, slices, loops,
masks, scales. What comes through comparisons and signs alone is transported as bits. So backprop is
found under any name and in any scope. Not found: a transposed product written as an elementwise
product and a sum. A read that serves the gradient of the array's own layer alone is backprop inside
a layer, and is told apart. What the network answers to inputs of a rule's own is activity, not
weights, where these are fewer than the weights sum over: they cannot hold the array.

LOCKING. See `bioplaus.measure.program.schedule`.
"""

import math
from typing import NamedTuple

import jax

from bioplaus.measure.cost import changed, total_macs, traced
from bioplaus.measure.counts import Count, drawn, per
from bioplaus.measure.program import Program
from bioplaus.measure.program.flow import forward_axes, reads_of
from bioplaus.measure.program.operations import MAC_OPS, macs, phase, times
from bioplaus.measure.program.schedule import depths
from bioplaus.types import Batch, Net, Rule


class Card(NamedTuple):
    """What one update needs.

    transport_words: forward weights read backwards for other layers. transport_bits: those of which
    only signs are.
    feedback_words: weights of the rule's own that MACs read. learns_feedback: whether any of those
    change.
    forward_passes: MACs in the 'forward' scope over those of one pass. settling_steps: longest scan
    that holds MACs, 0 for none.
    locking: longest chain of MAC operations up to each layer's gradient. random: numbers drawn an
    example.
    crossed: for each layer, its weight arrays that are read backwards for its own gradient alone:
    backprop inside a layer.
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
    """Compute the card. batch: arrays or `jax.ShapeDtypeStruct`. Raises NotCountable as `cost`
    does.
    """
    t = traced(rule, net, batch)
    program, size = t.program, batch.x.shape[0]
    reads, one_pass = reads_of(program, forward_axes(t.one_pass)), total_macs(t.one_pass)
    depth = depths(program)
    return Card(
        transport_words=_words(program, reads.words),
        transport_bits=_words(program, reads.bits),
        feedback_words=_words(program, reads.feedback),
        learns_feedback=not reads.feedback.isdisjoint(changed(program)),
        forward_passes=sum(
            macs(op, program.shapes) * times(op) for op in program.ops if phase(op) == "forward"
        )
        / max(one_pass, 1),
        settling_steps=max(
            (times(op) for op in program.ops if op.name in MAC_OPS and op.loops), default=0
        ),
        locking=tuple(
            max((depth[v] for v in jax.tree.leaves(g)), default=0) for g in program.outputs[0]
        ),
        random=per(sum(drawn(op, program.shapes) * times(op) for op in program.ops), size),
        crossed=tuple(
            len(reads.inside.intersection(jax.tree.leaves(p))) for p in program.inputs[0]
        ),
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
    blocks = [
        f"layer {l} crosses {k} of its own weight arrays"
        for l, k in enumerate(card.crossed, 1)
        if k
    ]
    return [
        ("weight transport", transport),
        (
            "feedback weights",
            f"{card.feedback_words:,}, {kind}" if card.feedback_words else "none of its own",
        ),
        ("forward computation", f"{card.forward_passes:.3g} forward passes an update"),
        ("settling", f"{card.settling_steps} steps" if card.settling_steps else "none"),
        (
            "locking",
            (
                f"{max(card.locking)} products in sequence at most; by layer:"
                f" {', '.join(map(str, card.locking))}"
            ),
        ),
        ("random numbers", f"{float(card.random):,.6g} an example" if card.random else "none"),
        ("backprop inside a layer", ", ".join(blocks) or "none"),
    ]


def _words(program: Program, arrays: frozenset[int]) -> int:
    return sum(math.prod(program.shapes[a]) for a in arrays)
