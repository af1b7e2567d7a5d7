"""Disturbances of the spikes of a net over time. Each function is (net, params, x, key)
-> (severity -> (net, params, x)).

    jitter      a spike at moment t moves to round(t + s xi / dt),    xi standard normal
    deletion    a spike is lost with probability s
    of_hidden   a spike of a hidden neuron is lost with probability s, on its way to all others
s: the severity, of jitter in ms; dt: length of a moment in ms. Jitter and
deletion are of the spikes that the net receives: the inputs [B, T, ...], of 0 and 1, or those of
the encoder in front of it. All spikes are disturbed independently. A spike that jitter moves before
the first moment or after the last is lost, and two spikes of an input that meet at a moment are
one.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from bioplaus.arrays import concrete
from bioplaus.encoders import in_front, without_encoder
from bioplaus.measure.robustness.units import sample
from bioplaus.net import forward, time_step, with_gain
from bioplaus.types import Array, Gain, Key, Net, PyTree

Change = Callable[[Array, Array], Array]
"""(spikes [B, T, ...], severity) -> disturbed spikes."""


def jitter(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Move every spike in time. Raises ValueError for a net that receives no spikes."""

    def change(like: jax.ShapeDtypeStruct, dt: float) -> Change:
        moments = like.shape[1]
        xi = jax.random.normal(key, like.shape, like.dtype)
        places = jnp.ogrid[tuple(slice(n) for n in like.shape)]

        def moved(spikes, sigma):
            to = jnp.round(places[1] + sigma * xi / dt).astype(int)
            to = jnp.where(to < 0, moments, to)  # a negative index would count from the end
            where = (places[0], to, *places[2:])
            return jnp.zeros_like(spikes).at[where].max(spikes, mode="drop")

        return moved

    return _changed("spike_jitter", net, params, x, change)


def deletion(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Delete a random share of the spikes. Raises ValueError for a net that receives none."""

    def change(like: jax.ShapeDtypeStruct, dt: float) -> Change:
        del dt
        rank = jax.random.uniform(key, like.shape)
        return lambda spikes, share: jnp.where(rank < share, 0, spikes)

    return _changed("spike_deletion", net, params, x, change)


def of_hidden(net: Net, params: PyTree, x: Array, key: Key) -> Callable:
    """Delete a random share of the spikes that hidden neurons send, at each moment anew.

    h_{j,t} <- m_{j,t} h_{j,t}, with m = 0 with probability s; outputs that are no spikes are lost
    likewise. Raises ValueError for a net without hidden layers over time.
    """
    if not any(layer.time is not None for layer in net[:-1]):
        raise ValueError(
            "hidden_spike_deletion: the net has no hidden layer over time; leave this curve out"
        )
    outputs = jax.eval_shape(lambda: forward(net, params, x, key).outputs[:-1])
    rank = sample(jax.random.uniform, outputs, key)

    def at(share):
        kept = [Gain(out=(r >= share).astype(r.dtype)) for r in rank]
        return with_gain(net, [*kept, Gain()]), params, x

    return at


def _changed(
    where: str,
    net: Net,
    params: PyTree,
    x: Array,
    change: Callable[[jax.ShapeDtypeStruct, float], Change],
) -> Callable:
    """severity -> (net, params, x), with the spikes changed as x, or in the encoder in front."""
    dt, time = time_step(net), net[0].time
    if dt is None or time is None:
        raise ValueError(
            f"{where}: the net has no layers over time, and receives no spikes; leave this curve"
            " out"
        )
    encoder = time.encoder
    if encoder is None:
        values = concrete(x)
        if values is not None and not ((values == 0) | (values == 1)).all():
            raise ValueError(
                f"{where}: the inputs hold other values than 0 and 1, so they are no spikes; leave"
                " this curve out, or put an encoder in front, bp.encoders.in_front"
            )
        of_inputs = change(jax.eval_shape(lambda: x), dt)
        return lambda severity: (net, params, of_inputs(x, severity))
    spikes = jax.eval_shape(lambda: encoder.encode(x, jax.random.key(0)))
    of_spikes = change(spikes, dt)

    def at(severity):
        def encode(x, key):
            return of_spikes(encoder.encode(x, key), severity)

        other = encoder._replace(encode=encode, mean=None, at=None)
        return in_front(without_encoder(net), other), params, x

    return at
