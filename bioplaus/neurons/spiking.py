"""Neurons with a state: leaky integrators, and neurons that fire.

    leaky    v <- a v + (1 - a) I,    output v                             a = exp(-dt / tau)
    lif      u = a v + I,    z = H(u - theta),    v <- reset(u, z)         output z
    alif     u = a v + I,    z = H(u - theta - beta b),    b <- r b + z    r = exp(-dt / tau_adapt)
v, u: [B, n] potential after and before a reset, 0 at rest;  I: [B, n] current of the moment;
z: [B, n] spikes, 0 or 1;  theta: threshold;  b: [B, n] adaptation, in spikes;  dt: length of a
moment. All times are in ms.

The current of a moment is the charge that arrives in it, in units of the potential: a spike through
a weight w moves v of a `lif` by w at any dt. So spikes as an input mean the same at any dt, and a
constant current I0, which would hold the potential at I0, is (1 - a) I0 a moment. `leaky` has that
factor itself: it is the same at any dt for an input that is a value, not for one of spikes.

A neuron stands for steps of 1 ms, until `over_time(layer, dt=...)` or `recurrent` takes it at
others. The derivative of a spike is a surrogate (`bioplaus.neurons.surrogate`) of (u - theta) /
theta. The reset is immediate, within the moment of the spike, and no derivative passes it unless
`detached` is False.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.checks import of_neurons
from bioplaus.hyper import NonNegative, Positive, declared
from bioplaus.neurons.resets import SHIFTS, Reset, check_decay, check_functions, subtract
from bioplaus.neurons.surrogate import Surrogate, spike, triangle
from bioplaus.types import Array, Neuron

TRIANGLE = triangle()


def in_ms(build: Callable[[float], Neuron]) -> Neuron:
    """The neuron that `build` makes for steps of dt ms: at 1 ms, until it is taken at others.

    build: dt in ms -> Neuron(init, step). It gives a neuron of yours its `at`.

        in_ms(lambda dt: lif(tau=20.0).at(dt))
    """

    def at(dt):
        return build(dt)._replace(at=at)

    return at(1.0)


def in_steps(neuron: Neuron, dt: float) -> Neuron:
    """The neuron in steps of dt ms, whether or not it knows time."""
    return neuron.at(dt) if neuron.at else neuron


def wide(a: Array) -> Array:
    """In float32, if it has fewer bits: exp(-1 / 600) is 1 in bfloat16, and nothing would decay."""
    return a.astype(jnp.promote_types(a.dtype, jnp.float32))


def in_float32(neuron: Neuron) -> Neuron:
    """The same neuron, which keeps its state in float32 if its current has fewer bits (`wide`)."""

    def init(current):
        return neuron.init(wide(current))

    def step(state, current, key):
        widened = wide(current)
        state, output = neuron.step(state, widened, key)
        same = widened.dtype == current.dtype
        return state, output if same else output.astype(current.dtype)

    off, mean = (n and in_float32(n) for n in (neuron.off, neuron.mean))
    at = neuron.at
    placed = at and (lambda dt: in_float32(at(dt)))
    inner = neuron.leak
    leak = inner and (lambda current: inner(wide(current)))
    return Neuron(init, step, off, mean, placed, neuron.spikes, leak)


def decay(dt: float, tau: ArrayLike, like: Array) -> Array:
    """exp(-dt / tau), in the dtype of `like`."""
    return jnp.exp(-dt / jnp.asarray(tau, like.dtype))


@declared
def leaky(tau: Positive = 20.0) -> Neuron:
    """A leaky integrator, which does not fire: the readout of a spiking net.

    v <- a v + (1 - a) I,  a = exp(-dt / tau), and the output is v. State: v [B, n], 0 at rest.
    tau: of the membrane, ms. I: current [B, n]; a constant one holds v at I, at any dt.

        over_time(dense(10, leaky(tau=20.0)))
    """

    def build(dt):
        def step(v, current, key):
            del key
            a = decay(dt, tau, current)
            v = a * v + (1 - a) * current
            return v, v

        return Neuron(jnp.zeros_like, step, leak=partial(decay, dt, tau))

    return in_ms(build)


class Refractory(NamedTuple):
    """v: potential. wait: moments left in which the neuron hears nothing and does not fire."""

    v: Array
    wait: Array


@declared
def lif(
    tau: Positive = 20.0,
    *,
    threshold: Positive = 1.0,
    refractory: NonNegative = 0.0,
    reset: Reset = subtract,
    surrogate: Surrogate = TRIANGLE,
    detached: bool = True,
) -> Neuron:
    """Leaky integrate-and-fire neurons. State: v [B, n], 0 at rest, or `Refractory`.

    u = a v + I,  z = 1 where u > threshold, else 0,  v <- reset(u, z);  a = exp(-dt / tau).
    u, v: potential before and after the reset. z: the output [B, n]. I: the current [B, n], the
    charge that arrives in the moment, in units of the potential.

    tau: of the membrane, ms. threshold: in units of the potential. refractory: ms after a spike,
    rounded to moments, in which v stays at its reset value and what arrives is lost. reset: one of
    `RESETS`; by default what is above the threshold stays. surrogate: psi, which stands for dz/dx
    at x = (u - threshold) / threshold; `SURROGATES` has the factories, as `atan()`.
    detached: no derivative passes the reset (as in Bellec et al., 2020, and in snnTorch).

    The rate at a constant current I0 > threshold, (1 - a) I0 a moment, with reset to 0, is
    1 / (refractory + tau ln(I0 / (I0 - threshold))) per ms as dt -> 0. Gerstner, Kistler, Naud,
    Paninski, "Neuronal Dynamics", 2014, section 1.3, https://neuronaldynamics.epfl.ch. Raises
    ValueError for numbers outside their domains, names for functions, and dt too long for a reset.

        over_time(dense(100, lif(tau=20.0, reset=bp.neurons.RESETS["to_zero"])))
    """
    check_functions("lif", reset, surrogate)
    waits = not (isinstance(refractory, int | float) and refractory == 0)

    def build(dt):
        def fire(v, current, listens):
            check_decay("lif", reset, dt, tau)
            a = decay(dt, tau, current)
            u = a * v + current
            z = listens * spike((u - threshold) / threshold, surrogate)
            return reset(u, jax.lax.stop_gradient(z) if detached else z, threshold, a), z

        def step(v, current, key):
            del key
            return fire(v, current, 1)

        def waiting_step(state, current, _):
            listens = (state.wait <= 0).astype(current.dtype)
            v, z = fire(state.v, current, listens)
            moments = jnp.round(jnp.asarray(refractory, current.dtype) / dt)
            wait = jnp.maximum(state.wait - 1, 0) + jax.lax.stop_gradient(z) * moments
            return Refractory(jnp.where(listens > 0, v, state.v), wait), z

        def init(current):
            return Refractory(jnp.zeros_like(current), jnp.zeros_like(current))

        if waits:
            return Neuron(init, waiting_step, spikes=True)
        leak = partial(decay, dt, tau) if detached and reset in SHIFTS else None
        return Neuron(jnp.zeros_like, step, spikes=True, leak=leak)

    return in_ms(build)


class Adaptive(NamedTuple):
    """v: potential. b: adaptation, in spikes."""

    v: Array
    b: Array


@declared
def alif(
    tau: Positive = 20.0,
    tau_adapt: Positive = 200.0,
    beta: NonNegative = 0.1,
    *,
    threshold: Positive = 1.0,
    reset: Reset = subtract,
    surrogate: Surrogate = TRIANGLE,
    detached: bool = True,
) -> Neuron:
    """LIF neurons whose threshold adapts. State: `Adaptive`.

    u = a v + I,  z = 1 where u > threshold + beta b, else 0,  v <- reset(u, z),  b <- r b + z;
    a = exp(-dt / tau),  r = exp(-dt / tau_adapt). Each spike raises the threshold by beta, which
    falls back with tau_adapt. tau, tau_adapt: ms. beta: in units of the potential.
    The reset takes off `threshold` alone, not beta b. `detached` cuts the reset alone: the path
    from a spike to the later threshold is never cut. Other arguments as of `lif`.

    Bellec et al., "A solution to the learning dilemma for recurrent networks of spiking neurons",
    2020, doi:10.1038/s41467-020-17236-y, where the threshold is subtracted one moment later: give
    reset=subtract_undecayed.

        over_time(dense(100, alif(tau=20.0, tau_adapt=200.0)))
    """

    check_functions("alif", reset, surrogate)

    def build(dt):
        def init(current):
            return Adaptive(jnp.zeros_like(current), jnp.zeros_like(current))

        def step(state, current, key):
            del key
            check_decay("alif", reset, dt, tau)
            a, r = (decay(dt, t, current) for t in (tau, tau_adapt))
            u = a * state.v + current
            z = spike((u - threshold - beta * state.b) / threshold, surrogate)
            v = reset(u, jax.lax.stop_gradient(z) if detached else z, threshold, a)
            return Adaptive(v, r * state.b + z), z

        return Neuron(init, step, spikes=True)

    return in_ms(build)


class Synaptic(NamedTuple):
    """s: charge per moment that the synapses still send [B, n]. neuron: state of the neuron."""

    s: Array
    neuron: object


@declared
def synaptic(neuron: Neuron, tau: Positive = 5.0) -> Neuron:
    """Exponential synapses in front of any neuron: s <- a s + (1 - a) I, and the neuron receives s.

    a = exp(-dt / tau), tau: ms. In front of `lif` it is the current-based LIF of Zenke and Ganguli,
    2018, doi:10.1162/neco_a_01086. Departure: with the factor (1 - a) a spike through a weight w
    brings the charge w in all, at any dt and tau. State: `Synaptic`.

    Around a rate neuron it is the unit of a continuous-time recurrent network: s is the potential v
    of tau dv/dt = -v + I, and the output is f(v); `synaptic(tanh(), 20.0)`.

        over_time(dense(100, synaptic(lif(tau=20.0), tau=5.0)))
    """

    of_neurons("synaptic", neuron)

    def build(dt):
        inner = in_steps(neuron, dt)

        def around(one):
            def init(current):
                return Synaptic(jnp.zeros_like(current), one.init(current))

            def step(state, current, key):
                a = decay(dt, tau, current)
                s = a * state.s + (1 - a) * current
                after, output = one.step(state.neuron, s, key)
                return Synaptic(s, after), output

            return Neuron(init, step, spikes=one.spikes)

        return around(inner)._replace(
            off=inner.off and around(inner.off), mean=inner.mean and around(inner.mean)
        )

    return in_ms(build)
