"""Spike-timing-dependent plasticity: hidden layers learn from the order of spikes, and the readout
alone from the labels.

    dW_l = (1/B) sum_t M_t e_t,    e_t = lambda e_{t-1} + stdp_t
    stdp_t = r1_t^T z_t (A2+ + A3+ o2_t) - x_t^T o1_t (A2- + A3- r2_t)
    r1, r2: traces of x (tau_plus, tau_x),    o1, o2: traces of z (tau_minus, tau_y),
    r_t = exp(-dt / tau) (r_{t-1} + x_{t-1})
x: [B, T, n_in] spikes that arrive, z: [B, T, n] spikes of the layer;  r, o: what is left at moment
t of spikes BEFORE t, so that a spike does not meet itself and two at once are no pair;  M: [B, T,
n] third factor, the `gate` of `rule.grad`, 1 where that is None;  e: eligibility, where lambda =
exp(-dt / tau_eligibility), and 0 for `stdp`;  A: amplitudes. Rules return -dW, to be descended.
Without A3 this is the rule of pairs. A layer that hears itself learns both of its weights: its own
synapses receive z_{t-1}. Biases do not learn: no spike arrives there.

Homeostasis: theta_t = exp(-dt / tau_theta) theta_{t-1} + theta_plus (1/B) sum_b z_t, for each unit.
From the next call on, in `grad` and `predict`, thresholds are (1 + theta) times as high: currents
are scaled by 1 / (1 + theta), which for a LIF is the same.

Pfister, Gerstner, "Triplets of spikes in a model of spike timing-dependent plasticity", 2006,
doi:10.1523/JNEUROSCI.1425-06.2006. Rewards: Florian, "Reinforcement learning through modulation of
spike-timing-dependent synaptic plasticity", 2007, doi:10.1162/neco.2007.19.6.1468; Izhikevich,
"Solving the distal reward problem through linkage of STDP and dopamine signaling", 2007,
doi:10.1093/cercor/bhl152. theta: Diehl, Cook, "Unsupervised learning of digit recognition using
spike-timing-dependent plasticity", 2015, doi:10.3389/fncom.2015.00099.
Departures: moments of dt; theta moves after a call, as weights do, by the mean over the batch.
"""

from bioplaus.entry import learning_rule
from bioplaus.hyper import NonNegative, Positive
from bioplaus.rules.shared.spike_timing import Amplitudes, Numbers, Traces
from bioplaus.rules.shared.unsupervised_spikes import from_spikes
from bioplaus.types import Loss, Net, OverTime, Rule

SPIKES = OverTime(
    moment="it learns from the order of spikes in time",
    rates="it learns from spikes, which these neurons do not send",
    streams=True,
)


@learning_rule(time=SPIKES)
def stdp(
    net: Net,
    loss: Loss,
    *,
    potentiation: NonNegative = 5e-10,
    depression: NonNegative = 7e-3,
    triplet_potentiation: NonNegative = 6.2e-3,
    triplet_depression: NonNegative = 2.3e-4,
    tau_plus: Positive = 16.8,
    tau_minus: Positive = 33.7,
    tau_x: Positive = 101.0,
    tau_y: Positive = 125.0,
    nearest: bool = False,
    theta_plus: NonNegative = 0.0,
    tau_theta: Positive = 1e7,
) -> Rule:
    """Unsupervised, from triplets of spikes or from pairs, in nets whose hidden layers fire.

    potentiation, depression, triplet_potentiation, triplet_depression: A2+, A2-, A3+, A3-, in units
    of the weights. tau_plus, tau_minus, tau_x, tau_y: ms, of r1, o1, r2, o2. The defaults are
    Pfister and Gerstner's fit to visual cortex, all spikes, full model (their table 4, from memory
    and from NEST's triplet synapse, which has other amplitudes). nearest: traces know the last
    spike alone. theta_plus, tau_theta: homeostasis, per spike and in ms; at theta_plus = 0 there is
    none. Weights have no bounds: chain `bp.optim.projections` behind the optimiser, `bounded` and
    `normalised` (synaptic scaling).

        pairs = {"triplet_potentiation": 0.0, "triplet_depression": 0.0}
        rule = bp.rules.stdp(net, loss, potentiation=0.01, depression=0.0105, **pairs)

    Needs affine synapses, such as bp.dense. On a stream the last layer runs over time, too.

    Cost, in the letters of docs/rules.md: F forward, no credit but 2 n_{l-1} + 2 n_l decays a
    moment and layer, 2 H + the readout's MACs update. Inputs of 0 and 1 make sums of them.
    """
    amplitudes = Amplitudes(potentiation, depression, triplet_potentiation, triplet_depression)
    taus = Traces(tau_plus, tau_x, tau_minus, tau_y)
    return from_spikes("stdp", net, loss, Numbers(amplitudes, taus, nearest, theta_plus, tau_theta))


@learning_rule(time=SPIKES)
def rstdp(
    net: Net,
    loss: Loss,
    *,
    potentiation: NonNegative = 5e-10,
    depression: NonNegative = 7e-3,
    triplet_potentiation: NonNegative = 6.2e-3,
    triplet_depression: NonNegative = 2.3e-4,
    tau_plus: Positive = 16.8,
    tau_minus: Positive = 33.7,
    tau_x: Positive = 101.0,
    tau_y: Positive = 125.0,
    tau_eligibility: Positive = 25.0,
    nearest: bool = False,
    theta_plus: NonNegative = 0.0,
    tau_theta: Positive = 1e7,
) -> Rule:
    """Rewarded: spikes leave an eligibility at each synapse, and the gate of `rule.grad` tells when
    and how much of it becomes a change. A gate of 0 changes nothing; None is 1 throughout.

    tau_eligibility: ms, as in Florian, 2007; Izhikevich, 2007, has 1 s. Others: see `stdp`. A
    reward R [B] at the end of T moments is a gate [B, T, 1] that is 0 before:

        late = jnp.zeros((B, T, 1)).at[:, -1, 0].set(R)
        rule.grad(params, state, batch, key, gate=(late, None))    # of a layer and its readout

    A gate [B], as of dopamine, holds at all moments. `bp.fixed` keeps a readout as it is.

    Cost, in the letters of docs/rules.md: as `stdp`. Whole sequences need no trace for each
    synapse; on a stream they take B |W_l| numbers a hidden layer, and once more its update.
    """
    amplitudes = Amplitudes(potentiation, depression, triplet_potentiation, triplet_depression)
    taus = Traces(tau_plus, tau_x, tau_minus, tau_y)
    numbers = Numbers(amplitudes, taus, nearest, theta_plus, tau_theta, tau_eligibility)
    return from_spikes("rstdp", net, loss, numbers)
