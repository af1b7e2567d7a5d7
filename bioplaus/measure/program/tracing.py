"""Reads a function as a flat list of operations, on which cost and plausibility are computed.

The function is traced by JAX and not run. Its jaxpr is inlined:
    calls (jit, remat, custom derivatives) disappear
    scan, while      the body is listed once, and each of its operations says how often it runs
    cond             all branches are listed; the one with the most multiply-accumulates (MACs) is
                     charged, the others run 0 times
    jax.lax.platform_dependent      only the default branch is listed

Named scopes state what a jaxpr does not say: 'trips=20' for each while inside the scope,
'macs=1000' for each kernel or solver, 'part=0' for each rule of a composition, and 'moments' for a
scan over the moments of a sequence. Four operations are
added, which only move data:
    carry (initial, next, ...)            -> value at the start of a step
    index (stacked)                       -> the slice of one step
    stack (value of one step)             -> stacked
    branch (predicate, one value per branch) -> value

What the parts of a composition compute alike, such as a forward pass, is kept once, and what no
output depends on is removed (`bioplaus.measure.program.graph`).
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import Literal

from bioplaus.measure.program.graph import Program, live, merged
from bioplaus.measure.program.operations import (
    MAC_OPS,
    OPAQUE,
    Loop,
    NotCountable,
    Op,
    arithmetic,
    macs,
    repeats,
    stated,
)
from bioplaus.types import MOMENTS, PyTree

Shape = tuple[int, ...]


def trace(function: Callable[..., PyTree], *args: PyTree) -> Program:
    """The program of function(*args); args may be arrays or `jax.ShapeDtypeStruct`.

    Raises NotCountable for a kernel or solver that hides MACs and does not state them.
    """
    closed, result = jax.make_jaxpr(function, return_shape=True)(*args)
    reader = _Reader()
    leaves, tree = jax.tree.flatten(args)
    ids = [reader.new_value(np.shape(leaf)) for leaf in leaves]
    outputs = reader.inline(closed, ids, _Context((), ()))
    ops, outputs = merged(live(reader.ops, outputs), outputs, reader.constants)
    named = jax.tree.structure(result).unflatten(outputs)
    return Program(
        tuple(live(ops, outputs)), reader.shapes, tree.unflatten(ids), named, reader.constants
    )


class _Context(NamedTuple):
    """Where an equation stands: its named scopes and its loops, both from the outermost on."""

    scope: tuple[str, ...]
    loops: tuple[Loop, ...]


class _Reader:
    """Reads jaxprs and appends what they hold to a list of operations; values get ids in order.

    Each method that reads an equation takes the value ids of its arguments, and returns those of
    its results. p: the parameters of the equation.
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.shapes: list[Shape] = []
        self.constants: dict[int, Any] = {}
        self.loop_count = 0

    def new_value(self, shape: Iterable[int]) -> int:
        self.shapes.append(tuple(shape))
        return len(self.shapes) - 1

    def new_constant(self, value: Any) -> int:
        v = self.new_value(np.shape(value))
        self.constants[v] = value
        return v

    def new_loop(self, length: int | None, moments: bool = False, reverse: bool = False) -> Loop:
        self.loop_count += 1
        return Loop(self.loop_count, length, moments, reverse)

    def add(
        self,
        name: str,
        inputs: Iterable[int],
        out_shapes: Iterable[Shape],
        at: _Context,
        params: dict[str, Any] | None = None,
        primitive: Any = None,
    ) -> list[int]:
        """Append one operation."""
        outputs = tuple(self.new_value(s) for s in out_shapes)
        self.ops.append(
            Op(name, params or {}, tuple(inputs), outputs, at.scope, at.loops, primitive)
        )
        return list(outputs)

    def inline(self, jaxpr: Any, args: Sequence[int], at: _Context) -> list[int]:
        """The equations of a jaxpr, closed or open, applied to args."""
        consts = [self.new_constant(c) for c in getattr(jaxpr, "consts", ())]
        jaxpr = _open(jaxpr)
        env = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*consts, *args], strict=True))

        def read(v: Any) -> int:
            if isinstance(v, Literal):
                aval: Any = v.aval
                return self.new_constant(np.asarray(v.val, aval.dtype))
            return env[v]

        for eqn in jaxpr.eqns:
            inputs = [read(v) for v in eqn.invars]
            outs = self.equation(eqn, inputs, at._replace(scope=at.scope + _scopes(eqn)))
            env.update(zip(eqn.outvars, outs, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def equation(self, eqn: Any, args: list[int], at: _Context) -> list[int]:
        p, name, out_shapes = eqn.params, eqn.primitive.name, [_shape(v) for v in eqn.outvars]
        if name == "scan":
            return self.scan(p, args, out_shapes, at, MOMENTS in _scopes(eqn))
        if name == "while":
            return self.while_loop(p, args, at)
        if name == "cond" and (platforms := p.get("branches_platforms")):
            default = platforms.index(None) if None in platforms else 0
            return self.inline(p["branches"][default], args[1:], at)
        if name == "cond":
            return self.cond(p, args, out_shapes, at)
        inner = _jaxprs(p)
        if len(inner) == 1 and self.is_call(inner[0], args, out_shapes):
            return self.inline(inner[0], args, at)
        if stated(at.scope, "macs") is None and (name in OPAQUE or any(map(_has_macs, inner))):
            raise NotCountable(
                f"the multiply-accumulates (MACs) inside of {name!r} cannot be counted; write it"
                " with jax.lax, jit and scan, or state their number: with"
                " jax.named_scope('macs=1000'): ..."
            )
        return self.add(name, args, out_shapes, at, p, eqn.primitive)

    def is_call(self, jaxpr: Any, args: Sequence[int], out_shapes: list[Shape]) -> bool:
        """Whether an equation is a call of the jaxpr inside it: the same shapes in and out."""
        jaxpr = _open(jaxpr)
        return [_shape(v) for v in jaxpr.invars] == [self.shapes[a] for a in args] and [
            _shape(v) for v in jaxpr.outvars
        ] == out_shapes

    def scan(
        self,
        p: dict[str, Any],
        args: list[int],
        out_shapes: list[Shape],
        at: _Context,
        moments: bool,
    ) -> list[int]:
        """Arguments are constants, carry, then stacked inputs; results are carry, then stacked."""
        body, outside = _open(p["jaxpr"]), at
        loop = self.new_loop(p["length"], moments, p["reverse"])
        at = at._replace(loops=(*at.loops, loop))
        # a stacked value has an axis more outside of the body than inside
        stacked_inputs = sum(
            len(self.shapes[a]) > len(_shape(v)) for a, v in zip(args, body.invars, strict=True)
        )
        carries = sum(
            len(s) == len(_shape(v)) for s, v in zip(out_shapes, body.outvars, strict=True)
        )
        consts = len(args) - stacked_inputs - carries
        order = {"reverse": p["reverse"]}
        carry = self.open_carry(args[consts : consts + carries], at)
        slices = [
            self.add("index", (a,), [self.shapes[a][1:]], at, order)[0]
            for a in args[consts + carries :]
        ]
        outs = self.inline(p["jaxpr"], [*args[:consts], *carry, *slices], at)
        self.close_carry(carry, outs[:carries])
        stacked = zip(outs[carries:], out_shapes[carries:], strict=True)
        at = at._replace(loops=outside.loops)
        return outs[:carries] + [self.add("stack", (o,), [s], at, order)[0] for o, s in stacked]

    def while_loop(self, p: dict[str, Any], args: list[int], at: _Context) -> list[int]:
        at = at._replace(loops=(*at.loops, self.new_loop(stated(at.scope, "trips"))))
        c, b = p["cond_nconsts"], p["body_nconsts"]
        carry = self.open_carry(args[c + b :], at)
        test = self.inline(p["cond_jaxpr"], [*args[:c], *carry], at)
        self.close_carry(carry, self.inline(p["body_jaxpr"], [*args[c : c + b], *carry], at), test)
        return carry

    def open_carry(self, args: Iterable[int], at: _Context) -> list[int]:
        return [self.add("carry", (a,), [self.shapes[a]], at)[0] for a in args]

    def close_carry(
        self, carry: Sequence[int], ends: Sequence[int], more: Sequence[int] = ()
    ) -> None:
        """Give each carry operation the value that it takes next, and the test of a while."""
        where = {op.outputs[0]: i for i, op in enumerate(self.ops) if op.name == "carry"}
        for c, end in zip(carry, ends, strict=True):
            op = self.ops[where[c]]
            self.ops[where[c]] = op._replace(inputs=(*op.inputs, end, *more))

    def cond(
        self, p: dict[str, Any], args: list[int], out_shapes: list[Shape], at: _Context
    ) -> list[int]:
        work, spans, results = [], [], []
        for jaxpr in p["branches"]:
            start = len(self.ops)
            results.append(self.inline(jaxpr, args[1:], at))
            spans.append(range(start, len(self.ops)))
            work.append(
                [
                    sum(f(op, self.shapes) * repeats(op) for op in self.ops[start:])
                    for f in (macs, arithmetic)
                ]
            )
        for n in sorted(range(len(work)), key=lambda n: work[n])[:-1]:  # all but the dearest
            idle = self.new_loop(0)
            for i in spans[n]:
                loops = self.ops[i].loops
                inner = loops[len(at.loops) :]
                self.ops[i] = self.ops[i]._replace(loops=(*at.loops, idle, *inner))
        return [
            self.add("branch", (args[0], *values), [s], at)[0]
            for values, s in zip(zip(*results, strict=True), out_shapes, strict=True)
        ]


def _open(jaxpr: Any) -> Any:
    """The jaxpr itself, of a closed or an open one."""
    return getattr(jaxpr, "jaxpr", jaxpr)


def _scopes(eqn: Any) -> tuple[str, ...]:
    """Named scopes of an equation. This is the only reader of name stacks.

    A scope inside transpose(...) names the code that was differentiated, not the code that runs,
    and is left out, except that a loop over moments stays one.
    """

    def inside(match: re.Match[str]) -> str:
        if match[1] != "transpose":
            return match[2]
        return MOMENTS if MOMENTS in match[2].split("/") else ""

    stack, before = str(eqn.source_info.name_stack), ""
    while stack != before:
        before, stack = stack, re.sub(r"(\w*)\(([^()]*)\)", inside, stack)
    return tuple(s for s in stack.split("/") if s)


def _jaxprs(params: dict[str, Any]) -> list:
    values = [
        v
        for value in params.values()
        for v in (value if isinstance(value, tuple | list) else (value,))
    ]
    return [v for v in values if hasattr(_open(v), "eqns")]


def _has_macs(jaxpr: Any) -> bool:
    return any(
        e.primitive.name in MAC_OPS or any(map(_has_macs, _jaxprs(e.params)))
        for e in _open(jaxpr).eqns
    )


def _shape(v: Any) -> Shape:
    return getattr(v.aval, "shape", ())
