"""Run a program once and count what its products did.

That is: which of their operands were zero, and which held only 0, 1 and -1.

The program is compiled as a whole, with its loops as loops. Counts are 64-bit integers.
"""

from collections.abc import Callable
from itertools import groupby

import jax
import jax.numpy as jnp

from bioplaus.measure.program.graph import Program
from bioplaus.measure.program.operations import MAC_OPS, Op
from bioplaus.types import PyTree

Products = dict[int, tuple[int, int, int]]
"""Position of a product -> (effective MACs, effective ACs, nonzero words of those operands that
depend on data), summed over all of its runs. MACs: multiply-accumulates; ACs: accumulates.
"""


def products_of(
    program: Program,
    args: tuple[PyTree, ...],
    data: set[int],
    then: Callable[[PyTree], PyTree] = lambda r: r,
) -> tuple[Products, PyTree]:
    """Run the program on args, and count. Returns the counts, and then(result of the program).

    data: the values that depend on data. then: a function of the program's result that runs in the
    same compiled program.
    """
    ids, (outputs, named) = jax.tree.leaves(program.inputs), jax.tree.flatten(program.outputs)
    inputs = jax.tree.leaves(args)

    def everything(values):
        env = dict(zip(ids, values, strict=True)) | program.constants
        counts = _run(program, list(range(len(program.ops))), env, 0, data)
        return then(named.unflatten([env[v] for v in outputs])), counts

    with jax.enable_x64():
        result, counts = jax.jit(everything)(inputs)
    found = {i: (int(c[0]), int(c[1]), int(c[2])) for i, c in counts.items()}
    # products in branches that are not charged
    rest = {i: (0, 0, 0) for i, op in enumerate(program.ops) if op.name in MAC_OPS}
    return rest | found, result


def _run(
    program: Program, positions: list[int], env: dict, level: int, data: set[int]
) -> dict[int, jax.Array]:
    """Run operations in order and add their values to env. Returns the counts of the products among
    them.
    """
    ops, counts = program.ops, {}
    for loop, group in groupby(
        positions, key=lambda i: ops[i].loops[level] if len(ops[i].loops) > level else None
    ):
        group = list(group)
        if loop is None:
            for i in group:
                _step(ops[i], program.shapes, env)
                if ops[i].name in MAC_OPS:
                    counts[i] = _counted(ops[i], program.shapes, env, data)
        elif loop.length == 0:  # a branch of a cond that is not charged
            _run(program, group, env, level + 1, data)
        else:
            counts |= _loop(program, group, env, level, data)
    return counts


def _loop(
    program: Program, group: list[int], env: dict, level: int, data: set[int]
) -> dict[int, jax.Array]:
    ops = program.ops
    opens = [i for i in group if ops[i].name == "carry" and len(ops[i].loops) == level + 1]
    carries, body = [ops[i] for i in opens], [i for i in group if i not in opens]
    start = [env[op.inputs[0]] for op in carries]

    def step(state, t):
        local = env | {op.outputs[0]: s for op, s in zip(carries, state, strict=True)} | {STEP: t}
        return local, _run(program, body, local, level + 1, data)

    # a while: the third input of its carries is the test of whether it goes on
    if any(len(op.inputs) > 2 for op in carries):
        test = carries[0].inputs[2]

        def again(state):
            local, counts = step(state[0], 0)
            return [local[op.inputs[1]] for op in carries], jax.tree.map(jnp.add, state[1], counts)

        zeros = jax.tree.map(
            lambda c: jnp.zeros(c.shape, c.dtype), jax.eval_shape(lambda s: step(s, 0)[1], start)
        )
        final, counts = jax.lax.while_loop(
            lambda state: step(state[0], 0)[0][test], again, (start, zeros)
        )
        env.update({op.outputs[0]: s for op, s in zip(carries, final, strict=True)})
        return counts

    length = next(ops[i].loops[level].length for i in group)
    outside = {v for i, op in enumerate(ops) if not group[0] <= i <= group[-1] for v in op.inputs}
    kept = sorted(
        {v for i in group for v in ops[i].outputs}
        & (outside | set(jax.tree.leaves(program.outputs)))
    )

    def scanned(state, t):
        local, counts = step(state, t)
        return [local[op.inputs[1]] for op in carries], ([local[v] for v in kept], counts)

    _, (values, counts) = jax.lax.scan(scanned, start, jnp.arange(length))
    for v, stacked in zip(kept, values, strict=True):
        env[v], env[STACKED, v] = stacked[-1], stacked
    return {i: c.sum(0) for i, c in counts.items()}


STEP, STACKED = "step", "stacked"  # keys that loops add to env beside value ids


def _step(op: Op, shapes, env: dict) -> None:
    values = [env[v] for v in op.inputs]
    if op.name == "index":
        step = len(values[0]) - 1 - env[STEP] if op.params["reverse"] else env[STEP]
        result = jax.lax.dynamic_index_in_dim(values[0], step, keepdims=False)
    elif op.name == "stack":
        # a value that the loop does not change is not stacked by it
        same = jnp.broadcast_to(values[0], shapes[op.outputs[0]])
        result = env.get((STACKED, op.inputs[0]), same)
        result = result[::-1] if op.params["reverse"] else result
    elif op.name == "branch":
        which, *choices = values
        result = jax.lax.select_n(which, *choices) if jnp.ndim(which) == 0 else choices[0]
    else:
        result = op.primitive.bind(*values, **op.params)
    env.update(
        zip(op.outputs, result if isinstance(result, (list, tuple)) else (result,), strict=True)
    )


def _counted(op: Op, shapes, env: dict, data: set[int]) -> jax.Array:
    """[3]: effective MACs, effective ACs, and nonzero words.

    The words are those of the operands that depend on data.
    """
    a, b = (env[v] for v in op.inputs)
    binary = [
        jnp.isin(jnp.abs(x), jnp.array([0, 1], x.dtype)).all()
        for v, x in zip(op.inputs, (a, b), strict=True)
        if v in data
    ]
    simple = jnp.stack(binary).any() if binary else jnp.zeros((), bool)
    received = sum(
        (
            (x != 0).sum(dtype=jnp.int64)
            for v, x in zip(op.inputs, (a, b), strict=True)
            if v in data
        ),
        jnp.int64(0),
    )
    if op.name == "dot_general":
        count = (_nonzeros(op, 0, a) * _nonzeros(op, 1, b)).sum()
    else:
        ones = [(x != 0).astype(jnp.float32) for x in (a, b)]
        params = op.params | {"preferred_element_type": jnp.dtype("float32")}
        count = op.primitive.bind(*ones, **params).astype(jnp.int64).sum()
    return jnp.stack([jnp.where(simple, 0, count), jnp.where(simple, count, 0), received])


def _nonzeros(op: Op, operand: int, x) -> jax.Array:
    """The number of nonzero values at each index.

    The indices are of the batch and contracted axes: [batch..., contracted...].
    """
    contract, batch = (side[operand] for side in op.params["dimension_numbers"])
    x = jnp.moveaxis(x != 0, (*batch, *contract), range(len(batch) + len(contract)))
    return x.sum(tuple(range(len(batch) + len(contract), x.ndim)), dtype=jnp.int64)
