"""Checks of what is given to layers, nets and what reads a context: each error is one line that
says what to do.
"""

from typing import Any

import jax
import jax.numpy as jnp

from bioplaus.types import Array, Layer, Net, Neuron, Past, PyTree


def of_one_moment(where: str, layer: Any) -> None:
    """Raise ValueError for anything but a layer of one moment."""
    if not isinstance(layer, Layer):
        raise ValueError(
            f"{where}: got {type(layer).__name__}, expected a layer of one moment, as"
            " bp.dense(100, bp.lif())"
        )
    if layer.time is not None:
        raise ValueError(
            f"{where}: the layer runs over time already, and {where} takes a layer of one moment,"
            " as bp.dense(100, bp.lif()); give it the layer inside of bp.over_time or bp.recurrent"
        )


def of_neurons(where: str, neuron: Any) -> None:
    """Raise ValueError for anything but a neuron."""
    if not isinstance(neuron, Neuron):
        raise ValueError(
            f"{where}: got {getattr(neuron, '__name__', type(neuron).__name__)}, expected a"
            f" neuron, as bp.tanh(); in a layer it is the second argument, bp.dense(100, bp.tanh())"
        )


def context_entry(context: PyTree, key: str, reader: str, expected: str) -> Array:
    """What a context holds under `key`.

    reader: what reads it. expected: what it should be, for the message of the ValueError that is
    raised if there is no such entry.
    """
    if key not in context:
        names = ", ".join(map(repr, context)) or "no entries"
        raise ValueError(
            f"{reader}: the batch's context has {names}, and {key!r} is read; expected {expected},"
            f" in Batch(x, y, context={{{key!r}: ...}}); in a study, give data that have it, as"
            " digits-in-contexts has 'task' and 'cue'"
        )
    return jnp.asarray(context[key])


LAST = "give what the last bp.advance returned first, or None at rest"


def checked_pasts(net: Net, pasts: Any) -> tuple[Any, ...]:
    """Raise ValueError unless there is one entry for each layer."""
    if not isinstance(pasts, tuple) or len(pasts) != len(net):
        given = f"{len(pasts)} entries" if isinstance(pasts, tuple) else type(pasts).__name__
        raise ValueError(
            f"pasts: got {given}, expected a tuple of one entry for each of {len(net)} layers;"
            f" {LAST}"
        )
    return pasts


def check_past(l: int, layer: Layer, params: PyTree, past: Any, x: Array) -> None:
    """Raise ValueError unless a past is that of this layer, for as many examples as x has."""
    if past is None:
        return
    if layer.time is None or not isinstance(past, Past):
        expected = "None, for a layer of one moment" if layer.time is None else "a Past"
        raise ValueError(f"pasts: layer {l} got {type(past).__name__}, expected {expected}; {LAST}")
    have, want = _kinds(past), _kinds(jax.eval_shape(layer.time.start, params, x))
    if have != want:
        raise ValueError(
            f"pasts: layer {l} got {_words(have)} where this net and {x.shape[0]} examples have"
            f" {_words(want)}; {LAST}"
        )


def _kinds(past: Past) -> Past:
    """The dtypes and shapes of its arrays, as 'float32[3, 10]'."""
    return jax.tree.map(lambda a: f"{jnp.result_type(a)}{list(jnp.shape(a))}", past)


def _words(kinds: Past) -> str:
    return str(kinds).replace("'", "")


def of_two_parts(params: PyTree) -> None:
    """Raise ValueError unless params are those of a recurrent layer."""
    if not isinstance(params, dict) or params.keys() != {"in", "back"}:
        raise ValueError(
            "recurrent: params are not those of a recurrent layer, {'in': those of the layer,"
            " 'back': those of its own synapses}; make them with bp.init(net, key, x)"
        )


def knows_itself(where: str, heard: PyTree) -> None:
    """Raise ValueError unless a recurrent layer is told what it heard of itself, an array."""
    if isinstance(heard, tuple):
        raise ValueError(
            f"recurrent: {where} was not told what the layer heard of itself; pass"
            " heard=trace.heard[l] to bioplaus.local.pull and send. A rule that makes its own"
            " inputs for layers cannot train recurrent layers"
        )
