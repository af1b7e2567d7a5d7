"""The moments of a sequence: synapses and neurons of one moment, run over all of them.

`bioplaus.layers.time` makes layers of these functions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.context import at_moments, within
from bioplaus.layers.gains import gained_step, gains_at_moments
from bioplaus.local import by_vjp
from bioplaus.salts import NEURON
from bioplaus.types import (
    MOMENTS,
    Array,
    CreditFn,
    Gain,
    Key,
    Layer,
    Neuron,
    Past,
    PyTree,
    ThroughFn,
)


class Steps(NamedTuple):
    """How a layer runs. dt: ms; horizon: moments of a stretch within which gradients pass, None for
    all; unroll: moments in one turn of the scan; gains: newest first; context: what the layer has
    heard, None for nothing."""

    dt: float
    horizon: int | None
    unroll: int
    gains: tuple[Gain, ...] = ()
    context: PyTree | None = None


def first_current(layer: Layer, params: PyTree, x: Array) -> Array:
    """Of the input x [B, ...] of one moment; for shapes alone."""
    return layer.synapse(params, at_rest(layer, params, x), x, jax.random.key(0))[1]


def first_shapes(moment: Layer, params: PyTree, x: Array) -> Any:
    """Shape and dtype of the current and of the output of one moment of x [B, T, ...]."""

    def first(params, x):
        current = first_current(moment, params, x)
        state = moment.neuron.init(current)
        return current, moment.neuron.step(state, current, jax.random.key(0))[1]

    return jax.eval_shape(first, params, x[:, 0])


def at_rest(layer: Layer, params: PyTree, x: Array) -> PyTree:
    return () if layer.rest is None else layer.rest(params, x)


def past_at_rest(moment: Layer, params: PyTree, x: Array, output: PyTree) -> Past:
    """The past of a layer at rest, before x [B, T, ...]."""
    current = first_shapes(moment, params, x)[0]
    return Past(
        jnp.zeros((), jnp.int32),
        at_rest(moment, params, x[:, 0]),
        output,
        moment.neuron.init(jnp.zeros(current.shape, current.dtype)),
    )


# --- Synapses at all moments


def over_moments(
    layer: Layer, context: PyTree | None = None
) -> tuple[Callable[..., tuple[PyTree, Array]], CreditFn]:
    """The synapses on sequences, from a state or from rest (None), and their `credit` from rest.

    Without a state the moments are folded into the examples; with one they are scanned. context:
    what the layer hears, arrays [B, ...] for all moments or [B, T, ...]; None for nothing.
    """
    rest = layer.rest
    if rest is None:

        def hearing(x):
            return within(layer, jax.tree.map(_fold, at_moments(context, x)))

        def folded(params, state, x, key):
            _, current = hearing(x).synapse(params, (), _fold(x), key)
            return () if state is None else state, _unfold(current, x)

        def credit(params, feedback, state, x, key, signal):
            del state
            grads, below = hearing(x).credit(params, feedback, (), _fold(x), key, _fold(signal))
            return grads, below.reshape(x.shape)

        return folded, credit

    def scanned(params, state, x, key):
        state = rest(params, x[:, 0]) if state is None else state

        def moment(state, at):
            x, here = at
            return within(layer, here).synapse(params, state, x, key)

        sequences = jax.tree.map(time_first, (x, at_moments(context, x)))
        with jax.named_scope(MOMENTS):
            state, current = jax.lax.scan(moment, state, sequences)
        return state, jnp.moveaxis(current, 0, 1)

    by_state = by_vjp(lambda p, s, x, k: scanned(p, None, x, k))
    return scanned, by_state


def time_first(a: Array) -> Array:
    return jnp.moveaxis(a, 1, 0)


def _fold(x: Array) -> Array:
    return x.reshape(-1, *x.shape[2:])


def _unfold(current: Array, x: Array) -> Array:
    return current.reshape(*x.shape[:2], *current.shape[1:])


def echo(back: Layer, params: PyTree, feedback: PyTree, key: Key, like: Array) -> "Hear":
    """Synapses that add nothing to a known current, and carry errors back through `feedback`."""
    if back.rest is not None:

        def silenced(state, z, context):
            state, current = within(back, context).synapse(feedback, state, z, key)
            return state, current - jax.lax.stop_gradient(current)

        return silenced

    # All that it needs comes as arguments: a custom_vjp in a scan may not close over tracers.
    @jax.custom_vjp
    def silent(z, params, feedback, key, context):
        del params, feedback, key, context
        return jnp.zeros(like.shape, z.dtype)

    def backward(saved, signal):
        z, params, feedback, key, context = saved
        with jax.named_scope("feedback"):
            below = within(back, context).credit(params, feedback, (), z, key, signal)[1]
        return below, None, None, None, None

    silent.defvjp(lambda *args: (silent(*args), args), backward)
    return lambda state, z, context: (state, silent(z, params, feedback, key, context))


# --- Neurons at all moments


def scanned_neuron(neuron: Neuron, steps: Steps) -> Neuron:
    """The neurons on currents [B, T, ...]. Their state: (moments so far, state of one moment)."""

    def init(current):
        return jnp.zeros((), jnp.int32), neuron.init(current[:, 0])

    def step(state, current, key):
        past = Past(state[0], (), (), state[1])
        after, (_, output) = scan_moments(neuron, steps, past, current, key, None)
        return (after.t, after.neurons), output

    off, average = (n and scanned_neuron(n, steps) for n in (neuron.off, neuron.mean))
    return Neuron(init, step, off, average, spikes=neuron.spikes)


Hear = Callable[[PyTree, Array, PyTree | None], tuple[PyTree, Array]]
"""(state of a layer's own synapses, its output one moment before, the context of this moment) ->
(state, current)."""

Moment = Callable[[Past, tuple[Array, list[Array], PyTree]], tuple[Past, tuple[PyTree, Array]]]
"""One turn of the scan: (past, (current, gains, context)) -> (past, (current, output)), of one
moment."""


def scan_moments(
    neuron: Neuron, steps: Steps, past: Past, current: Array, key: Key, hear: Hear | None
) -> tuple[Past, tuple[PyTree, Array]]:
    """The moments of a piece: the past after it, and currents and outputs [B, T, n]. Without `hear`
    the currents are those given, and () stands for them.

    key: of the neurons; each moment's noise is drawn from it and the moment's number from rest, so
    that pieces give what the whole gives.
    """
    moment, sequences = _moment(neuron, steps, current, key, hear)
    with jax.named_scope(MOMENTS):
        past, seen = jax.lax.scan(moment, past, sequences, unroll=steps.unroll)
    return past, jax.tree.map(lambda a: jnp.moveaxis(a, 0, 1), seen)


def through_moments(
    neuron: Neuron,
    steps: Steps,
    past: Past,
    current: Array,
    key: Key,
    hear: Hear | None,
    signal: Array,
) -> Array:
    """A signal at the outputs [B, T, ...] as one at the currents: the vjp of `scan_moments`.

    It is taken moment by moment from the last to the first, each from the past that it began with,
    and in place: `jax.vjp` of the scan would keep and transpose more arrays of all moments.
    """
    moment, sequences = _moment(neuron, steps, current, key, hear)

    def began(past, at):
        return moment(past, at)[0], past

    def back(carry, at):
        (later, found), (t, (number, *state), (here, *others)) = carry, at

        def one(state, here):
            after, (_, output) = moment(Past(number, *state), (here, *others))
            return list(after[1:]), output

        at_output = jax.lax.dynamic_index_in_dim(signal, t, 1, keepdims=False)
        earlier, at_current = jax.vjp(one, state, here)[1]((later, at_output))
        return (earlier, jax.lax.dynamic_update_index_in_dim(found, at_current, t, 1)), None

    nothing = jax.tree.map(jnp.zeros_like, list(past[1:]))
    # The result is written where a copy of `signal` lies, if that fits: XLA would make an array of
    # zeros ahead of all loops, and keep it through them.
    fits = (signal.shape, signal.dtype) == (current.shape, current.dtype)
    start = nothing, signal if fits else jnp.zeros_like(current)
    with jax.named_scope(MOMENTS):
        pasts = jax.lax.scan(began, past, sequences, unroll=steps.unroll)[1]
        backwards = jnp.arange(current.shape[1]), pasts, sequences
        return jax.lax.scan(back, start, backwards, reverse=True, unroll=steps.unroll)[0][1]


def through_neurons(neuron: Neuron, steps: Steps) -> ThroughFn:
    """`Time.through` of these neurons."""

    def through(current, key, signal):
        past = Past(jnp.zeros((), jnp.int32), (), (), neuron.init(current[:, 0]))
        key = jax.random.fold_in(key, NEURON)
        return through_moments(neuron, steps, past, current, key, None, signal)

    return through


def _moment(
    neuron: Neuron, steps: Steps, current: Array, key: Key, hear: Hear | None
) -> tuple[Moment, tuple[Array, list[Array], PyTree]]:
    """One moment, and the sequences that the scan takes, time first."""
    context = None if hear is None else at_moments(steps.context, current)
    gains, gains_at = gains_at_moments(steps.gains, neuron, current)

    def moment(past, at):
        current, gains, here = at
        t, synapses, z, neurons = past
        if steps.horizon is not None:
            cut = t % steps.horizon == 0
            synapses, z, neurons = jax.tree.map(
                lambda a: jnp.where(cut, jax.lax.stop_gradient(a), a), (synapses, z, neurons)
            )
        if hear is not None:
            synapses, own = hear(synapses, z, here)
            current = current + own
        neurons, z = gained_step(
            neuron, gains_at(gains), neurons, current, jax.random.fold_in(key, t)
        )
        if hear is None:
            return Past(t + 1, synapses, (), neurons), ((), z)
        return Past(t + 1, synapses, z, neurons), (current, z)

    return moment, (time_first(current), gains, jax.tree.map(time_first, context))
