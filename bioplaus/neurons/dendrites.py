"""Neurons of two compartments: a soma that fires, between a basal and an apical dendrite.

    du/dt = -g_L u + g_B (B - u) + g_A (A - u),    z = H(u - theta),    u <- reset
u: [B, n] potential of the soma;  B, A: [B, n] potentials of the basal and the apical dendrite;
g_L, g_B, g_A: conductances of the leak and to the dendrites, 1/ms;  z: [B, n] spikes;  theta:
threshold.

The current has an axis more, [B, n, 2]: B = current[..., 0] and A = current[..., 1] are the
potentials that the synapses of each dendrite give it; `bioplaus.layers.basal` and `apical` make
such currents.

Guerguiev, Lillicrap, Richards, "Towards deep learning with segregated dendrites", 2017,
doi:10.7554/eLife.22901.
"""

import jax
import jax.numpy as jnp

from bioplaus.hyper import NonNegative, Positive, declared
from bioplaus.neurons.resets import Reset, check_decay, subtract
from bioplaus.neurons.spiking import TRIANGLE, in_ms
from bioplaus.neurons.surrogate import Surrogate, spike
from bioplaus.types import Neuron


@declared
def two_compartment(
    leak: NonNegative = 0.1,
    basal: Positive = 0.6,
    apical: NonNegative = 0.05,
    *,
    threshold: Positive = 1.0,
    reset: Reset = subtract,
    surrogate: Surrogate = TRIANGLE,
    detached: bool = True,
) -> Neuron:
    """A leaky integrate-and-fire soma with two dendrites. State: u [B, n].

    du/dt = -g_L u + g_B (B - u) + g_A (A - u),  z = 1 where u > threshold, else 0,  u <- reset.
    B, A: potentials of the basal and the apical dendrite, current[..., 0] and [..., 1] of the
    current [B, n, 2], which `bp.basal(layer)` and `bp.apical(layer)` give.
    Dendritic potentials are held for a moment, in which the soma is integrated exactly:
    u <- k + exp(-g dt) (u - k),  g = g_L + g_B + g_A,  k = (g_B B + g_A A) / g.
    leak, basal, apical: g_L, g_B, g_A, 1/ms, by default those of the paper's code. At g_A = 0 the
    apical dendrite does not reach the soma. Other arguments as of `lif`.

    As `leaky`, it is the same at any dt for inputs that are values, not for spikes. Departures: the
    paper's soma sends Poisson spikes at the rate sigmoid(u), and its dendrites are filters of
    spikes, which `synaptic` gives; its plateau potentials, means of A over a phase, belong to its
    learning rule. Guerguiev, Lillicrap, Richards, "Towards deep learning with segregated
    dendrites", 2017, doi:10.7554/eLife.22901. Raises ValueError for a current of another shape.

        over_time(bp.basal(dense(100, two_compartment())))
    """

    def build(dt):
        def init(current):
            return jnp.zeros_like(current[..., 0])

        def step(state, current, key):
            del key
            if current.ndim < 3 or current.shape[-1] != 2:
                raise ValueError(
                    f"two_compartment: the current is {current.shape}, expected [B, n, 2], of the"
                    " basal and the apical dendrite; bp.basal(layer) and bp.apical(layer) give it"
                )
            sum_of_all = leak + basal + apical
            check_decay("two_compartment", reset, dt, 1 / sum_of_all)
            g = jnp.asarray(sum_of_all, current.dtype)
            k = (basal * current[..., 0] + apical * current[..., 1]) / g
            a = jnp.exp(-g * dt)
            u = k + a * (state - k)
            z = spike((u - threshold) / threshold, surrogate)
            return reset(u, jax.lax.stop_gradient(z) if detached else z, threshold, a), z

        return Neuron(init, step, spikes=True)

    return in_ms(build)
