"""Mutants of spike-timing-dependent plasticity, and the cards of its rules."""

from bioplaus.rules.shared import spike_timing, unsupervised_spikes

FLAT = (
    (
        "through(last, trace.currents[-1], own, spread(gates[-1], error) * error)",
        "spread(gates[-1], error) * error",
    ),
)
TAUS = "taus = Traces(tau_plus, tau_x, tau_minus, tau_y)\n    return from_spikes('stdp'"
NONLINEAR = "nonlinear outputs: the error at the output for that at the current"
TIMING = (
    (
        "sign flipped",
        "((before.r1, -grow), (paired, shrink))",
        "((before.r1, grow), (paired, -shrink))",
    ),
    ("a spike meets itself", "return (Traces(*after), left)", "return (Traces(*after), met)"),
    ("no decay", "d=d: d * r", "d=d: r"),
    (
        "triplets of the pair's trace",
        "a.triplet_potentiation * before.o2",
        "a.triplet_potentiation * before.o1",
    ),
    ("no triplets of inputs", "x * (a.depression + a.triplet_depression * r2)", "x * a.depression"),
    ("both ways at the trace of x", "(paired, shrink)", "(before.r1, shrink)"),
    ("biases learn", "up + down if up.ndim > 1 else jnp.zeros_like(up)", "up + down"),
    ("always all spikes", "jnp.maximum if nearest else jnp.add", "jnp.add"),
    ("moments of 1 ms", "decay(dt, tau, like) for tau", "decay(1.0, tau, like) for tau"),
    ("no trace of what a layer hears", "heard=heard)", "heard=spikes.arriving[1])"),
    ("theta rises with the batch", "z.mean(0)", "z.sum(0)"),
    ("theta stays", "fade ** moments * theta", "theta"),
    ("theta knows the sum alone", "tensordot(left, z", "tensordot(jnp.ones_like(left), z"),
    (
        "traces of a stream start anew",
        "at_rest(arriving, z) if kept is None else kept.traces",
        "at_rest(arriving, z)",
    ),
)
RULE = (
    ("thresholds fall", "1 / (1 + a[None, None])", "1 + a[None, None]"),
    (
        "thresholds are not those of the answer",
        "predictor(excitable(state.theta))",
        "predictor(net)",
    ),
    ("thresholds are not those of learning", "forward(excitable(state.theta)", "forward(net"),
    (
        "the readout climbs",
        "spread(gates[-1], error) * error)\n        grads += ",
        "-spread(gates[-1], error) * error)\n        grads += ",
    ),
)
REWARDED = (
    ("gate ignored", "factor = spread(gate, z)", "factor = jnp.ones_like(z)"),
    ("the eligibility does not decay", "now + fade * later", "now + later"),
    ("rewards meet what comes after them", "time_first, reverse=True)", "time_first)"),
    ("no eligibility within a piece", "factor = gathered(factor, fade)", "pass"),
    ("pieces know no older eligibility", "g + jnp.einsum('b...n,bn->...n', e, met)", "g"),
    (
        "the eligibility does not decay into a piece",
        "met = fade * factor[:, 0]",
        "met = factor[:, 0]",
    ),
    ("the eligibility stays along a stream", "fade ** moments * old", "old"),
    (
        "a piece leaves all of its eligibility",
        "left = fade ** jnp.arange(moments - 1, -1, -1)\n\n    def",
        "left = jnp.ones(moments)\n\n    def",
    ),
)

MUTANTS = [
    *(("stdp", name, ((old, new),), spike_timing) for name, old, new in TIMING),
    *(("stdp", name, ((old, new),), unsupervised_spikes) for name, old, new in RULE),
    ("stdp", "depression by tau_plus", ((TAUS, TAUS.replace("tau_minus", "tau_plus")),)),
    *(("rstdp", name, ((old, new),), spike_timing) for name, old, new in REWARDED),
    *((key, NONLINEAR, FLAT, unsupervised_spikes) for key in ("stdp", "rstdp")),
]
