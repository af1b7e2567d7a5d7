"""The cost of one update of a rule, counted on its jaxpr by phase and layer, per example.

Nothing is typed in. Costs are counted in multiply-accumulates (MACs) and in words moved. For the
product x w of x [B, m] and w [m, n]:

    MACs = B m n,    words moved = B m + m n + B n

Operations count if the gradients or the new state need them; `info` is telemetry and free. A scan
counts as often as it has steps, a cond as its most expensive branch. A `while` that holds MACs, and
a kernel, raise NotCountable unless they are annotated (`measure.program`). A product that is
computed twice counts twice. An exception is what several rules of a `by_layer` compute alike, which
is shared. Every count is exact and divided by the batch size: an int, or a Fraction if the examples
of a batch share the work.

`cost` is dense: it sees only shapes, and nothing is run. `effective` runs the same program once and
counts what remains if zeros are skipped:

    MACs            between operands in which every nonzero counts as 1, as NeuroBench counts; for
                    the outer product of an update, sum_b nnz(h_b) nnz(delta_b), with nnz the number
                    of nonzeros of the activity h_b and the signal delta_b of example b
    accumulates     (ACs) take the place of MACs if an operand that depends on data holds only 0, 1
                    and -1
    spikes          nonzeros that forward products receive
    synapse updates dW != 0, after any gate and, with tx, as applied
All other counts do not depend on data and are the same in both.

Memory traffic consists of the operands and results of MAC operations, each read or written once
(ideal reuse within an operation), of the rule's state where it changes, and with tx of the
optimiser's. Elementwise operations are assumed to work on words that are already there.

Yik et al., "NeuroBench: A Framework for Benchmarking Neuromorphic Computing Algorithms and
Systems", 2023, arXiv:2304.04640. Departure: NeuroBench counts only inference, and treats every
operand of a layer as data.
"""

import math
from collections import Counter
from typing import NamedTuple

import jax
import optax

from bioplaus.context import in_context
from bioplaus.measure.counts import Cost, Count, Counts, Traffic, counted, per
from bioplaus.measure.optimiser import optimised, updated
from bioplaus.measure.program import Program, dependents, trace
from bioplaus.measure.program.flow import forward_axes, layers_of, reads_of
from bioplaus.measure.program.operations import macs, times
from bioplaus.measure.program.products import Products, products_of
from bioplaus.measure.program.schedule import Residency, residency
from bioplaus.net import current_shapes, forward, init
from bioplaus.types import Batch, Key, Net, PyTree, Rule


class Traced(NamedTuple):
    """The program of one update: (params, state, batch, key) -> (grads, state). one_pass: the
    program of `net.forward`. The other fields are the shapes of the arguments.
    """

    program: Program
    one_pass: Program
    params: PyTree
    state: PyTree
    batch: Batch
    key: jax.ShapeDtypeStruct


def cost(
    rule: Rule,
    net: Net,
    batch: Batch,
    *,
    params: PyTree = None,
    tx: optax.GradientTransformation | None = None,
) -> Cost:
    """Dense counts of one update.

    batch: arrays or `jax.ShapeDtypeStruct`. params: those of the net, by default fresh ones. tx:
    the optimiser that applies the gradients, whose cost is added; None to leave it out. Raises
    NotCountable for MACs inside a `while` or a kernel without an annotation.
    """
    return _cost(traced(rule, net, batch, params), rule, net, tx, None, {})


def effective(
    rule: Rule,
    net: Net,
    batch: Batch,
    key: Key,
    *,
    params: PyTree,
    state: PyTree,
    tx: optax.GradientTransformation | None = None,
) -> Cost:
    """Effective counts of one update, run on these arrays.

    They are a batch, the params of the net, and the state of the rule.

    tx: as in `cost`, at its first step. Raises NotCountable as `cost` does, and ValueError for
    shapes in place of arrays.
    """
    args = (params, state, batch, key)
    if any(isinstance(a, jax.ShapeDtypeStruct) for a in jax.tree.leaves(args)):
        raise ValueError(
            "effective: got shapes; it runs the rule once, give arrays (or use `cost` for dense"
            " counts)"
        )
    t = traced(rule, net, batch, params, state)

    def changes(result: PyTree) -> list:
        """How many weights of each layer change."""
        update: PyTree = (
            result[0]
            if tx is None
            else updated(tx, result[0], tx.init(params), params, batch, key)[0]
        )
        return [sum((c != 0).sum() for c in jax.tree.leaves(g)) for g in update]

    products, changed_weights = products_of(
        t.program, args, dependents(t.program, jax.tree.leaves(t.program.inputs[2])), changes
    )
    synapses = {l: int(n) for l, n in enumerate(changed_weights, 1)}
    return _cost(t, rule, net, tx, products, synapses)


def inference(
    rule: Rule,
    net: Net,
    batch: Batch,
    *,
    params: PyTree = None,
    numbers: tuple[PyTree, PyTree, Key] | None = None,
) -> Cost:
    """Counts of one answer, `rule.predict`. They are dense, or effective if `numbers` (params,
    state, key) and a batch of arrays are given.

    Raises NotCountable as `cost` does.
    """
    t = traced(
        rule,
        net,
        batch,
        params if numbers is None else numbers[0],
        None if numbers is None else numbers[1],
    )
    answer = _answer(rule, t)
    p, s, given, _ = answer.inputs
    data = dependents(answer, jax.tree.leaves(given))
    products = (
        None
        if numbers is None
        else products_of(answer, (*numbers[:2], (batch.x, batch.context), numbers[2]), data)[0]
    )
    size, sums = batch.x.shape[0], forward_axes(t.one_pass)
    forwards = reads_of(answer._replace(outputs=((), ())), sums).forward
    cells, traffic = counted(
        answer, layers_of(answer, p, s, (), (), data), forwards, data, products
    )
    return _assembled(t, net, cells, traffic, 0, per(total_macs(answer), size))._replace(
        trains=False, effective=products is not None
    )


def traced(
    rule: Rule, net: Net, batch: Batch, params: PyTree = None, state: PyTree = None
) -> Traced:
    """The program of `rule.grad`, traced on shapes, without its `info`."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    batch = jax.eval_shape(lambda b: b, batch)
    params = (
        jax.eval_shape(lambda k, x: init(net, k, x), key, batch.x)
        if params is None
        else jax.eval_shape(lambda p: p, params)
    )
    state = (
        jax.eval_shape(rule.init, key, params, batch)
        if state is None
        else jax.eval_shape(lambda s: s, state)
    )
    one_pass = trace(
        lambda p, b, k: forward(in_context(net, b.context), p, b.x, k).output, params, batch, key
    )
    return Traced(
        trace(lambda *a: rule.grad(*a)[:2], params, state, batch, key),
        one_pass,
        params,
        state,
        batch,
        key,
    )


def _answer(rule: Rule, t: Traced) -> Program:
    """The program of one answer: (params, state, (x, context), key) -> output."""
    given = t.batch.x, t.batch.context
    return trace(
        lambda p, s, g, k: rule.predict(p, s, g[0], k, g[1]), t.params, t.state, given, t.key
    )


def changed(program: Program) -> list[int]:
    """The value ids of those parts of the rule's state (inputs) that an update changes."""
    before, after = jax.tree.leaves(program.inputs[1]), jax.tree.leaves(program.outputs[1])
    return [b for b, a in zip(before, after, strict=True) if a != b]


def total_macs(program: Program) -> int:
    """MACs of a program, for the whole batch."""
    return sum(macs(op, program.shapes) * times(op) for op in program.ops)


def _cost(
    t: Traced, rule: Rule, net: Net, tx, products: Products | None, synapses: dict[int, int]
) -> Cost:
    program = t.program
    params, state, data, _ = program.inputs
    grads, after = program.outputs
    data = dependents(program, jax.tree.leaves(data))
    reads, shapes = reads_of(program, forward_axes(t.one_pass)), program.shapes
    cells, traffic = counted(
        program,
        layers_of(program, params, state, grads, after, data),
        reads.forward,
        data,
        products,
    )
    for l, (p, g) in enumerate(zip(params, grads, strict=True), 1):
        learns = sum(math.prod(shapes[v]) for v in jax.tree.leaves(g) if v in data)
        cells["update", l]["synapse_updates"] += synapses.get(l, learns)
        cells["credit", l]["transport"] += sum(
            math.prod(shapes[v]) for v in reads.words.intersection(jax.tree.leaves(p))
        )
    moved = [math.prod(shapes[v]) for v in changed(program)]
    cells["auxiliary", 0].update({"weight_reads": sum(moved), "weight_writes": sum(moved)})
    for words in moved:
        traffic[words] += 2 * words
    if tx is not None:
        optimised(tx, t.params, t.batch, t.key, cells, traffic)
    answer = _answer(rule, t)
    size = t.batch.x.shape[0]
    dense = _assembled(
        t, net, cells, traffic, per(2 * sum(moved), size), per(total_macs(answer), size)
    )
    return dense._replace(residency=residency(program, size), effective=products is not None)


def _assembled(
    t: Traced, net: Net, cells, traffic: Counter, state_words: Count, inference_macs: Count
) -> Cost:
    size = t.batch.x.shape[0]
    return Cost(
        batch=size,
        parameters=sum(math.prod(p.shape) for p in jax.tree.leaves(t.params)),
        neurons=sum(
            math.prod(a.shape[1:])
            for a in current_shapes(net, t.params, t.batch, jax.random.key(0))
        ),
        cells={
            where: Counts(*(per(c[field], size) for field in Counts._fields))
            for where, c in sorted(cells.items())
        },
        state_words=state_words,
        traffic=tuple(
            Traffic(tensor, per(words, size)) for tensor, words in sorted(traffic.items())
        ),
        inference_macs=inference_macs,
        residency=Residency(0.0, 0.0),
    )
