"""One operation of a program, and its counts.

Counted are multiply-accumulates (MACs), elementwise operations, and how often it runs.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bioplaus.types import PHASES

MAC_OPS = ("dot_general", "conv_general_dilated")

OPAQUE = (
    "pallas_call",
    "custom_call",
    "ffi_call",
    "pure_callback",
    "io_callback",
    "cholesky",
    "eigh",
    "svd",
    "lu",
    "qr",
)
"""Operations that hide their work. Their MACs are those that a scope around them states,
'macs=1000'; without such a scope they raise NotCountable.
"""

KINDS = {
    **dict.fromkeys("add sub neg add_any reduce_sum cumsum".split(), "add"),
    **dict.fromkeys("mul square integer_pow reduce_prod cumprod".split(), "mul"),
    **dict.fromkeys(
        "max min lt le gt ge eq ne select_n sign abs clamp is_finite and or not xor reduce_max"
        " reduce_min reduce_and reduce_or argmax argmin sort top_k cummax cummin floor ceil round"
        " shift_left shift_right_logical shift_right_arithmetic".split(),
        "compare",
    ),
}

MOVES = frozenset(
    "carry index stack branch reshape transpose broadcast_in_dim squeeze slice dynamic_slice"
    " dynamic_update_slice concatenate pad rev gather scatter copy copy_p device_put"
    " convert_element_type bitcast_convert_type reduce_precision stop_gradient iota split"
    " optimization_barrier random_bits random_fold_in random_split random_wrap random_unwrap"
    " random_seed random_clone".split()
)
"""Operations that compute nothing: they move data, or handle random keys."""

OTHER = "other"
"""The phase of operations outside of all that are declared in `bioplaus.types`."""


class NotCountable(ValueError):
    """The number of operations is not known before the function runs."""


class Loop(NamedTuple):
    """A loop around an operation. length: number of steps; None for a `while`, 0 for a branch of a
    cond that is not charged. moments: whether its steps are the moments of a sequence. reverse:
    whether it runs from the last step to the first.
    """

    id: int
    length: int | None
    moments: bool = False
    reverse: bool = False


class Op(NamedTuple):
    """One operation.

    inputs, outputs: value ids. scope, loops: its named scopes and its loops, outermost first.
    primitive: the primitive that JAX runs for it; None for the four operations that are added.
    """

    name: str
    params: dict[str, Any]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    scope: tuple[str, ...]
    loops: tuple[Loop, ...]
    primitive: Any = None


def macs(op: Op, shapes: Sequence[tuple[int, ...]]) -> int:
    """Multiply-accumulates of one run of op. Products with the zeros of a convolution's padding and
    dilation are not counted.
    """
    if op.name not in MAC_OPS:
        return (stated(op.scope, "macs") or 0) if op.name in OPAQUE else 0
    a, b, out = shapes[op.inputs[0]], shapes[op.inputs[1]], shapes[op.outputs[0]]
    if op.name == "dot_general":
        return math.prod(out) * math.prod(a[d] for d in op.params["dimension_numbers"][0][0])
    p, (lhs, rhs, res) = op.params, op.params["dimension_numbers"]
    count = out[res[0]] * out[res[1]] * b[rhs[1]]
    for d in range(len(a) - 2):
        start = np.arange(out[res[d + 2]]) * p["window_strides"][d] - p["padding"][d][0]
        position = np.add.outer(start, np.arange(b[rhs[d + 2]]) * p["rhs_dilation"][d])
        spacing = p["lhs_dilation"][d]
        last = (a[lhs[d + 2]] - 1) * spacing
        count *= int(((position >= 0) & (position <= last) & (position % spacing == 0)).sum())
    return count


def contracted(op: Op, operand: int) -> tuple[int, ...]:
    """The axes of an operand of a MAC operation that are summed over."""
    if op.name == "dot_general":
        return op.params["dimension_numbers"][0][operand]
    return op.params["dimension_numbers"][operand][1:]


def arithmetic(op: Op, shapes: Sequence[tuple[int, ...]]) -> int:
    """Elementwise operations of one run of op.

    They are one per element of the output, or of the input for a reduction.
    """
    if op.name in MAC_OPS or op.name in MOVES or op.name in OPAQUE:
        return 0
    reduces = op.name.startswith(("reduce", "arg"))
    return sum(math.prod(shapes[v]) for v in (op.inputs if reduces else op.outputs))


def kind(op: Op) -> str:
    """The kind of an elementwise operation.

    One of 'add', 'mul', 'compare' (with logic and selection), and 'transcendental' for all others.
    """
    return KINDS.get(op.name, "transcendental")


def times(op: Op) -> int:
    """How often op runs. A `while` without `trips=n` counts as one step, and raises NotCountable if
    it holds MACs.
    """
    if op.name in MAC_OPS and any(loop.length is None for loop in op.loops):
        where = "/".join(op.scope) or "none"
        raise NotCountable(
            f"{op.name} in a `while` (scopes: {where}) runs an unknown number of times; use"
            " jax.lax.scan, or state how often: with jax.named_scope('trips=20'): ..."
        )
    return repeats(op)


def phase(op: Op) -> str:
    """The outermost named scope that is one of PHASES, else OTHER."""
    return next((s for s in op.scope if s in PHASES), OTHER)


def stated(scope: tuple[str, ...], what: str) -> int | None:
    """The number n of the innermost scope named what=n, or None."""
    found = [s.removeprefix(f"{what}=") for s in scope if s.startswith(f"{what}=")]
    return int(found[-1]) if found and found[-1].isdecimal() else None


def repeats(op: Op) -> int:
    """How often op runs if each `while` takes one step."""
    return math.prod(1 if loop.length is None else loop.length for loop in op.loops)
