"""The kinds of outputs of a net, and what follows: answer, entropy, and margin to another answer.

A loss declares the kind of outputs that it takes (`outputs_are`); accuracy, signals, calibration,
margins and attacks read the declaration.

    kind                   probability p_k of class k     alternative to class k      boundary b
    "logits"               softmax(o)_k, one of C         the other classes           -
    "independent logits"   sigmoid(o_k)                   1 - p_k                     0
    "probabilities"        o_k, of sigmoid neurons        1 - p_k                     1/2
    "values"               - (o is the mean of y)         a Gaussian of variance 1    1/2
o: outputs [B, C];  y: targets [B, C].

One output, C = 1, answers yes above its boundary b, and y is 0 or 1. A single output of kind
"logits" has no other class, and is refused. Several outputs answer by the largest; if k outputs
share the largest value, the answer counts as right by 1/k, as if one of them were drawn.

Rows of y with several ones (several labels for one example) have no single right answer. With
independent outputs an example is then right if every output is on its side of b; if one row of y
is such a row, all rows are judged like this. Other kinds refuse such rows if their values are
known, and give NaN under jit. Integer labels [B] are accepted everywhere and become one-hot rows.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.arrays import as_array, as_floats, as_wide_floats, concrete, without_nan
from bioplaus.types import Array, Loss

Kind = Literal["logits", "independent logits", "probabilities", "values"]
KINDS = get_args(Kind)
INDEPENDENT = ("independent logits", "probabilities")
_BOUNDARY = {"independent logits": 0.0, "probabilities": 0.5, "values": 0.5}

L = TypeVar("L", bound=Callable[..., Any])


def outputs_are(kind: Kind) -> Callable[[L], L]:
    """Decorator by which a loss of your own says what it takes outputs for. Raises ValueError for
    an unknown kind.

    @bp.outputs_are("logits")
    def focal(output, y): ...            # [B, C], [B, C] -> [B]
    """
    if kind not in KINDS:
        raise ValueError(
            f"outputs_are: got {kind!r}; expected one of {', '.join(map(repr, KINDS))}"
        )

    def declared(loss: L) -> L:
        loss.outputs = kind  # type: ignore[attr-defined]
        return loss

    return declared


def declared_by(loss: Loss) -> Kind | None:
    """The kind of outputs that a loss declares, or None. Looks through `functools.partial`."""
    while isinstance(loss, functools.partial) and not hasattr(loss, "outputs"):
        loss = loss.func
    return getattr(loss, "outputs", None)


def at_moments(loss: Loss) -> bool:
    """Whether a loss takes an answer at each moment, [B, T, C]: `bioplaus.at_each_moment`."""
    return moment_loss(loss) is not None


def moment_loss(loss: Loss) -> Loss | None:
    """The loss of one moment, of a loss at each moment; None for other losses."""
    while isinstance(loss, functools.partial) and not hasattr(loss, "each_moment"):
        loss = loss.func
    return getattr(loss, "each_moment", None)


def asked_moments(y: Array) -> Array:
    """[B, T], the moments that are asked of y [B, T, C]. Inside a rule the targets of the others
    are NaN: `bioplaus.batches` writes `Batch.asked` so, and no rule can overlook it."""
    return ~jnp.isnan(y).any(-1)


def over_asked(each: Callable[[Array, Array], Array], output: Array, y: Array) -> Array:
    """[B]: the mean, over the asked moments, of a measure (output [B, C], y [B, C]) -> [B]."""
    asked = asked_moments(y)
    values = jax.vmap(each, 1, 1)(output, jnp.where(asked[..., None], y, 0))
    return jnp.where(asked, values, 0).sum(1) / jnp.maximum(asked.sum(1), 1)


def kind_of(of: Loss | Kind, where: str) -> Kind:
    """The kind itself, or the kind that a loss declares.

    Raises ValueError for a loss that declares none. where: the name of the caller, for the message.
    """
    kind = of if isinstance(of, str) else declared_by(of)
    if kind not in KINDS:
        raise ValueError(
            f"{where}: the loss {getattr(of, '__name__', of)!r} does not say what outputs are;"
            f" decorate it with @bp.outputs_are(kind), kind one of {', '.join(map(repr, KINDS))}"
        )
    return kind  # type: ignore[return-value]


def targets(where: str, output: Any, y: Any) -> Array:
    """y [B, C] in the dtype of `output` [B, C]; integer labels [B] become one-hot rows.

    This is the only check of targets in the library. Raises ValueError for other shapes, for labels
    outside 0..C-1 and for NaN. Under jit, where values are not known, a label outside becomes a row
    of NaN.
    """
    output, given, y = as_floats(where, output), y, without_nan(where, y)
    if output.ndim != 2:
        raise ValueError(
            f"{where}: outputs are {output.shape}, expected [B, C], one row for each example;"
            " outputs with further axes, such as sequences [B, T, C], are not taken: reduce them"
            " to [B, C]"
        )
    if y.ndim == 1 and not jnp.issubdtype(y.dtype, jnp.inexact):
        if len(y) != len(output):
            raise ValueError(
                f"{where}: {len(output)} rows of outputs and {len(y)} labels; give one label for"
                " each example"
            )
        return from_labels(where, given, output.shape[1], output.dtype)
    if y.shape != output.shape:
        remedy = (
            "; give y[:, None] for one output"
            if y.shape == output.shape[:1] and output.shape[1] == 1
            else ""
        )
        raise ValueError(
            f"{where}: outputs are {output.shape} and y is {y.shape}; y must be [B, C] as the"
            f" outputs, or integer labels [B]{remedy}"
        )
    return y if jnp.issubdtype(y.dtype, jnp.inexact) else y.astype(output.dtype)


def from_labels(where: str, given: Any, classes: int, dtype: Any) -> Array:
    """Integer labels [B] as one-hot rows [B, C]; for one output, a column of 0 and 1. Labels [B, T]
    of moments become [B, T, C].

    Labels outside raise ValueError, or give NaN if their values are not known. given: the labels as
    the user gave them, because inside jit the JAX array made from known values is a tracer.
    """
    most = max(classes, 2) - 1
    known = concrete(given)
    # As int, because a narrow type, such as uint8, may not hold the number of classes.
    labels = as_array(f"{where}: y", given).astype(int)
    inside = (labels >= 0) & (labels <= most)
    if known is not None and ((known < 0) | (known > most)).any():
        wrong = known[(known < 0) | (known > most)][0]
        raise ValueError(
            f"{where}: label {wrong} for {classes} output(s); labels go from 0 to {most}"
        )
    rows = (
        labels[..., None].astype(dtype)
        if classes == 1
        else jax.nn.one_hot(labels, classes, dtype=dtype)
    )
    return jnp.where(inside[..., None], rows, jnp.nan)


def correct(output: Array, y: ArrayLike, of: Loss | Kind = "logits") -> Array:
    """[B]: 1 for a right answer, 0 for a wrong one or NaN, 1/k if k outputs tie for the largest.

    of: the loss that the net was trained with, or the kind of its outputs. With a loss at each
    moment, answers at each moment are taken as well: output [B, T, C] and y [B, T, C], NaN at the
    moments that are not asked. Then the number is the share of the asked moments that are right; an
    example without such a moment counts as wrong. Raises ValueError if y does not fit.
    """
    kind, output = kind_of(of, "correct"), as_wide_floats("correct", output)
    if output.ndim == 3 and not isinstance(of, str) and at_moments(of):
        return _correct_at_moments(output, jnp.asarray(y), kind)
    y = targets("correct", output, y)
    _answerable("correct", kind, y)
    return right_or_unknown(output, y, kind)


def _correct_at_moments(output: Array, y: Array, kind: Kind) -> Array:
    if y.shape != output.shape:
        raise ValueError(
            f"correct: outputs are {output.shape} and y is {y.shape}; answers at each moment are"
            " judged by targets of each moment, of the same shape"
        )
    asked = asked_moments(y)
    # What is written at moments that are not asked has one right answer, so that it is no row of
    # several labels, by which all rows would be judged otherwise.
    filler = jax.nn.one_hot(0, y.shape[-1], dtype=y.dtype)
    rows = jnp.where(asked[..., None], y, filler).reshape(-1, y.shape[-1])
    right = correct(output.reshape(rows.shape), rows, kind).reshape(asked.shape)
    return jnp.where(asked, right, 0).sum(1) / jnp.maximum(asked.sum(1), 1)


def right_or_unknown(output: Array, y: Array, kind: Kind) -> Array:
    """As `correct` for y [B, C], in the type of the output, with NaN if no answer is right.

    So regression can be trained, where `correct` would raise.
    """
    _competing("loss", kind, y)
    if y.shape[1] == 1:
        right = _each_side(output, y, kind)
        right = (
            jnp.where(((y == 0) | (y == 1)).all(-1), right, jnp.nan) if kind == "values" else right
        )
    else:
        top, asked = output == output.max(-1, keepdims=True), y == y.max(-1, keepdims=True)
        single = asked.sum(-1) == 1
        right = (top & asked).sum(-1) / jnp.maximum(top.sum(-1), 1)
        if kind in INDEPENDENT:
            right = jnp.where(single.all(), right, _each_side(output, y, kind))
        else:
            right = jnp.where(single, right, jnp.nan)
    return jnp.where(
        jnp.isnan(output).any(-1), jnp.where(jnp.isnan(right), right, 0), right
    ).astype(output.dtype)


def margin(output: Array, y: ArrayLike, of: Loss | Kind = "logits") -> Array:
    """[B], above 0 if the answer is wrong: the largest wrong output minus the right one.

    As a loss its slope never saturates. For one output, and for several labels of independent
    outputs, it is the largest of (1 - 2 y_k)(o_k - b). Carlini, Wagner, "Towards Evaluating the
    Robustness of Neural Networks", 2017, arXiv:1608.04644, f_6 (there clipped at 0).
    """
    kind = kind_of(of, "margin")
    output, y = as_floats("margin", output), targets("margin", output, y)
    _answerable("margin", kind, y)

    def by_side():
        return ((1 - 2 * y) * (output - _BOUNDARY[kind])).max(-1)

    if y.shape[1] == 1:
        return by_side()
    right = jax.nn.one_hot(y.argmax(-1), y.shape[-1], dtype=bool)
    found = jnp.where(right, -jnp.inf, output).max(-1) - jnp.where(right, output, 0.0).sum(-1)
    if kind not in INDEPENDENT:
        return found
    return jnp.where(((y == y.max(-1, keepdims=True)).sum(-1) == 1).all(), found, by_side())


def entropy(output: Array, kind: Kind) -> Array:
    """[B], entropy of the answer in nats.

    The answer is one of C classes, C Bernoulli variables, or a Gaussian (whose entropy is
    constant).
    """
    if kind == "logits":
        logs = jax.nn.log_softmax(output)
        p = jnp.exp(logs)
        return -(p * jnp.where(p > 0, logs, 0)).sum(-1)
    if kind == "values":
        return jnp.full(
            output.shape[:1], output.shape[1] / 2 * (1 + math.log(2 * math.pi)), output.dtype
        )
    if kind == "independent logits":
        logs = jnp.stack([jax.nn.log_sigmoid(output), jax.nn.log_sigmoid(-output)])
        p = jnp.exp(logs)
    else:
        p = jnp.stack([output, 1 - output])
        logs = jnp.log(jnp.where(p > 0, p, 1))
    return -(p * jnp.where(p > 0, logs, 0)).sum((0, -1))


def _each_side(output: Array, y: Array, kind: Kind) -> Array:
    """[B], 1 if every output is on its side of the boundary; on the boundary it answers no."""
    return ((output > _BOUNDARY[kind]) == (y > 0.5)).all(-1).astype(output.dtype)


def _answerable(where: str, kind: Kind, y: Array) -> None:
    """Raise ValueError if y has no right answer for this kind of outputs, as far as y is known."""
    _competing(where, kind, y)
    known = concrete(y)
    if known is None or kind in INDEPENDENT:
        return
    if y.shape[1] == 1 and not ((known == 0) | (known == 1)).all():
        raise ValueError(
            f"{where}: y of one output must be 0 or 1 for an answer to be right; measure.error has"
            " errors of values"
        )
    if y.shape[1] > 1 and ((known == known.max(-1, keepdims=True)).sum(-1) > 1).any():
        raise ValueError(
            f"{where}: a row of y has no single largest entry, so that no single answer is right;"
            " several labels per example need independent outputs: train with"
            " binary_cross_entropy or bernoulli, and give that loss here"
        )


def _competing(where: str, kind: Kind, y: Array) -> None:
    """Raise ValueError for a single output of kind "logits", which has no other class."""
    if kind == "logits" and y.shape[1] == 1:
        raise ValueError(
            f"{where}: one output competes with nothing; train it with binary_cross_entropy (a"
            " logit), bernoulli (a probability) or mse (a value), and give that loss here"
        )
