"""What one update of a rule costs: counted on its jaxpr, by phase, an example. Nothing is run and nothing is typed in.

    MACs of x w, x: [B, m], w: [m, n]:  B m n.     words moved by it: B m + m n + B n
Counted is what the gradients and the new state need: `info` is telemetry and free. A scan counts its length times, a cond
its dearest branch; a `while` that holds MACs raises NotCountable. The same product written twice counts twice.
Every count is exact, and divided by the batch size: an int, or a Fraction where the batch shares the work.

Memory traffic is that of the MAC operations: operands read and results written, once each (ideal reuse within an operation);
elementwise operations are taken to run on what is there. The optimiser is charged in `bioplaus.measure.energy`.
"""

import math
from collections import Counter
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
    """batch: B. parameters: of the net. phases: by named scope, 'other' outside of them. traffic: by tensor size.

    inference_macs: of `rule.predict`, an example.
    """

    batch: int
    parameters: int
    phases: dict[str, PhaseCost]
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
    size = batch.x.shape[0]
    phases, traffic = counted(t.program, jax.tree.leaves(t.program.inputs[2]), size)
    answer = trace(lambda *a: rule.predict(*a), t.params, t.state, t.batch.x, t.key)
    parameters = sum(math.prod(p.shape) for p in jax.tree.leaves(t.params))
    return Cost(size, parameters, phases, traffic, per(sum(macs(op, answer.shapes) * times(op) for op in answer.ops), size))


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


def counted(program: Program, batch_ids: list[int], size: int) -> tuple[dict[str, PhaseCost], tuple[Traffic, ...]]:
    """Counts of a program by phase, and its traffic, an example: divided by `size`. batch_ids: the values that are data."""
    counts = {name: Counter() for name in PHASES}
    traffic, data = Counter(), dependents(program, batch_ids)
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
    phases = {name: PhaseCost(*(per(c[field], size) for field in PhaseCost._fields)) for name, c in counts.items()}
    return phases, tuple(Traffic(tensor, per(words, size)) for tensor, words in sorted(traffic.items()))


def per(count: int, size: int) -> Count:
    """count / size: an int where it divides."""
    share = Fraction(count, size)
    return int(share) if share.denominator == 1 else share
