"""Batches and data sets as a user gives them, checked, and turned into `Batch` of JAX arrays.

`bioplaus.entry` calls this for every rule; training and measures call it for their data.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.arrays import as_array, concrete, without_nan
from bioplaus.net import asked_mean, forward
from bioplaus.net import init as init_net
from bioplaus.outputs import at_moments, from_labels
from bioplaus.types import Array, Batch, Key, Loss, Net, PredictFn, PyTree


def as_batch(batch: Any) -> Batch:
    """A `Batch`, also from a tuple. Raises ValueError for anything else."""
    if isinstance(batch, Batch):
        return batch
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3, 4):
        raise ValueError(
            f"batch: got {type(batch).__name__}, expected bp.Batch(x, y) or a tuple (x, y)"
        )
    return Batch(*batch)


def checked_data(batch: Any) -> Batch:
    """The examples of a data set, as a `Batch` of JAX arrays.

    Raises ValueError for anything but arrays of numbers, for NaN, for unequal lengths, and where no
    moment at all is asked.
    """
    batch = as_batch(batch)
    context = checked_context(batch.context)
    _check_some_asked(batch)
    found = Batch(_without_nan(batch.x), _targets(batch), context, _asked(batch))
    check_lengths(found)
    return found


def checked_context(context: Any) -> PyTree:
    """A batch's context: (), or a dict of JAX arrays. Raises ValueError for anything else."""
    if isinstance(context, tuple) and not context:
        return context
    if not isinstance(context, dict):
        raise ValueError(
            f"batch: context is {type(context).__name__}; expected (), or a dict of arrays"
            " [B, ...] by the names under which they are read, as {'task': numbers}"
        )
    return {name: as_array(f"batch: context[{name!r}]", a) for name, a in context.items()}


def _asked(batch: Batch) -> Array | None:
    """[B, T] of bool. Raises ValueError for anything else."""
    if batch.asked is None:
        return None
    asked = as_array("batch: asked", batch.asked)
    if asked.ndim != 2:
        raise ValueError(
            f"batch: asked is {asked.shape}; expected [B, T], true at the moments whose answers"
            " count"
        )
    return asked.astype(bool)


def _check_some_asked(batch: Batch) -> None:
    known = None if batch.asked is None else concrete(batch.asked)
    if known is not None and known.size and not known.any():
        raise ValueError(
            "batch: asked is false at every moment, so that there is nothing to learn or to"
            " measure; make it true at the moments whose answers count, or give None for all"
        )


def _targets(batch: Batch) -> Array:
    """y as a JAX array. Raises ValueError for NaN, but at moments that are not asked.

    Floats [B, C] hold for all moments, also where C = T.
    """
    asked, y = _asked(batch), as_array("batch: y", batch.y)
    of_moments = y.ndim > 2 or not jnp.issubdtype(y.dtype, jnp.inexact)
    if asked is not None and of_moments and y.shape[:2] == asked.shape:
        y = jnp.where(asked.reshape(*asked.shape, *(1,) * (y.ndim - 2)), y, 0)
    return without_nan("batch", batch.y if asked is None else y)


def labels_as_rows(data: Batch, net: Net, key: Key) -> Batch:
    """Data whose integer labels are one-hot rows, as wide as the net's output.

    Raises ValueError for labels outside.
    """
    most = 1 if net[-1].time is None else 2  # axes of labels: [B], or [B, T] as well
    if data.y.ndim > most or jnp.issubdtype(data.y.dtype, jnp.inexact):
        return data
    first = data.x[:1]
    output = jax.eval_shape(lambda k: forward(net, init_net(net, k, first), first, k).output, key)
    return data._replace(y=from_labels("batch", data.y, output.shape[-1], output.dtype))


def checked_batch(
    batch: Any, net: Net, loss: Loss, params: PyTree, key: Key, *, piece: bool = False
) -> Batch:
    """A `Batch` of JAX arrays, with y [B, C].

    For a loss at each moment y is [B, T, C], and NaN at the moments that are not asked.
    piece: whether it is a piece of streams, in which no moment need be asked.
    Raises ValueError for anything else, for unequal leading axes, and, among known values, for NaN
    and where no moment is asked.
    """
    batch = as_batch(batch)
    if not piece:
        _check_some_asked(batch)
    x, y, asked = checked_inputs(batch.x), _targets(batch), _asked(batch)
    check_sequences(net, x)
    context = checked_context(batch.context)
    check_lengths(Batch(x, y, context, asked))
    if at_moments(loss):
        return Batch(x, _targets_of_moments(batch, y, asked, x, net, params, key), context, asked)
    if asked is not None:
        raise ValueError(
            "batch: asked says which moments count, and the loss takes one answer for each example;"
            " give bp.at_each_moment(loss), or no asked"
        )
    if y.ndim == 1 and not jnp.issubdtype(y.dtype, jnp.inexact):
        output = jax.eval_shape(lambda p, x: forward(net, p, x, key).output, params, x)
        y = from_labels("batch", batch.y, output.shape[-1], output.dtype)
    elif y.ndim != 2:
        raise ValueError(
            f"batch: y is {y.shape}; expected [B, C], or integer labels [B]; for one output give"
            " y[:, None]; for an answer at each moment, bp.at_each_moment(loss)"
        )
    return Batch(x, _floats(y, x), context, asked)


def _floats(y: Array, x: Array) -> Array:
    if jnp.issubdtype(y.dtype, jnp.inexact):
        return y
    return y.astype(x.dtype if jnp.issubdtype(x.dtype, jnp.inexact) else jnp.float32)


def _targets_of_moments(
    batch: Batch, y: Array, asked: Array | None, x: Array, net: Net, params: PyTree, key: Key
) -> Array:
    """y [B, T, C], from that, from integer labels [B, T] or [B], or from floats [B, C] for all
    moments. Integers of two axes are always labels [B, T], also where T = C.
    """
    output = jax.eval_shape(lambda p, x: forward(net, p, x, key).output, params, x)
    if net[-1].time is None:
        raise ValueError(
            "loss: at_each_moment takes an answer at each moment, and the last layer of the net is"
            " one of a single moment; wrap it, bp.over_time(layer), or give the loss itself"
        )
    examples, _, classes = output.shape
    if not jnp.issubdtype(y.dtype, jnp.inexact) and y.ndim < 3:
        y = from_labels("batch", batch.y if asked is None else y, classes, output.dtype)
    wanted = [(examples, classes), output.shape]
    if y.shape not in wanted or (asked is not None and asked.shape != output.shape[:2]):
        given = y.shape if asked is None else f"{y.shape} and asked {asked.shape}"
        raise ValueError(
            f"batch: y is {given} where the net answers at each moment, {output.shape}; expected y"
            f" {output.shape}, integer labels {output.shape[:2]}, or {(examples, classes)} for all"
            f" moments, and asked {output.shape[:2]}"
        )
    y = jnp.broadcast_to(y if y.ndim == 3 else y[:, None], output.shape)
    return _floats(y, x) if asked is None else jnp.where(asked[..., None], _floats(y, x), jnp.nan)


def one_answer(batch: Batch) -> Array:
    """y [B, C], by which the outputs of `Rule.predict` are measured.

    Of answers at each moment, [B, T, C], it is the mean of those that are asked, as of the outputs.
    """
    y = jnp.asarray(batch.y)
    return asked_mean(y, batch.asked) if y.ndim == 3 else y


def asking(predict: PredictFn, batch: Batch) -> PredictFn:
    """`predict` for inputs of this batch, whose asked moments it is told if there are any."""
    if batch.asked is None:
        return predict
    return functools.partial(predict, asked=batch.asked)  # type: ignore[call-arg]


def check_sequences(net: Net, x: Array) -> None:
    """Raise ValueError unless x fits a net over time: [B, T, ...], of 1 moment or more."""
    time = net[0].time
    if time is not None and time.encoder is None and (x.ndim < 3 or x.shape[1] == 0):
        raise ValueError(
            f"x is {x.shape}, and the net runs over time; expected sequences [B, T, ...] of 1"
            " moment or more: bp.encoders.in_front(net, encoder) turns images into sequences"
        )


def checked_inputs(x: Any) -> Array:
    """x as a JAX array.

    Raises ValueError for float16, for no examples, and for NaN among known values.
    """
    array = _without_nan(x)
    if array.ndim < 2 and not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(
            f"x is {array.shape}; expected [B, ...], examples first: give x[None] for one example"
        )
    if array.dtype == jnp.float16:
        raise ValueError(
            "x is float16, in which activities and gradients overflow at 65,504; give float32 or"
            " bfloat16"
        )
    if array.shape[:1] == (0,):
        raise ValueError(f"x is {array.shape}: a batch needs 1 example or more")
    return array


def _without_nan(x: Any) -> Array:
    """x as a JAX array. Raises ValueError for NaN among known values."""
    array, values = as_array("x", x), concrete(x)
    if values is not None and jnp.issubdtype(array.dtype, jnp.inexact) and np.isnan(values).any():
        raise ValueError("x holds NaN; remove those examples, or fill the gaps")
    return array


def check_lengths(batch: Batch) -> None:
    """Raise ValueError unless x, y and every array of the context have equally many examples."""
    entries = dict(batch.context)  # () has none
    contexts = {f"context[{name!r}]": a for name, a in entries.items() if np.ndim(a)}
    asked = {} if batch.asked is None else {"asked": batch.asked}
    parts = {"x": batch.x, "y": batch.y} | asked | contexts
    sizes = {name: (np.shape(a) or ("no axis",))[0] for name, a in parts.items()}
    if len(set(sizes.values())) > 1:
        lengths = ", ".join(f"{name} {n}" for name, n in sizes.items())
        raise ValueError(
            f"batch: numbers of examples differ: {lengths}; every array of a batch has one row for"
            " each example"
        )
