"""Neurons whose time constant is modulated at each moment.

    v <- a v + (1 - a) I,    a = exp(-dt / (tau e^m))
I, m: [B, n] two currents, what drives the neuron and what sets its pace;  v: [B, n] the state, and
the output;  tau: time constant at m = 0, ms;  dt: length of a moment, ms. At m = ln 2 the neuron is
twice as slow.

A modulator as a time scale: Doya, "Metalearning and neuromodulation", 2002,
doi:10.1016/S0893-6080(02)00044-8. A time constant that follows inputs and the net's own outputs:
Hasani, Lechner, Amini, Rus, Grosu, "Liquid time-constant networks", 2021, arXiv:2006.04439.
Departures: the modulator acts on the neuron, where Doya's sets the time scale of learning; the log
of the time constant is linear in what modulates it, and one moment is integrated exactly at a
constant I, where Hasani et al. add a conductance.
"""

import jax.numpy as jnp

from bioplaus.hyper import Positive, declared
from bioplaus.neurons.spiking import decay, in_ms
from bioplaus.types import Neuron


@declared
def paced(tau: Positive = 20.0) -> Neuron:
    """`leaky` at a time constant tau e^m. State: v [B, n], 0 at rest.

    current: [B, n, 2], I and m, which `bp.basal(layer)` and `bp.apical(layer)` give: whatever the
    layer behind `apical` hears sets the pace, as its own outputs and, by `contextual`, a context.
    tau: ms.

        bp.recurrent(bp.basal(dense(20, paced(10.0))), bp.apical(bp.contextual(dense(20), 3)))

    Raises ValueError for a current of another shape.
    """

    def build(dt):
        def step(v, current, key):
            del key
            if current.ndim < 3 or current.shape[-1] != 2:
                raise ValueError(
                    f"paced: the current is {current.shape}, expected [B, n, 2], what drives the"
                    " neuron and what sets its pace; bp.basal(layer) and bp.apical(layer) give them"
                )
            drive, pace = current[..., 0], current[..., 1]
            a = decay(dt, tau * jnp.exp(pace), drive)
            v = a * v + (1 - a) * drive
            return v, v

        return Neuron(lambda current: jnp.zeros_like(current[..., 0]), step)

    return in_ms(build)
