"""LIF rates in closed form, adaptation by hand, charge of synapses, formulas of surrogates."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.neurons.resets import subtract_undecayed, to_zero
from bioplaus.neurons.surrogate import atan, fast_sigmoid, spike, triangle

pytestmark = pytest.mark.usefixtures("x64")

TAU, REFRACTORY = 20.0, 2.0


def played(neuron, dt, currents):
    """Outputs [T, ...], and the states after each moment, for currents [T, ...]."""
    neuron = neuron.at(dt) if neuron.at else neuron

    def step(state, current):
        after, output = neuron.step(state, current, jax.random.key(0))
        return after, (output, after)

    return jax.lax.scan(step, neuron.init(currents[0]), currents)[1]


@pytest.mark.parametrize("dt", [1.0, 0.5, 0.1])
def test_the_rate_of_lif_neurons(dt):
    """At a constant current I0, (1 - a) I0 a moment: the period is that of the closed form, rounded
    up to a whole number of moments."""
    levels, a = np.array([1.2, 1.5, 3.0]), math.exp(-dt / TAU)
    neuron = bp.lif(TAU, refractory=REFRACTORY, reset=to_zero)
    moments = int(300 / dt)
    charge = jnp.broadcast_to((1 - a) * levels, (moments, 3))
    spikes = np.asarray(played(neuron, dt, charge)[0])
    for n, level in enumerate(levels):
        intervals = np.diff(np.flatnonzero(spikes[:, n]))
        period = TAU * math.log(level / (level - 1))
        assert set(intervals) == {math.ceil(period / dt) + round(REFRACTORY / dt)}
        assert abs(intervals[0] * dt - (REFRACTORY + period)) < dt
        assert abs(intervals[0] * dt - period) > 0.5  # control: the refractory period counts
    # control: the same number as a charge of each moment is another current at every dt
    wrong = np.asarray(played(neuron, dt, jnp.broadcast_to(levels, (moments, 3)))[0])
    assert (wrong.sum(0) > 2 * spikes.sum(0)).all()


def test_values_of_a_leaky_integrator_and_charges_of_a_lif_mean_the_same_at_any_dt():
    for dt in (1.0, 0.5, 0.1):
        at_20 = int(20 / dt) - 1
        value = played(bp.leaky(TAU), dt, jnp.full(200, 0.7))[0][at_20]
        assert abs(value - 0.7 * (1 - math.exp(-1))) < 1e-12
        kick = played(bp.lif(TAU), dt, jnp.zeros(201).at[0].set(0.7))[1][at_20 + 1]
        assert abs(kick - 0.7 * math.exp(-1)) < 1e-12
        # control: as a value, the kick would fade with dt
        faded = played(bp.leaky(TAU), dt, jnp.zeros(201).at[0].set(0.7))[0][at_20 + 1]
        assert faded < 0.1 * kick


@pytest.mark.parametrize("longest", [2.0, 79.0])
def test_a_threshold_that_does_not_decay_is_taken_off_a_moment_later(longest):
    """u_2 = a u_1 - theta + I after a spike, also where next to nothing is left of u_1."""
    tau = 1 / longest
    first, later = 1.5, 0.7
    neuron = bp.lif(tau, reset=subtract_undecayed)
    v, z = neuron.step(jnp.zeros((1, 1)), jnp.full((1, 1), first), jax.random.key(0))
    assert z == 1
    u = neuron.step(v, jnp.full((1, 1), later), jax.random.key(0))[0]
    assert abs(float(u[0, 0]) - (math.exp(-longest) * first - 1 + later)) < 1e-12
    decayed = bp.lif(tau).step(jnp.zeros((1, 1)), jnp.full((1, 1), first), jax.random.key(0))[0]
    other = bp.lif(tau).step(decayed, jnp.full((1, 1), later), jax.random.key(0))[0]
    assert abs(float((other - u)[0, 0])) > 0.8  # control: with the rest of u it would be gone


def test_adaptation_by_hand():
    dt, beta, tau_adapt = 0.5, 0.4, 30.0
    currents = np.random.default_rng(0).uniform(0, 0.5, 120)
    neuron = bp.alif(TAU, tau_adapt, beta, reset=subtract_undecayed)
    spikes, states = played(neuron, dt, jnp.asarray(currents))
    a, r, v, b, want = math.exp(-dt / TAU), math.exp(-dt / tau_adapt), 0.0, 0.0, []
    for current in currents:
        u = a * v + current
        z = float(u > 1.0 + beta * b)
        v, b = u - z / a, r * b + z
        want.append((z, v, b))
    got = np.stack([spikes, states.v, states.b], 1)
    assert np.abs(got - np.array(want)).max() < 1e-12
    assert 5 < spikes.sum() < 60
    assert played(bp.lif(TAU), dt, jnp.asarray(currents))[0].sum() > spikes.sum()


@pytest.mark.parametrize("dt", [1.0, 0.5, 0.1])
@pytest.mark.parametrize("tau", [2.0, 5.0])
def test_a_spike_brings_its_weight_through_exponential_synapses(dt, tau):
    kick = jnp.zeros(int(60 * tau / dt)).at[0].set(0.7)
    sent = played(bp.synaptic(bp.identity(), tau), dt, kick)[0]
    assert abs(sent.sum() - 0.7) < 1e-12
    half = sent[: round(tau * math.log(2) / dt)].sum()
    assert abs(half - 0.35) < 0.35 * dt / tau  # half of it in the half-life
    assert abs(sent[0] - 0.7) > 0.01  # control: not all at once


FORMULAS = {
    "triangle": (triangle(0.5), lambda x: 0.5 * max(0, 1 - abs(x))),
    "fast_sigmoid": (fast_sigmoid(10.0), lambda x: 1 / (1 + 10 * abs(x)) ** 2),
    "atan": (atan(3.0), lambda x: 1.5 / (1 + (math.pi * 1.5 * x) ** 2)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_surrogates_in_both_modes_of_differentiation(name):
    psi, formula = FORMULAS[name]
    x = jnp.array([-1.7, -0.6, -1e-3, 0.0, 0.2, 0.9, 2.5])
    fire = functools.partial(spike, psi=psi)
    value, forward = jax.jvp(fire, (x,), (jnp.full(7, 2.0),))
    (reverse,) = jax.vjp(fire, x)[1](jnp.full(7, 3.0))
    want = np.array([formula(float(each)) for each in x])
    assert value.tolist() == [0, 0, 0, 0, 1, 1, 1]  # strict: none at the threshold
    assert np.abs(forward / 2 - want).max() < 1e-12
    assert np.abs(reverse / 3 - want).max() < 1e-12
    others = [f for other, (_, f) in FORMULAS.items() if other != name]
    assert all(abs(float(forward[5]) / 2 - f(0.9)) > 1e-3 for f in others)
