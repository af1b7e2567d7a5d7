"""Noise that lives in time: the same at any length of a moment.

    ornstein_uhlenbeck    the neuron receives I + eta,    eta <- a eta + s xi
    membrane_noise        the neuron receives I + s xi
    diffusive_lif         `lif` with membrane noise, and a threshold for moments of finite length
    escape                P(z = 1) = 1 - exp(-rho dt),    rho = rate exp(k (u - theta) / theta)
a = exp(-dt / tau);  s = sigma sqrt((1 - a^2) / 2);  xi: standard normal, independent for every
unit, example and moment;  u: [B, n] potential;  z: [B, n] spikes;  theta: threshold;  rho: spikes
per ms. An Ornstein-Uhlenbeck process has the variance sigma^2 / 2 and the correlation
exp(-|t| / tau) over t ms, whatever dt is.

Pieces of a sequence draw what the whole draws (`bioplaus.net.advance`). With sigma = 0 results are
bit-identical to those without noise. What noise "mean" is for neurons with a state, a docstring
says: what they expect depends on all moments before, and no closed form is known.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bioplaus.checks import of_neurons
from bioplaus.hyper import NonNegative, Positive, declared
from bioplaus.neurons.noise import gaussian_current, normal
from bioplaus.neurons.rate import rate as rate_neuron
from bioplaus.neurons.resets import Reset, check_decay, subtract, to_zero
from bioplaus.neurons.siegert import siegert
from bioplaus.neurons.spiking import TRIANGLE, decay, in_ms, in_steps, lif
from bioplaus.neurons.surrogate import Surrogate, spike
from bioplaus.types import Neuron

CONTINUITY = 0.5825971579390106
"""-zeta(1/2) / sqrt(2 pi): Broadie, Glasserman, Kou, "A continuity correction for discrete barrier
options", 1997, doi:10.1111/1467-9965.00035."""


class Coloured(NamedTuple):
    """eta: noise [B, n]. neuron: state of the neuron."""

    eta: jax.Array
    neuron: object


@declared
def ornstein_uhlenbeck(neuron: Neuron, sigma: NonNegative, tau: Positive = 20.0) -> Neuron:
    """Ornstein-Uhlenbeck noise of the current: it is correlated over tau ms. State: `Coloured`.

    eta is 0 at rest, and has the variance sigma^2 / 2 (1 - exp(-2 t / tau)) after t ms. The mean is
    E f(I + eta) of the stationary eta, as `gaussian_current` has it.

    Around a rate neuron f(I + eta) the noise is that of its potential. A neuron that takes charge,
    such as `lif`, gets the charge eta at every moment: give it `membrane_noise` instead if its
    noise is to be the same at any dt. Uhlenbeck, Ornstein, "On the theory of the Brownian motion",
    1930, doi:10.1103/PhysRev.36.823.

        over_time(dense(100, ornstein_uhlenbeck(lif(), 0.3, tau=5.0)))
    """
    of_neurons("ornstein_uhlenbeck", neuron)

    def build(dt):
        inner = in_steps(neuron, dt)

        def init(current):
            return Coloured(jnp.zeros_like(current), inner.init(current))

        def step(state, current, key):
            noise_key, inner_key = jax.random.split(key)
            a = decay(dt, tau, current)
            fresh = sigma * jnp.sqrt((1 - a**2) / 2) * normal(noise_key, current)
            eta = a * state.eta + fresh
            after, output = inner.step(state.neuron, current + eta, inner_key)
            return Coloured(eta, after), output

        mean = gaussian_current(inner, sigma / math.sqrt(2)).mean
        return Neuron(init, step, inner.off or inner, mean, spikes=inner.spikes)

    return in_ms(build)


@declared
def membrane_noise(neuron: Neuron, sigma: NonNegative, tau: Positive = 20.0) -> Neuron:
    """White noise of the charge: a membrane that leaks with tau makes Ornstein-Uhlenbeck noise.

    For `lif(tau)` and others that take charge, whose potential then has the variance sigma^2 / 2
    around its course, in units of the potential. tau: that of the membrane, ms. It is
    `gaussian_current` of the level sigma sqrt((1 - a^2) / 2).

        over_time(dense(100, membrane_noise(lif(tau=20.0), 0.3, tau=20.0)))
    """
    of_neurons("membrane_noise", neuron)

    def build(dt):
        level = sigma * jnp.sqrt(-jnp.expm1(-2 * dt / tau) / 2)
        return gaussian_current(in_steps(neuron, dt), level)

    return in_ms(build)


@declared
def diffusive_lif(
    tau: Positive = 20.0,
    sigma: Positive = 0.3,
    *,
    threshold: Positive = 1.0,
    refractory: NonNegative = 0.0,
    corrected: bool = True,
    surrogate: Surrogate = TRIANGLE,
) -> Neuron:
    """Leaky integrate-and-fire neurons with white noise, reset to 0. State: as of `lif`.

    At a constant current (1 - a) mu a moment the rate is `siegert(mu, sigma, ...)` as dt -> 0. In
    moments of finite length v may cross the threshold and come back unseen: at dt = 1 ms, tau = 20
    ms, this costs some 10 % of the spikes. corrected: the threshold is lowered by
    0.5826 sigma sqrt(dt / tau), which leaves errors below 1 %.

    The mean is the stationary one, dt siegert(I / (1 - a), sigma), a rate neuron without a state.
    Other arguments as of `lif`.

        over_time(dense(100, diffusive_lif(sigma=0.5)))
    """

    def build(dt):
        shift = CONTINUITY * sigma * jnp.sqrt(dt / tau) if corrected else 0.0
        cell = lif(
            tau,
            threshold=threshold - shift,
            refractory=refractory,
            reset=to_zero,
            surrogate=surrogate,
        )

        def expected(current):
            mu = current / (1 - decay(dt, tau, current))
            return dt * siegert(mu, sigma, tau=tau, refractory=refractory, threshold=threshold)

        quiet = lif(
            tau, threshold=threshold, refractory=refractory, reset=to_zero, surrogate=surrogate
        )
        noisy = in_steps(membrane_noise(cell, sigma, tau), dt)
        return noisy._replace(off=in_steps(quiet, dt), mean=rate_neuron(expected))

    return in_ms(build)


@declared
def escape(
    tau: Positive = 20.0,
    *,
    threshold: Positive = 1.0,
    rate: Positive = 0.1,
    steepness: Positive = 5.0,
    reset: Reset = subtract,
) -> Neuron:
    """Leaky integrate-and-fire neurons that may fire at any potential. State: v [B, n].

    u = a v + I, then the spikes are drawn. rate: spikes per ms at the threshold. steepness: k, of
    the exponential. The derivative of a spike is that of its probability, dP/du, and no surrogate;
    none passes the reset. Noise "off" is `lif`. The mean is a mean field: a neuron sends P, and is
    reset by as much.

    Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics", 2014, section 9.1,
    https://neuronaldynamics.epfl.ch/online/Ch9.S1.html. The score of such spikes is in Pfister,
    Toyoizumi, Barber, Gerstner, 2006, doi:10.1162/neco.2006.18.6.1318.

        over_time(dense(100, escape(rate=0.1, steepness=5.0)))
    """

    def build(dt):
        def chance(v, current):
            check_decay("escape", reset, dt, tau)
            a = decay(dt, tau, current)
            u = a * v + current
            # Above e^20 spikes per ms the neuron fires for certain: no overflow, and no NaN behind.
            distance = jnp.minimum((u - threshold) / threshold * steepness, 20.0)
            return u, -jnp.expm1(-jnp.exp(distance) * dt * rate), a

        def step(v, current, key):
            u, p, a = chance(v, current)
            drawn = jax.random.uniform(key, p.shape, p.dtype)
            z = spike(p - drawn, jnp.ones_like)
            return reset(u, jax.lax.stop_gradient(z), threshold, a), z

        def mean_step(v, current, key):
            del key
            u, p, a = chance(v, current)
            return reset(u, jax.lax.stop_gradient(p), threshold, a), p

        off = in_steps(lif(tau, threshold=threshold, reset=reset), dt)
        return Neuron(jnp.zeros_like, step, off, Neuron(jnp.zeros_like, mean_step), spikes=True)

    return in_ms(build)
