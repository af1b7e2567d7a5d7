"""What one update of a rule costs: counted on its jaxpr, by phase, an example. Nothing is run and nothing is typed in.

    MACs of x w, x: [B, m], w: [m, n]:  B m n.     words moved by it: B m + m n + B n
Counted is what the gradients and the new state need: `info` is telemetry and free. A scan counts its length times, a cond
its dearest branch; a `while` that holds MACs raises NotCountable. The same product written twice counts twice.
Every count is exact, and divided by the batch size: an int, or a Fraction where the batch shares the work.

Memory traffic is that of the MAC operations, operands read and results written, once each (ideal reuse within an operation),
and of the rule's state, read and written where it changes; elementwise operations are taken to run on what is there. The
optimiser of the net is charged in `bioplaus.measure.energy`.
"""

import math
from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple

import jax

from bioplaus.measure.program import MAC_OPS, PHASES, Program, arithmetic, dependents, macs, phase, times, trace
from bioplaus.net import init
from bioplaus.types import Batch, Net, PyTree, Rule

Count = int | Fraction


class PhaseCost(NamedTuple):
    """Counts an example.

    macs: multiply-accumulates. ops: elementwise operations (one each for an addition, a tanh, a comparison).
    random: numbers drawn. weight_words: words that MACs read and that do not depend on the batch (weights, feedback), read
    once a batch. activation_words: all other words that MACs read or write.
    """

    macs: Count = 0
    ops: Count = 0
    random: Count = 0
    weight_words: Count = 0
    activation_words: Count = 0


class Traffic(NamedTuple):
    """words an example moved to or from tensors of this size (words, with their batch axis)."""

    tensor: int
    words: Count


class Cost(NamedTuple):
    """batch: B. parameters: of the net. phases: by named scope, 'other' outside of them.

    state_words: words of the rule's state that change, read and written, an example. traffic: all words, by tensor size.
    inference_macs: of `rule.predict`, an example.
    """

    batch: int
    parameters: int
    phases: dict[str, PhaseCost]
    state_words: Count
    traffic: tuple[Traffic, ...]
    inference_macs: Count


class Traced(NamedTuple):
    """The program of one update; inputs are (params, state, batch, key), outputs (grads, state)."""

    program: Program
    params: PyTree
    state: PyTree
    batch: Batch
    key: jax.ShapeDtypeStruct


def cost(rule: Rule, net: Net, batch: Batch, *, params: PyTree = None) -> Cost:
    """Count one update and one prediction. batch: arrays or `jax.ShapeDtypeStruct`; params: those of the net, by default fresh.

    Raises NotCountable for MACs inside a `while` or inside a kernel.
    """
    t = traced(rule, net, batch, params)
    size, shapes = batch.x.shape[0], t.program.shapes
    counts, traffic = counted(t.program, jax.tree.leaves(t.program.inputs[2]))
    state = [math.prod(shapes[v]) for v in changed(t.program)]
    for words in state:
        traffic[words] += 2 * words
    answer = trace(lambda *a: rule.predict(*a), t.params, t.state, t.batch.x, t.key)
    return Cost(
        batch=size,
        parameters=sum(math.prod(p.shape) for p in jax.tree.leaves(t.params)),
        phases={name: PhaseCost(*(per(c[field], size) for field in PhaseCost._fields)) for name, c in counts.items()},
        state_words=per(2 * sum(state), size),
        traffic=tuple(Traffic(tensor, per(words, size)) for tensor, words in sorted(traffic.items())),
        inference_macs=per(total_macs(answer), size),
    )


def total(cost: Cost) -> PhaseCost:
    """All phases together."""
    return PhaseCost(*(sum(column) for column in zip(*cost.phases.values(), strict=True)))


def traced(rule: Rule, net: Net, batch: Batch, params: PyTree = None) -> Traced:
    """The program of `rule.grad`, traced on shapes; its telemetry is left out."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    batch = jax.eval_shape(lambda b: b, batch)
    params = jax.eval_shape(lambda k, x: init(net, k, x), key, batch.x) if params is None else jax.eval_shape(lambda p: p, params)
    state = jax.eval_shape(rule.init, key, params, batch)
    return Traced(trace(lambda *a: rule.grad(*a)[:2], params, state, batch, key), params, state, batch, key)


def counted(program: Program, data: Iterable[int]) -> tuple[dict[str, Counter], Counter]:
    """Fields of PhaseCost by phase, and words by tensor size, for the whole batch. data: the values that are the batch."""
    counts = {name: Counter() for name in PHASES}
    traffic, data = Counter(), dependents(program, data)
    for op in program.ops:
        n, here = times(op), counts[phase(op)]
        here["macs"] += n * macs(op, program.shapes)
        here["ops"] += n * arithmetic(op, program.shapes)
        if op.name == "random_bits":
            here["random"] += n * math.prod(program.shapes[op.outputs[0]])
        if op.name in MAC_OPS:
            for v in (*op.inputs, *op.outputs):
                words = math.prod(program.shapes[v])
                here["activation_words" if v in data else "weight_words"] += n * words
                traffic[words] += n * words
    return counts, traffic


def changed(program: Program) -> list[int]:
    """The values of the rule's state (inputs) that an update changes."""
    before, after = jax.tree.leaves(program.inputs[1]), jax.tree.leaves(program.outputs[1])
    return [b for b, a in zip(before, after, strict=True) if a != b]


def total_macs(program: Program) -> int:
    """MACs of a program, for the whole batch."""
    return sum(macs(op, program.shapes) * times(op) for op in program.ops)


def per(count: int, size: int) -> Count:
    """count / size: an int where it divides."""
    share = Fraction(count, size)
    return int(share) if share.denominator == 1 else share
