"""Izhikevich's neurons: spiking and bursting patterns of the cortex from two variables.

    dv/dt = 0.04 v^2 + 5 v + 140 - w + I,    dw/dt = a (b v - w)
    and where v > 30 mV:  v <- c,  w <- w + d
v: [B, n] potential, mV;  w: [B, n] recovery, mV/ms (u in the paper);  I: input, mV/ms.

Izhikevich, "Simple model of spiking neurons", 2003, doi:10.1109/TNN.2003.820440.
"""

import jax.numpy as jnp

from bioplaus.hyper import Count, NonNegative, Positive, Real, declared
from bioplaus.neurons.spiking import TRIANGLE, in_ms
from bioplaus.neurons.substeps import Spike, TwoVariables, one_moment
from bioplaus.neurons.surrogate import Surrogate
from bioplaus.types import Neuron

IZHIKEVICH_CLASSES = {
    "RS": {"a": 0.02, "b": 0.2, "c": -65.0, "d": 8.0},
    "IB": {"a": 0.02, "b": 0.2, "c": -55.0, "d": 4.0},
    "CH": {"a": 0.02, "b": 0.2, "c": -50.0, "d": 2.0},
    "FS": {"a": 0.1, "b": 0.2, "c": -65.0, "d": 2.0},
    "LTS": {"a": 0.02, "b": 0.25, "c": -65.0, "d": 2.0},
    "TC": {"a": 0.02, "b": 0.25, "c": -65.0, "d": 0.05},
    "RZ": {"a": 0.1, "b": 0.26, "c": -65.0, "d": 2.0},
}
"""The classes of the paper: excitatory cortical neurons that are regular spiking (RS),
intrinsically bursting (IB) or chattering (CH); inhibitory ones that are fast spiking (FS) or
low-threshold spiking (LTS); thalamo-cortical (TC) and resonator (RZ) neurons. For
`izhikevich(**IZHIKEVICH_CLASSES["CH"])`."""


@declared
def izhikevich(
    a: Positive = 0.02,
    b: Real = 0.2,
    c: Real = -65.0,
    d: NonNegative = 8.0,
    *,
    scale: Positive = 20.0,
    substeps: Count = 4,
    width: Positive = 100.0,
    surrogate: Surrogate = TRIANGLE,
) -> Neuron:
    """Izhikevich's neurons, from their resting potential. State: `TwoVariables`.

    dv/dt = 0.04 v^2 + 5 v + 140 - w + I,  dw/dt = a (b v - w), and where v > 30 mV a spike:
    v <- c,  w <- w + d. v: potential [B, n], mV. w: recovery [B, n], mV/ms. I: input, mV/ms.

    a: rate of the recovery, 1/ms. b: its sensitivity to v, 1/ms. c: v after a spike, mV. d: what a
    spike adds to w, mV/ms. `IZHIKEVICH_CLASSES` has the values of the paper.
    scale: mV that a current of 1 adds to v. About 20 lead from rest to the threshold, so that
    weights are as large as those of `lif`. The paper's constant I is a current of I dt / scale.
    substeps: of Euler's method in a moment. width: the surrogate is of (v_max - 30 mV) / width,
    with the largest v of the moment; narrow ones are blind to all but the last ms before a spike.

    The paper's code takes 2 substeps of v, and 1 of w, in a moment of 1 ms. Euler's method is
    unstable below v = (-2 / h - 5) / 0.08 mV, -162 mV at h = dt / substeps = 0.25 ms: strong
    inhibition then makes a neuron fire; more substeps mend it.

    Izhikevich, "Simple model of spiking neurons", 2003, doi:10.1109/TNN.2003.820440.

        over_time(dense(100, izhikevich()))
    """

    def rest(current):
        """The stable fixed point; where there is none, the lowest point of dv/dt."""
        slack = jnp.asarray(b, current.dtype) - 5
        v = (slack - jnp.sqrt(jnp.maximum(slack**2 - 4 * 0.04 * 140, 0))) / (2 * 0.04)
        v = jnp.broadcast_to(v, current.shape)
        return TwoVariables(v, jnp.asarray(b, v.dtype) * v)

    def slopes(v, w):
        return (0.04 * v + 5) * v + 140 - w, a * (b * v - w)

    def build(dt):
        def step(state, current, key):
            del key
            shape = Spike(30.0, c, d, width, surrogate)
            return one_moment(slopes, shape, state, scale * current, dt, substeps)

        return Neuron(rest, step, spikes=True)

    return in_ms(build)
