"""A function as a flat list of operations: what costs and plausibility are computed from. Nothing
is run.

The jaxpr is inlined. Calls (jit, remat, custom derivatives) disappear; the body of a scan or while
stands once, and each of its operations says how often it runs; all branches of a cond stand, and
the one with the most multiply-accumulates (MACs) is charged; of `jax.lax.platform_dependent` the
default alone stands. What no jaxpr says is stated by named scopes: 'trips=20' for each while
within, 'macs=1000' for each kernel or solver, 'part=0' for each rule of a composition. Four
operations are added, which move data and nothing else:
    carry (init, next, ...) -> value at the start of a step       index (stacked) -> a step's slice
    stack (a step's value) -> stacked                             branch (predicate, one value a
        branch) -> value
What the parts of a composition compute alike, such as a forward pass, stands once. What reaches no
output is then removed; an operation in a loop stays if any of its steps is needed.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import Literal

from bioplaus.measure.program.operations import (
    MAC_OPS,
    OPAQUE,
    Loop,
    NotCountable,
    Op,
    arithmetic,
    macs,
    phase,
    repeats,
    stated,
)
from bioplaus.types import PyTree


class Program(NamedTuple):
    """Live operations, in order; the shape of every value; value ids in the trees of the arguments
    and of the result.

    constants: the values that the function brings along, by id.
    """

    ops: tuple[Op, ...]
    shapes: list[tuple[int, ...]]
    inputs: tuple[PyTree, ...]
    outputs: PyTree
    constants: dict[int, Any]


def trace(function: Callable[..., PyTree], *args: PyTree) -> Program:
    """The program of function(*args); args may be arrays or `jax.ShapeDtypeStruct`.

    Raises NotCountable for a kernel or solver that holds MACs in a form of its own.
    """
    closed, result = jax.make_jaxpr(function, return_shape=True)(*args)
    ops: list[Op] = []
    shapes: list[tuple[int, ...]] = []
    constants: dict[int, Any] = {}
    loop_count = 0

    def new(shape) -> int:
        shapes.append(tuple(shape))
        return len(shapes) - 1

    def constant(value, aval=None) -> int:
        constants[len(shapes)] = value if aval is None else np.asarray(value, aval.dtype)
        return new(np.shape(value))

    def add(name, params, inputs, out_shapes, scope, loops, primitive=None) -> list[int]:
        ops.append(
            Op(
                name,
                params,
                tuple(inputs),
                tuple(new(s) for s in out_shapes),
                scope,
                loops,
                primitive,
            )
        )
        return list(ops[-1].outputs)

    def looped(loops, length):
        nonlocal loop_count
        loop_count += 1
        return (*loops, Loop(loop_count, length))

    def inline(jaxpr, args, scope, loops) -> list[int]:
        """Value ids of the results of a jaxpr, closed or open, at args."""
        consts = [constant(c) for c in getattr(jaxpr, "consts", ())]
        jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
        env = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

        def read(v) -> int:
            return constant(v.val, v.aval) if isinstance(v, Literal) else env[v]

        for eqn in jaxpr.eqns:
            outs = convert(eqn, [read(v) for v in eqn.invars], scope + _scopes(eqn), loops)
            env.update(zip(eqn.outvars, outs, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def convert(eqn, args, scope, loops) -> list[int]:
        p, name, out_shapes = eqn.params, eqn.primitive.name, [_shape(v) for v in eqn.outvars]
        if name == "scan":
            return scan(p, args, out_shapes, scope, looped(loops, p["length"]))
        if name == "while":
            return while_loop(p, args, scope, looped(loops, stated(scope, "trips")))
        # how it is computed there, not what: the plain form
        if name == "cond" and (platforms := p.get("branches_platforms")):
            return inline(
                p["branches"][platforms.index(None) if None in platforms else 0],
                args[1:],
                scope,
                loops,
            )
        if name == "cond":
            return cond(p, args, out_shapes, scope, loops)
        inner = _jaxprs(p)
        if len(inner) == 1 and _fits(inner[0], args, shapes, out_shapes):
            return inline(inner[0], args, scope, loops)
        if stated(scope, "macs") is None and (name in OPAQUE or any(map(_has_macs, inner))):
            raise NotCountable(
                f"{name!r} holds work in a form that is not known here; write it with jax.lax, jit"
                " and scan, or state its products: with jax.named_scope('macs=1000'): ..."
            )
        return add(name, p, args, out_shapes, scope, loops, eqn.primitive)

    def carried(args, scope, loops) -> list[int]:
        return [add("carry", {}, (a,), [shapes[a]], scope, loops)[0] for a in args]

    def close(carry, ends, more=()) -> None:
        """Tell each carry operation where its next value comes from."""
        where = {op.outputs[0]: i for i, op in enumerate(ops) if op.name == "carry"}
        for c, end in zip(carry, ends, strict=True):
            ops[where[c]] = ops[where[c]]._replace(inputs=(*ops[where[c]].inputs, end, *more))

    def scan(p, args, out_shapes, scope, loops) -> list[int]:
        body = getattr(p["jaxpr"], "jaxpr", p["jaxpr"])
        per_step = [
            len(shapes[a]) > len(_shape(v)) for a, v in zip(args, body.invars, strict=True)
        ]  # constants, carry, then these
        # carry, then what is stacked
        k = sum(len(s) == len(_shape(v)) for s, v in zip(out_shapes, body.outvars, strict=True))
        n = per_step.count(False) - k
        carry = carried(args[n : n + k], scope, loops)
        order = {"reverse": p["reverse"]}
        steps = [add("index", order, (a,), [shapes[a][1:]], scope, loops)[0] for a in args[n + k :]]
        outs = inline(p["jaxpr"], [*args[:n], *carry, *steps], scope, loops)
        close(carry, outs[:k])
        stacked = zip(outs[k:], out_shapes[k:], strict=True)
        return outs[:k] + [add("stack", order, (o,), [s], scope, loops[:-1])[0] for o, s in stacked]

    def while_loop(p, args, scope, loops) -> list[int]:
        c, b = p["cond_nconsts"], p["body_nconsts"]
        carry = carried(args[c + b :], scope, loops)
        test = inline(p["cond_jaxpr"], [*args[:c], *carry], scope, loops)
        close(carry, inline(p["body_jaxpr"], [*args[c : c + b], *carry], scope, loops), test)
        return carry

    def cond(p, args, out_shapes, scope, loops) -> list[int]:
        branches = []
        for jaxpr in p["branches"]:
            start = len(ops)
            outs = inline(jaxpr, args[1:], scope, loops)
            work = [
                sum(f(op, shapes) * repeats(op) for op in ops[start:]) for f in (macs, arithmetic)
            ]
            branches.append((work, range(start, len(ops)), outs))
        for _, span, _ in sorted(branches, key=lambda b: b[0])[:-1]:
            idle = looped(loops, 0)
            for i in span:
                ops[i] = ops[i]._replace(loops=(*idle, *ops[i].loops[len(loops) :]))
        results = zip(*(outs for _, _, outs in branches), strict=True)
        return [
            add("branch", {}, (args[0], *r), [s], scope, loops)[0]
            for r, s in zip(results, out_shapes, strict=True)
        ]

    leaves, tree = jax.tree.flatten(args)
    ids = [new(np.shape(leaf)) for leaf in leaves]
    outputs = inline(closed, ids, (), ())
    ops, outputs = _shared(_live(ops, outputs), outputs, constants)
    named = jax.tree.structure(result).unflatten(outputs)
    return Program(tuple(_live(ops, outputs)), shapes, tree.unflatten(ids), named, constants)


def dependents(program: Program, ids: Iterable[int]) -> set[int]:
    """The values that depend on the values ids."""
    found, before = set(ids), -1
    while len(found) > before:  # once more for each level of loops
        before = len(found)
        for op in program.ops:
            if not found.isdisjoint(op.inputs):
                found.update(op.outputs)
    return found


def reaching(ops: Sequence[Op], values: Iterable[int]) -> set[int]:
    """The positions of the operations that values depend on."""
    source = {v: i for i, op in enumerate(ops) for v in op.outputs}
    found, todo = set(), list(values)
    while todo:
        i = source.get(todo.pop())
        if i is not None and i not in found:
            found.add(i)
            todo.extend(ops[i].inputs)
    return found


def _live(ops: list[Op], outputs: list[int]) -> list[Op]:
    return [ops[i] for i in sorted(reaching(ops, outputs))]


def _shared(
    ops: list[Op], outputs: list[int], constants: dict[int, Any]
) -> tuple[list[Op], list[int]]:
    """Operations and results, where what several parts of a composition compute alike stands once.

    A part that computes something twice is charged for it twice: its nth time is the nth time of
    another part. Loops are not merged.
    """
    stands: dict[int, int] = {}  # value -> the one that stands for it
    alike: dict[int, Any] = {  # value -> what all values like it share
        v: (str(c.dtype), c.shape, c.tobytes()) if isinstance(c, np.ndarray) else id(c)
        for v, c in constants.items()
    }
    # computation -> its results, one for each time that a single part needs it
    made: dict[Any, list[tuple[int, ...]]] = {}
    asked, kept = Counter(), []
    for op in ops:
        part = tuple(s for s in op.scope if s.startswith("part="))
        what = (
            phase(op),
            op.name,
            tuple(op.params.values()),
            tuple(alike.get(v, v) for v in op.inputs),
            op.loops,
        )
        if part and op.primitive is not None and _hashable(what):
            before, n = made.setdefault(what, []), asked[part, what]
            asked[part, what] += 1
            if n < len(before):
                stands.update(zip(op.outputs, before[n], strict=True))
                alike.update(zip(op.outputs, before[0], strict=True))
                continue
            before.append(op.outputs)
            alike.update(zip(op.outputs, before[0], strict=True))
        kept.append(op)
    kept = [op._replace(inputs=tuple(stands.get(v, v) for v in op.inputs)) for op in kept]
    return kept, [stands.get(v, v) for v in outputs]


def _hashable(value) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _scopes(eqn) -> tuple[str, ...]:
    """Named scopes of an equation: the only reader of name stacks.

    What stands inside transpose(...) names the code that was differentiated, not the code that
    runs, and is left out.
    """
    stack, before = str(eqn.source_info.name_stack), ""
    while stack != before:
        before, stack = (
            stack,
            re.sub(r"(\w*)\(([^()]*)\)", lambda m: "" if m[1] == "transpose" else m[2], stack),
        )
    return tuple(s for s in stack.split("/") if s)


def _jaxprs(params) -> list:
    values = [
        v
        for value in params.values()
        for v in (value if isinstance(value, tuple | list) else (value,))
    ]
    return [v for v in values if hasattr(getattr(v, "jaxpr", v), "eqns")]


def _has_macs(jaxpr) -> bool:
    return any(
        e.primitive.name in MAC_OPS or any(map(_has_macs, _jaxprs(e.params)))
        for e in getattr(jaxpr, "jaxpr", jaxpr).eqns
    )


def _fits(jaxpr, args, shapes, out_shapes) -> bool:
    """Whether an equation is a call of its jaxpr: the same shapes in and out."""
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    return [_shape(v) for v in jaxpr.invars] == [shapes[a] for a in args] and [
        _shape(v) for v in jaxpr.outvars
    ] == out_shapes


def _shape(v) -> tuple[int, ...]:
    return getattr(v.aval, "shape", ())
