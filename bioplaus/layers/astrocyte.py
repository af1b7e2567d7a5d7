"""Slow release: what an astrocyte gives back to the synapses that it hears.

    y = (1 + (f - 1) G) x,    then    G <- (1 - (1 - G) exp(-w m)) exp(-dt / tau)
x: [B, n_in] spikes;  y: [B, n_in] what the layer's synapses receive in their place;  m: their mean
over the inputs, one number for each example;  G: [B, 1] fraction of the receptors of synapses that
the astrocyte's transmitter holds, 0 at rest;  f: factor on the release where it holds all of them,
above 1 where it makes synapses stronger;  w: uptake;  tau: ms, seconds in tissue.

De Pitta, Volman, Berry, Ben-Jacob, "A tale of two stories: astrocyte regulation of synaptic
depression and facilitation", 2011, doi:10.1371/journal.pcbi.1002293, whose release probability is
U (1 - G) + alpha G, here f = alpha / U. Departures: calcium and its threshold are left out, so that
G follows the activity itself; release does not use up resources: put `short_term` inside for that.
"""

from typing import NamedTuple

import jax.numpy as jnp

from bioplaus.checks import of_one_moment
from bioplaus.hyper import NonNegative, Positive, declared
from bioplaus.layers.short_term import in_steps_of_dt, not_composite
from bioplaus.local import by_vjp
from bioplaus.neurons.spiking import decay, wide
from bioplaus.types import Array, Layer, PyTree


class Held(NamedTuple):
    """g: fraction of the receptors that is held [B, 1]. inner: state of the layer's synapses."""

    g: Array
    inner: PyTree


@declared
def slow_release(
    layer: Layer, factor: NonNegative = 2.0, *, uptake: NonNegative = 1.0, tau: Positive = 2000.0
) -> Layer:
    """The layer behind synapses that an astrocyte makes stronger or weaker. State: `Held`.

    factor: f; at 1 there is no astrocyte. uptake: w, receptors that one spike of each input holds.
    tau: ms. At a constant m every dt ms, G settles at (1 - q) e / (1 - q e), with q = exp(-w m) and
    e = exp(-dt / tau); for rates of r per ms and short moments at w r tau / (1 + w r tau). Inputs
    are spikes, 0 or more. Raises ValueError for a layer over time, for one that is composite, and
    where it runs without time.

        over_time(slow_release(dense(100, lif()), 2.0))
    """
    of_one_moment("slow_release", layer)
    not_composite("slow_release", layer)

    def rest(params, x):
        inner = () if layer.rest is None else layer.rest(params, x)
        return Held(jnp.zeros((len(x), *(1,) * (x.ndim - 1)), wide(x).dtype), inner)

    def build(dt: float) -> Layer:
        inside = in_steps_of_dt(layer, dt)

        def synapse(params, state, x, key):
            spikes = wide(x)
            released = (1 + (factor - 1) * state.g) * spikes
            inner, current = inside.synapse(params, state.inner, released.astype(x.dtype), key)
            heard = spikes.mean(tuple(range(1, x.ndim)), keepdims=True)
            held = 1 - (1 - state.g) * jnp.exp(-(uptake * heard))
            return Held(held * decay(dt, tau, spikes), inner), current

        def behind(other: Layer) -> Layer:
            return in_steps_of_dt(slow_release(other, factor, uptake=uptake, tau=tau), dt)

        given = inside.given
        return inside._replace(
            synapse=synapse,
            credit=by_vjp(synapse),
            off=inside.off and behind(inside.off),
            rest=rest,
            at=build,
            affine=False,
            given=given and (lambda context: behind(given(context))),
        )

    return build(1.0)
