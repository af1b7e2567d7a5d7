"""Adaptive exponential integrate-and-fire neurons.

    C dv/dt = -g (v - E) + g Delta exp((v - V_T) / Delta) - w + I
    tau_w dw/dt = a (v - E) - w,    and where v > peak:  v <- v_r,  w <- w + b
v: [B, n] potential, mV;  w: [B, n] adaptation, pA;  I: input, pA;  C: capacitance, pF;  g: leak,
nS;  E: resting potential, mV;  V_T: threshold, mV;  Delta: sharpness of the threshold, mV.

Brette, Gerstner, "Adaptive exponential integrate-and-fire model as an effective description of
neuronal activity", 2005, doi:10.1152/jn.00686.2005.
"""

import jax.numpy as jnp

from bioplaus.hyper import Count, Positive, Real, declared
from bioplaus.neurons.spiking import TRIANGLE, in_ms
from bioplaus.neurons.substeps import Spike, TwoVariables, one_moment
from bioplaus.neurons.surrogate import Surrogate
from bioplaus.types import Neuron

_COMMON = {"leak": 2.0, "rest": -70.0, "threshold": -50.0, "sharpness": 2.0, "peak": -40.0}
ADEX_PATTERNS = {
    "tonic": _COMMON | {"capacitance": 40.0, "a": 0.0, "tau_w": 30.0, "b": 60.0, "reset": -55.0},
    "adapting": _COMMON | {"capacitance": 40.0, "a": 0.0, "tau_w": 100.0, "b": 5.0, "reset": -55.0},
    "initial_burst": _COMMON
    | {"capacitance": 10.0, "a": 0.5, "tau_w": 100.0, "b": 7.0, "reset": -51.0},
    "bursting": _COMMON
    | {"capacitance": 10.0, "a": -0.5, "tau_w": 100.0, "b": 7.0, "reset": -46.0},
    "delayed": _COMMON
    | {"capacitance": 10.0, "a": -1.0, "tau_w": 100.0, "b": 10.0, "reset": -60.0},
}
"""Responses to a constant current of 65 pA (delayed: 25 pA), for `adex(**ADEX_PATTERNS["tonic"])`.
Gerstner, Kistler, Naud, Paninski, "Neuronal Dynamics", 2014, table 6.1, with its resistance of 500
MOhm as a leak of 2 nS, https://neuronaldynamics.epfl.ch/online/Ch6.S2.html. Departures: the peak,
and no transient spiking, which at 65 pA goes on for ever with the numbers of the table."""


@declared
def adex(
    capacitance: Positive = 281.0,
    leak: Positive = 30.0,
    rest: Real = -70.6,
    threshold: Real = -50.4,
    sharpness: Positive = 2.0,
    a: Real = 4.0,
    tau_w: Positive = 144.0,
    b: Real = 80.5,
    reset: Real = -70.6,
    peak: Real = -40.4,
    *,
    scale: Positive = 20.0,
    substeps: Count = 10,
    width: Positive = 20.0,
    surrogate: Surrogate = TRIANGLE,
) -> Neuron:
    """Adaptive exponential integrate-and-fire neurons, from rest. State: `TwoVariables`.

    C dv/dt = -g (v - E) + g Delta exp((v - V_T) / Delta) - w + I,  tau_w dw/dt = a (v - E) - w,
    and where v > peak a spike: v <- v_r,  w <- w + b. v: potential [B, n], mV. w: adaptation
    [B, n], pA. I: input, pA.

    capacitance: C, pF. leak: g, nS. rest: E, mV. threshold: V_T, mV. sharpness: Delta, mV. a:
    adaptation below the threshold, nS. tau_w: its time, ms. b: adaptation of a spike, pA. reset:
    v_r, mV. The defaults are the paper's.
    peak: mV, by default V_T + 5 Delta; from there to any higher peak, as the paper's 20 mV, v needs
    less than (C / g) e^-5, 0.06 ms.
    scale: mV that a current of 1 adds to v. About 20 lead from rest to the threshold, so that
    weights are as large as those of `lif`. A constant I in pA is a current of I dt / (C scale).
    substeps: of Euler's method in a moment. width: the surrogate is of (v_max - peak) / width, with
    the largest v of the moment, mV. `ADEX_PATTERNS` has sets of numbers.

    Brette, Gerstner, "Adaptive exponential integrate-and-fire model as an effective description of
    neuronal activity", 2005, doi:10.1152/jn.00686.2005.

        over_time(dense(100, adex()), dt=0.5)
    """

    def init(current):
        v = jnp.broadcast_to(jnp.asarray(rest, current.dtype), current.shape)
        return TwoVariables(v, jnp.zeros_like(current))

    def slopes(v, w):
        upstroke = leak * sharpness * jnp.exp((v - threshold) / sharpness)
        return (upstroke - leak * (v - rest) - w) / capacitance, (a * (v - rest) - w) / tau_w

    def build(dt):
        def step(state, current, key):
            del key
            shape = Spike(peak, reset, b, width, surrogate)
            return one_moment(slopes, shape, state, scale * current, dt, substeps)

        return Neuron(init, step, spikes=True)

    return in_ms(build)
