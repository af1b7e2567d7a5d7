"""Spikes of a net over time: how often each layer fires, and when spikes stop saving operations.

`recorded` keeps the spikes and the states of neurons, to look at them.

    rate of layer l    spikes / (B T n_l), per unit and moment;    1000 rate / dt in Hz
    break-even         c M* = c M + A r,    so    r* = c (M* - M) / A
n_l: units of layer l;  T: moments of an example;  B: examples;  dt: length of a moment in ms.
Per example:  M*: multiply-accumulates (MACs) of the dense net;  M: MACs of the spiking net at any
rate, of synapses whose inputs are no spikes;  A: accumulates (ACs) of the spiking net if every
unit fired at every moment;  r: the share of those that take place, which is the mean rate of the
units that send spikes, each weighted by its number of synapses;  c: cost of a MAC in ACs.

A net that fires at less than r* does its synaptic operations for less than the dense one. r* > 1:
at any rate;  r* <= 0: at no rate. Memory traffic and the updates of neurons are not in it: these do
not depend on the rate, and `bioplaus.measure.energy` prices them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.measure.counts import Cost, total
from bioplaus.measure.program import dependents, trace
from bioplaus.measure.program.operations import MAC_OPS, macs, times
from bioplaus.measure.program.products import products_of
from bioplaus.net import forward, layer_key, time_step
from bioplaus.salts import NEURON
from bioplaus.types import Array, Key, Net, PyTree

MAC_IN_ACS = (3.7 + 0.9) / 0.9
"""The cost of a MAC, a product and a sum, in ACs, sums: of float32 numbers at 45 nm, 3.7 pJ and
0.9 pJ. Horowitz, "Computing's energy problem (and what we can do about it)", 2014,
doi:10.1109/ISSCC.2014.6757323.
"""


class Rates(NamedTuple):
    """[L]: of each layer, spikes per unit and moment, and in Hz: 0 for a layer of spiking neurons
    that were silent, and NaN for a layer without spiking neurons, as a readout, which has no rate.
    """

    moment: Array
    hz: Array


class BreakEven(NamedTuple):
    """rate: r*. found: r on this batch. macs: M. acs: A. Counts are per example."""

    rate: float
    found: float
    macs: float
    acs: float


def spike_rates(net: Net, params: PyTree, x: Array, key: Key) -> Rates:
    """How often the neurons of each layer fire on x [B, T, ...].

    The mean over layers that have a rate is jnp.nanmean(spike_rates(...).hz).
    Raises ValueError for a net without layers over time.
    """
    dt = _time_step("spike_rates", net)
    outputs = forward(net, params, x, key).outputs
    rates = jnp.stack(
        [
            z.mean() if layer.neuron.spikes else jnp.full((), jnp.nan, z.dtype)
            for layer, z in zip(net, outputs, strict=True)
        ]
    )
    return Rates(rates, 1000 * rates / dt)


class Recorded(NamedTuple):
    """A layer over time. number: its place in the net, from 1. output: [B, T, n]. states: the
    states of its neurons after each moment, a tree of arrays [B, T, n]. spikes: whether the neurons
    fire, so that the output is 0 or 1.
    """

    number: int
    output: Array
    states: PyTree
    spikes: bool


def recorded(net: Net, params: PyTree, x: Array, key: Key) -> tuple[Recorded, ...]:
    """What the neurons of each layer over time sent, and the states that they went through, on x.

    The net is one without changed excitability (`with_gain`), which acts around a neuron's step.
    Raises ValueError for a net without layers over time.
    """
    _time_step("recorded", net)
    trace, found = forward(net, params, x, key), []
    for l, layer in enumerate(net):
        if layer.time is not None:
            neuron = layer.time.moment.neuron
            k = jax.random.fold_in(layer_key(key, l), NEURON)

            def moment(carry, current, neuron=neuron, k=k):
                t, state = carry
                state, _ = neuron.step(state, current, jax.random.fold_in(k, t))
                return (t + 1, state), state

            currents = jnp.moveaxis(trace.currents[l], 1, 0)
            start = jnp.zeros((), jnp.int32), neuron.init(currents[0])
            states = jax.lax.scan(moment, start, currents)[1]
            states = jax.tree.map(lambda a: jnp.moveaxis(a, 0, 1), states)
            found.append(Recorded(l + 1, trace.outputs[l], states, layer.neuron.spikes))
    return tuple(found)


def break_even(
    net: Net, params: PyTree, x: Array, key: Key, dense: Cost, *, mac: float = MAC_IN_ACS
) -> BreakEven:
    """The rate of spikes at which one answer of the net costs as much as one of a dense net.

    Which synapses receive spikes is seen on x [B, T, ...]: those whose inputs are all 0, 1 or -1.
    dense: `measure.inference` of the dense net. mac: c, the cost of a MAC in ACs.

        dense = bp.measure.inference(rule, dense_net, batch)
        bp.measure.break_even(net, params, x, key, dense).rate

    Raises ValueError for a net without layers over time, for synapses that receive nothing but 0 on
    x, of which it cannot be told, and if no synapses receive spikes.
    """
    _time_step("break_even", net)
    program = trace(lambda p, x, k: forward(net, p, x, k).output, params, x, key)
    data = dependents(program, [program.inputs[1]])
    products = products_of(program, (params, x, key), data)[0]
    most_macs = most_acs = acs = 0
    for i, op in enumerate(program.ops):
        if op.name in MAC_OPS:
            count, (found_macs, found_acs, _) = macs(op, program.shapes) * times(op), products[i]
            if count and not found_macs and not found_acs:
                raise ValueError(
                    "break_even: some synapses receive nothing but 0 on x, so that it cannot be"
                    " told whether they receive spikes; give more examples, or a net that fires"
                )
            most_macs += count if found_macs else 0
            most_acs += 0 if found_macs else count
            acs += found_acs
    if not most_acs:
        raise ValueError("break_even: no synapses of the net receive spikes; there is no such rate")
    size = len(x)
    return BreakEven(
        float(mac * (total(dense).macs - most_macs / size) / (most_acs / size)),
        acs / most_acs,
        most_macs / size,
        most_acs / size,
    )


def _time_step(where: str, net: Net) -> float:
    dt = time_step(net)
    if dt is None:
        raise ValueError(
            f"{where}: the net has no layers over time; wrap them, bp.over_time(layer)"
        )
    return dt
