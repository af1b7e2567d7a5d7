"""The cost of applying gradients: what an optimiser computes and moves."""

import math
from collections import Counter

import jax
import optax

from bioplaus.measure.program import trace
from bioplaus.measure.program.flow import layers_of
from bioplaus.measure.program.operations import arithmetic, kind, times
from bioplaus.types import Batch, Key, PyTree


def updated(tx, grads: PyTree, opt: PyTree, params: PyTree, batch: Batch, key: Key):
    """What training calls, `bioplaus.training.steps.learned`."""
    told = {"batch": batch, "key": key}
    return optax.with_extra_args_support(tx).update(grads, opt, params, **told)


def optimised(tx, params: PyTree, batch: PyTree, key: PyTree, cells, traffic: Counter) -> None:
    """Add the cost of applying the gradients.

    It consists of operations, and of a read and a write of each word of the parameters and of the
    optimiser's state that changes.

    These words move to and from a memory that holds all parameters, because an update goes through
    all of them at once. A forward pass by which structure hears activity is the rule's own, and is
    not counted again.
    """

    def step(params, opt, grads, batch, key):
        updates, opt = updated(tx, grads, opt, params, batch, key)
        return optax.apply_updates(params, updates), opt

    opt = jax.eval_shape(tx.init, params)
    program = trace(step, params, opt, params, batch, key)
    parameters = sum(math.prod(p.shape) for p in jax.tree.leaves(params))
    before, after = jax.tree.leaves(program.inputs[:2]), jax.tree.leaves(program.outputs)
    layer_of = layers_of(
        program, tuple(zip(program.inputs[0], program.inputs[2], strict=True)), (), (), (), set()
    )
    for i, op in enumerate(program.ops):
        cells["optimiser", layer_of[0][i]][f"{kind(op)}s"] += times(op) * arithmetic(
            op, program.shapes
        )
    for b, a in zip(before, after, strict=True):
        if a != b:
            words = math.prod(program.shapes[b])
            cells["optimiser", layer_of[1].get(a, 0)].update(
                {"weight_reads": words, "weight_writes": words}
            )
            traffic[parameters] += 2 * words
