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

LOCKING, and what an update needs of a net OVER TIME. See `bioplaus.measure.program.schedule`.
"""

import math
from typing import NamedTuple

import jax

from bioplaus.measure.cost import Traced, changed, total_macs, traced
from bioplaus.measure.counts import Count, drawn, per
from bioplaus.measure.program import Program
from bioplaus.measure.program.flow import forward_axes, reads_of
from bioplaus.measure.program.operations import MAC_OPS, Op, macs, phase, times
from bioplaus.measure.program.schedule import depths, goes_back, held_over_time
from bioplaus.net import forward, time_step
from bioplaus.types import Batch, Net, Rule


class InTime(NamedTuple):
    """What one update of a net over time needs.

    moments: T, of an example. back: for each layer, through how many moments, one after the other,
    its gradient is carried back; 0 if it is local in time. held: words per example that must be
    kept until then, which grow with T; 0 if the memory does not.
    """

    moments: int
    back: tuple[int, ...]
    held: float


class Card(NamedTuple):
    """What one update needs.

    transport_words: number of forward weights that are read backwards for other layers.
    transport_bits: number of forward weights of which only the signs are read so.
    feedback_words: number of weights beside the net's that MACs (multiply-accumulates) read.
    learns_feedback: whether any of these change.
    forward_passes: MACs in the 'forward' scope, divided by those of one forward pass.
    settling_steps: length of the longest scan that holds MACs, other than over moments; 0 if there
    is none.
    locking: for each layer, the longest chain of MAC operations up to its gradient.
    random: random numbers drawn per example.
    crossed: for each layer, how many of its weight arrays are read backwards for its own gradient
    alone, which is backprop inside a layer.
    over_time: None for a net without layers over time.
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
    over_time: InTime | None = None


def card(rule: Rule, net: Net, batch: Batch) -> Card:
    """Compute the card. batch: arrays or `jax.ShapeDtypeStruct`. Raises NotCountable as `cost`
    does.
    """
    t = traced(rule, net, batch)
    program, size = t.program, batch.x.shape[0]
    reads, one_pass = reads_of(program, forward_axes(t.one_pass)), total_macs(t.one_pass)
    return Card(
        transport_words=_words(program, reads.words),
        transport_bits=_words(program, reads.bits),
        feedback_words=_words(program, reads.feedback),
        learns_feedback=not reads.feedback.isdisjoint(changed(program)),
        forward_passes=sum(
            macs(op, program.shapes) * times(op) for op in program.ops if phase(op) == "forward"
        )
        / max(one_pass, 1),
        settling_steps=max((_settles(op) for op in program.ops if op.name in MAC_OPS), default=0),
        locking=_by_layer(program, depths(program)),
        random=per(sum(drawn(op, program.shapes) * times(op) for op in program.ops), size),
        crossed=tuple(
            len(reads.inside.intersection(jax.tree.leaves(p))) for p in program.inputs[0]
        ),
        over_time=_over_time(t, net, size),
    )


def _settles(op: Op) -> int:
    """How often op runs, but once for all moments; 0 if it is in no loop but over moments."""
    steps = times(op)
    for loop in op.loops:
        steps //= (loop.length or 1) if loop.moments else 1
    return steps if any(not loop.moments for loop in op.loops) else 0


def _by_layer(program: Program, depth: list[int]) -> tuple[int, ...]:
    return tuple(max((depth[v] for v in jax.tree.leaves(g)), default=0) for g in program.outputs[0])


def _over_time(t: Traced, net: Net, size: int) -> InTime | None:
    if time_step(net) is None:
        return None
    first = jax.eval_shape(
        lambda p, x, k: forward(net, p, x, k).outputs[0], t.params, t.batch.x, t.key
    )
    back = _by_layer(t.program, depths(t.program, goes_back))
    return InTime(first.shape[1], back, held_over_time(t.program, size))


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
        *(() if card.over_time is None else _described(card.over_time)),
    ]


def _described(time: InTime) -> list[tuple[str, str]]:
    back = (
        f"back through {max(time.back)} moments at most; by layer: {', '.join(map(str, time.back))}"
        if any(time.back)
        else "none: no gradient is carried back through moments"
    )
    held = (
        f"{time.held:,.6g} words per example are held for {time.moments} moments; they grow with"
        " the number of moments"
        if time.held
        else "none that grows with the number of moments"
    )
    return [("locking in time", back), ("memory of time", held)]


def _words(program: Program, arrays: frozenset[int]) -> int:
    return sum(math.prod(program.shapes[a]) for a in arrays)
