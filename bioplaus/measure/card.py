"""The plausibility card of a rule: what its update needs that neurons may not have.

Every entry is computed from the program of the update; none is typed in.

WEIGHT TRANSPORT. A forward pass, `net.forward`, shows along which axes of each weight array the
network itself sums (in x w, over the inputs of w). A forward weight is transported if the update
multiplies by it and sums over any other axis (the outputs, as in s w^T), or multiplies by it in a
'feedback' scope. Arrays are followed through every operation that does not involve data:
transposes, reshapes, slices, loops, masks, scales. After a comparison or a sign, only bits are
transported. So backprop is found under any name and in any scope. What is not found is a transposed
product that is written as an elementwise product and a sum.

If such a read serves only the gradient of the array's own layer, it is backprop inside a layer, and
is listed separately. A rule may probe a layer with inputs other than those of the forward pass. The
responses count as activity, not as transported weights, if there are fewer probes than the layer
has inputs: too few to recover the weight matrix.

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

    transport_words: number of forward weights that are read backwards for other layers.
    transport_bits: number of forward weights of which only the signs are read so.
    feedback_words: number of weights beside the net's that MACs (multiply-accumulates) read.
    learns_feedback: whether any of these change.
    forward_passes: MACs in the 'forward' scope, divided by those of one forward pass.
    settling_steps: length of the longest scan that holds MACs; 0 if there is none.
    locking: for each layer, the longest chain of MAC operations up to its gradient.
    random: random numbers drawn per example.
    crossed: for each layer, how many of its weight arrays are read backwards for its own gradient
    alone, which is backprop inside a layer.
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
    """The card as pairs (property, plain words), for reports."""
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
            f"{card.feedback_words:,}, {kind}" if card.feedback_words else "none",
        ),
        ("forward computation", f"{card.forward_passes:.3g} forward passes per update"),
        ("settling", f"{card.settling_steps} steps" if card.settling_steps else "none"),
        (
            "locking",
            (
                f"{max(card.locking)} products in sequence at most; by layer:"
                f" {', '.join(map(str, card.locking))}"
            ),
        ),
        ("random numbers", f"{float(card.random):,.6g} per example" if card.random else "none"),
        ("backprop inside a layer", ", ".join(blocks) or "none"),
    ]


def _words(program: Program, arrays: frozenset[int]) -> int:
    return sum(math.prod(program.shapes[a]) for a in arrays)
