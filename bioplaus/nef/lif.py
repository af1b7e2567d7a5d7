"""Neurons of the NEF: steady rates, their inverse, and steps that are exact for a constant current.

    rate(J) = 1 / (tau_ref + tau_rc log(1 + 1 / (J - 1)))   for J > 1, else 0       (LIF)
    v <- v + (J - v) (1 - exp(-t / tau_rc))                 t: part of the step not refractory
    a spike where v > 1, at the moment within the step at which v crossed 1; v <- 0

J: [n] current, 1 at threshold;  v: voltage;  tau_rc, tau_ref: s;  rates in Hz. As in nengo 4.1.0.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from bioplaus.hyper import NonNegative, Positive, Real, declared
from bioplaus.types import Array, PyTree


class NeuronType(NamedTuple):
    """A kind of neurons.

    rates: (J [..., n]) -> steady rates, Hz. gain_bias: (max_rates [n], intercepts [n]) -> the gain
    and the bias at which a neuron fires at max_rates for E x / radius = 1, and starts to fire at
    the intercept. start: (voltages [n]) -> state. step: (state, J [n], dt) -> (state, output [n]):
    1 / dt for a spike, or a rate in Hz.
    """

    rates: Callable[[Array], Array]
    gain_bias: Callable[[Array, Array], tuple[Array, Array]]
    start: Callable[[Array], PyTree]
    step: Callable[[PyTree, Array, float], tuple[PyTree, Array]]


class LIF(NamedTuple):
    """voltage [n]. refractory: seconds until the neuron integrates again [n]."""

    voltage: Array
    refractory: Array


class AdaptiveLIF(NamedTuple):
    """lif: `LIF`. adaptation: subtracted from the current [n]."""

    lif: LIF
    adaptation: Array


@declared
def lif_rate(*, tau_rc: Positive = 0.02, tau_ref: NonNegative = 0.002) -> NeuronType:
    """The steady rates of LIF neurons, without spikes. State: ()."""

    def rates(j):
        above = jnp.where(j > 1, j - 1, 1)
        return jnp.where(j > 1, 1 / (tau_ref + tau_rc * jnp.log1p(1 / above)), 0)

    def gain_bias(max_rates, intercepts):
        top = 1 / (1 - jnp.exp((tau_ref - 1 / max_rates) / tau_rc))  # the current at max_rates
        gain = (1 - top) / (intercepts - 1)
        return gain, 1 - gain * intercepts

    return _steady(rates, gain_bias)


def rectified_linear() -> NeuronType:
    """rate(J) = max(J, 0), without spikes. State: ()."""

    def gain_bias(max_rates, intercepts):
        gain = max_rates / (1 - intercepts)
        return gain, -intercepts * gain

    return _steady(lambda j: jnp.maximum(j, 0), gain_bias)


@declared
def lif(
    *, tau_rc: Positive = 0.02, tau_ref: NonNegative = 0.002, min_voltage: Real = 0.0
) -> NeuronType:
    """Leaky integrate-and-fire neurons, which spike. State: `LIF`.

    min_voltage: the voltage does not fall below it.
    """
    steady = lif_rate(tau_rc=tau_rc, tau_ref=tau_ref)

    def step(state, j, dt):
        refractory = state.refractory - dt
        t = jnp.clip(dt - refractory, 0, dt)
        v = state.voltage - (j - state.voltage) * jnp.expm1(-t / tau_rc)
        spiked = v > 1
        # what is left of the step after v crossed 1 counts as refractory time
        over = jnp.where(spiked, (v - 1) / jnp.where(spiked, j - 1, 1), 0)
        after = tau_ref + (dt + tau_rc * jnp.log1p(-over))
        voltage = jnp.where(spiked, 0, jnp.maximum(v, min_voltage))
        return LIF(voltage, jnp.where(spiked, after, refractory)), spiked.astype(v.dtype) / dt

    return steady._replace(start=lambda v: LIF(v, jnp.zeros_like(v)), step=step)


@declared
def adaptive_lif(
    *,
    tau_n: Positive = 1.0,
    inc_n: NonNegative = 0.01,
    tau_rc: Positive = 0.02,
    tau_ref: NonNegative = 0.002,
    min_voltage: Real = 0.0,
) -> NeuronType:
    """LIF neurons whose spikes raise an adaptation h, which their current is lowered by:

        h <- h + (dt / tau_n) (inc_n output - h)

    tau_n: s. State: `AdaptiveLIF`. Steady rates, and so decoders, are those without adaptation, as
    in nengo.
    """
    plain = lif(tau_rc=tau_rc, tau_ref=tau_ref, min_voltage=min_voltage)

    def step(state, j, dt):
        inner, output = plain.step(state.lif, j - state.adaptation, dt)
        rise = (dt / tau_n) * (inc_n * output - state.adaptation)
        return AdaptiveLIF(inner, state.adaptation + rise), output

    return plain._replace(start=lambda v: AdaptiveLIF(plain.start(v), jnp.zeros_like(v)), step=step)


def _steady(rates, gain_bias) -> NeuronType:
    """Neurons whose output is their steady rate at once."""
    return NeuronType(
        rates, gain_bias, start=lambda v: (), step=lambda state, j, dt: (state, rates(j))
    )
