"""The order of spikes at a synapse: traces of what came before, and what a piece of a sequence
teaches one layer by them.

`bioplaus.rules.stdp` has the equations. A piece begins with what the moments before it have left.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.local import pull, spread
from bioplaus.neurons.spiking import decay
from bioplaus.types import MOMENTS, Array, Key, Layer, PyTree


class Amplitudes(NamedTuple):
    """A2+, A2-, A3+, A3-, in units of the weights."""

    potentiation: ArrayLike
    depression: ArrayLike
    triplet_potentiation: ArrayLike
    triplet_depression: ArrayLike


class Traces(NamedTuple):
    """What is left of spikes when a moment begins. r1, r2: of those that arrive, (x, heard), each
    [B, n_in]. o1, o2: of those that the layer sends, [B, n]. Of times and decays: one number each.
    """

    r1: PyTree
    r2: PyTree
    o1: PyTree
    o2: PyTree


class Numbers(NamedTuple):
    """Hyperparameters of both rules, in their words. tau_eligibility: None for no trace."""

    amplitudes: Amplitudes
    taus: Traces
    nearest: bool
    theta_plus: ArrayLike
    tau_theta: ArrayLike
    tau_eligibility: ArrayLike | None = None


class Kept(NamedTuple):
    """Of a hidden layer between two pieces of a stream. eligibility: -e, the tree of its params
    with the axis [B] first; () for `stdp`."""

    traces: Traces
    eligibility: PyTree


class Spikes(NamedTuple):
    """Of one layer in a piece of K moments. arriving: (x, heard), [B, K, n_in]. sent: z, [B, K, n].
    before: the traces at each moment."""

    arriving: PyTree
    sent: Array
    before: Traces


def decays(taus: Traces, dt: float, like: Array) -> Traces:
    """exp(-dt / tau) of each trace."""
    return Traces(*(decay(dt, tau, like) for tau in taus))


def at_rest(arriving: PyTree, sent: Array) -> Traces:
    """Before the first moment of a sequence."""
    nothing = jax.tree.map(lambda a: jnp.zeros_like(a[:, 0]), (arriving, sent))
    return Traces(nothing[0], nothing[0], nothing[1], nothing[1])


def followed(
    start: Traces, arriving: PyTree, sent: Array, fade: Traces, nearest: bool
) -> tuple[Spikes, Traces]:
    """The traces at each moment of a piece, and after it: r <- exp(-dt / tau) (r + x).

    nearest: r <- exp(-dt / tau) max(r, x), which forgets all spikes but the last.
    """
    spikes = Traces(arriving, arriving, sent, sent)

    def moment(left, arrived):
        met = jax.tree.map(jnp.maximum if nearest else jnp.add, left, arrived)
        after = [jax.tree.map(lambda r, d=d: d * r, a) for a, d in zip(met, fade, strict=True)]
        return Traces(*after), left

    with jax.named_scope("credit"), jax.named_scope(MOMENTS):
        time_first = jax.tree.map(lambda a: jnp.moveaxis(a, 1, 0), spikes)
        after, before = jax.lax.scan(moment, start, time_first)
    return Spikes(arriving, sent, jax.tree.map(lambda a: jnp.moveaxis(a, 0, 1), before)), after


def change(
    layer: Layer, params: PyTree, spikes: Spikes, a: Amplitudes, factor: Array, key: Key
) -> PyTree:
    """-(1/B) sum_t factor_t stdp_t, of one layer. factor: [B, K, n].

    Two pullbacks of the layer: of what is left of x by what the layer sends, and of x by what is
    left of z. Parameters of one axis are biases, and stay.
    """
    before = spikes.before
    with jax.named_scope("credit"):
        grow = factor * spikes.sent * (a.potentiation + a.triplet_potentiation * before.o2)
        shrink = factor * before.o1
        paired = jax.tree.map(
            lambda x, r2: x * (a.depression + a.triplet_depression * r2), spikes.arriving, before.r2
        )
    grown, shrunk = (
        pull(layer, params, x, key, signal, heard=heard)
        for (x, heard), signal in ((before.r1, -grow), (paired, shrink))
    )
    return jax.tree.map(
        lambda up, down: up + down if up.ndim > 1 else jnp.zeros_like(up), grown, shrunk
    )


def gathered(factor: Array, fade: Array) -> Array:
    """sum_{s >= t} factor_s fade^(s - t) at each moment t of [B, K, n]: all that a trace which
    starts at t and decays will meet."""

    def moment(later, now):
        met = now + fade * later
        return met, met

    with jax.named_scope("credit"), jax.named_scope(MOMENTS):
        time_first = jnp.moveaxis(factor, 1, 0)
        met = jax.lax.scan(moment, jnp.zeros_like(time_first[0]), time_first, reverse=True)[1]
    return jnp.moveaxis(met, 0, 1)


def eligibility_after(
    layer: Layer,
    params: PyTree,
    eligibility: PyTree,
    spikes: Spikes,
    a: Amplitudes,
    fade: Array,
    key: Key,
) -> PyTree:
    """-e after the piece, for each example: a tree of params with the axis [B] first."""
    moments = spikes.sent.shape[1]
    left = fade ** jnp.arange(moments - 1, -1, -1)

    def of_one(spikes):
        one = jax.tree.map(lambda s: s[None], spikes)
        factor = jnp.broadcast_to(left[:, None], (moments, one.sent[0, 0].size))
        return change(layer, params, one, a, factor.reshape(one.sent.shape), key)

    with jax.named_scope("update"):
        return jax.tree.map(
            lambda old, new: fade**moments * old + new, eligibility, jax.vmap(of_one)(spikes)
        )


def taught(c, layer, params, arriving, z, gate, key, kept):
    """What a piece teaches a hidden layer, and what it leaves at its synapses."""
    with jax.named_scope("credit"):
        factor = spread(gate, z)
    start = at_rest(arriving, z) if kept is None else kept.traces
    spikes, traces = followed(start, arriving, z, decays(c.taus, layer.time.dt, z), c.nearest)
    if c.tau_eligibility is None:
        return change(layer, params, spikes, c.amplitudes, factor, key), Kept(traces, ())
    fade = decay(layer.time.dt, c.tau_eligibility, z)
    factor = gathered(factor, fade)
    grads = change(layer, params, spikes, c.amplitudes, factor, key)
    if kept is None:
        return grads, Kept(traces, ())
    with jax.named_scope("update"):
        met = fade * factor[:, 0] / len(z)
        grads = jax.tree.map(
            lambda g, e: g + jnp.einsum("b...n,bn->...n", e, met), grads, kept.eligibility
        )
    after = eligibility_after(layer, params, kept.eligibility, spikes, c.amplitudes, fade, key)
    return grads, Kept(traces, after)


def nothing_kept(c: Numbers, params: PyTree, arriving: PyTree, z: Array) -> Kept:
    """Raises ValueError where a weight belongs to several units, which may differ in their M."""
    traces = at_rest(tuple(arriving), z)
    if c.tau_eligibility is None:
        return Kept(traces, ())
    if shared := [w.shape for w in jax.tree.leaves(params) if w.shape[-1:] != z.shape[2:]]:
        raise ValueError(
            f"stream: weights {shared} do not end in the shape of their units, {z.shape[2:]}; give"
            " bp.dense(n) layers"
        )
    return Kept(traces, jax.tree.map(lambda w: jnp.zeros((len(z), *w.shape), w.dtype), params))


def risen(c: Numbers, theta: Array, z: Array, dt: float) -> Array:
    """theta after a piece of spikes z [B, K, n]."""
    with jax.named_scope("auxiliary"):
        fade, moments = decay(dt, c.tau_theta, z), z.shape[1]
        left = fade ** jnp.arange(moments - 1, -1, -1)
        return fade**moments * theta + c.theta_plus * jnp.tensordot(left, z.mean(0), 1)
