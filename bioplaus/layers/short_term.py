"""Short-term plasticity: what a synapse transmits depends on what it has just transmitted.

    y = (u / U) R x,    then    R <- R - u R x,    u <- u + U (1 - u) x
    and until the next moment    R <- 1 + (R - 1) exp(-dt / tau_recover)
                                 u <- U + (u - U) exp(-dt / tau_facilitate)
x: [B, n_in] spikes;  y: [B, n_in] what the layer's synapses receive in their place;  u: [B, n_in]
fraction of the resources that a spike releases, U at rest;  R: [B, n_in] fraction of the resources
that are there, 1 at rest. A spike at rest passes with its full weight. All synapses of one input
share u and R, which do not learn.

Tsodyks, Pawelzik, Markram, "Neural networks with dynamic synapses", 1998,
doi:10.1162/089976698300017502, where u decays to 0 and each spike first adds U (1 - u): the same
sequence of releases. The paper's synapse transmits u R x, U times as much.
"""

from typing import NamedTuple

import jax.numpy as jnp

from bioplaus.checks import of_one_moment
from bioplaus.hyper import NonNegative, PositiveProbability, declared
from bioplaus.layers.basic import after
from bioplaus.local import by_vjp
from bioplaus.neurons.spiking import decay, wide
from bioplaus.types import Array, Layer, PyTree


class Resources(NamedTuple):
    """u: fraction that a spike releases [B, n_in]. r: fraction that is there [B, n_in]. inner:
    state of the layer's synapses."""

    u: Array
    r: Array
    inner: PyTree


@declared
def short_term(
    layer: Layer,
    *,
    use: PositiveProbability = 0.5,
    tau_recover: NonNegative = 100.0,
    tau_facilitate: NonNegative = 0.0,
) -> Layer:
    """The layer behind synapses with short-term plasticity. State: `Resources`.

    use: U. tau_recover, tau_facilitate: ms; at 0 resources are back, or facilitation is over, by
    the next moment. Synapses depress by default; small `use` and long `tau_facilitate` make them
    facilitate.

        over_time(short_term(dense(100, lif())))
        recurrent(dense(100, lif()), short_term(dense(100), use=0.1, tau_facilitate=500.0))

    A train of spikes every s ms settles at u = U / (1 - (1 - U) e_f) and R = (1 - e_r) / (1 - (1 -
    u) e_r), e_f = exp(-s / tau_facilitate), e_r = exp(-s / tau_recover), at any dt. Inputs between
    0 and 1 act as that part of a spike. Raises ValueError for a layer over time, for one that is
    composite, and where it runs without time.
    """
    of_one_moment("short_term", layer)
    not_composite("short_term", layer)
    numbers = {"use": use, "tau_recover": tau_recover, "tau_facilitate": tau_facilitate}

    def rest(params, x):
        inner = () if layer.rest is None else layer.rest(params, x)
        u = jnp.broadcast_to(jnp.asarray(use, wide(x).dtype), x.shape)
        return Resources(u, jnp.ones_like(u), inner)

    def build(dt: float) -> Layer:
        inside = in_steps_of_dt(layer, dt)

        def synapse(params, state, x, key):
            u, r, inner = state
            dtype, x = x.dtype, wide(x)
            released = u * r * x
            inner, current = inside.synapse(params, inner, (released / use).astype(dtype), key)
            r = 1 + (r - released - 1) * decay(dt, tau_recover, x)
            u = use + (u + use * (1 - u) * x - use) * decay(dt, tau_facilitate, x)
            return Resources(u, r, inner), current

        def behind(other: Layer) -> Layer:
            return in_steps_of_dt(short_term(other, **numbers), dt)

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


@declared
def depressed(
    layer: Layer,
    *,
    use: PositiveProbability = 0.5,
    tau_recover: NonNegative = 100.0,
    tau_facilitate: NonNegative = 0.0,
) -> Layer:
    """The steady state of `short_term` at constant rates, for layers of one moment.

        y = (u / U) R x,   u = U (1 + tau_f |x|) / (1 + U tau_f |x|),   R = 1 / (1 + u tau_r |x|)
    x: [B, ...] spikes per ms; y: in their place. It is what `short_term` tends to as moments become
    short: every input has 1 / tau_r as its limit. A negative rate stands for that of an opposed
    (OFF) partner neuron. use: U. tau_recover, tau_facilitate: tau_r, tau_f, ms. Its derivative is
    exact. Raises ValueError for a layer over time. Tsodyks, Pawelzik, Markram, 1998, as above.

        depressed(dense(100, relu()), tau_recover=0.5)
    """

    def settled(x):
        rate = jnp.abs(x)
        u = use * (1 + tau_facilitate * rate) / (1 + use * tau_facilitate * rate)
        return (x * u / use / (1 + u * tau_recover * rate)).astype(x.dtype)

    of_one_moment("depressed", layer)
    return after(settled, layer)


def not_composite(where: str, layer: Layer) -> None:
    """Raise ValueError for a layer that synapses with a state cannot stand before."""
    if layer.composite:
        raise ValueError(
            f"{where}: errors cross weights inside of the layer, and a layer with a state has no"
            " feedback for them; wrap a layer of one array of weights, as bp.dense"
        )


def in_steps_of_dt(layer: Layer, dt: float) -> Layer:
    return layer.at(dt) if layer.at else layer
