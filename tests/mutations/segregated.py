"""Mutants and cards of dendritic prediction and of segregated dendrites."""

from bioplaus.measure.card import Card
from bioplaus.rules.shared import direct, soma

READ = "through(last, trace.currents[-1], k, spread(gates[-1], signal) * signal)"
MISSED = "(rate(soma, output) - fired) * log_slope(soma, output)"
BACK = "signal = through(layer, trace.currents[l], k, signal)"
WRONG = "(rate(soma, mean) - moved) * rate(soma, mean) * log_slope(soma, mean)"
PLATEAU = "jax.nn.sigmoid(jnp.tensordot(rates, feedback, 1))"
DIFFERENCE = "_plateau(free, b) - _plateau(moved, b)"
RETURN = "return (tuple(grads), state, "

MUTANTS = [
    ("urbanczik_senn", "sign flipped", ((MISSED, f"-{MISSED}"),)),
    ("urbanczik_senn", "h dropped", ((MISSED, "rate(soma, output) - fired"),)),
    (
        "urbanczik_senn",
        "rho' for h",
        ((MISSED, f"{MISSED} * rate(soma, output)"),),
    ),
    (
        "urbanczik_senn",
        "peak forgotten",
        (("jnp.asarray(soma.peak) * _share", "_share"),),
        soma,
    ),
    ("urbanczik_senn", "no spikes", (("if spikes:", "if False:"),)),
    (
        "urbanczik_senn",
        "spikes of the untaught soma",
        (("rate(soma, taught(output, error, nudge))", "rate(soma, output)"),),
    ),
    ("urbanczik_senn", "one draw for all moments", (("jax.random.fold_in(key, t)", "key"),)),
    (
        "urbanczik_senn",
        "one spike at most",
        (
            (
                "jax.random.poisson(key, rates)",
                "(jax.random.uniform(key, rates.shape, rates.dtype) < rates)",
            ),
        ),
    ),
    ("urbanczik_senn", "gate ignored", ((READ, "through(last, trace.currents[-1], k, signal)"),)),
    (
        "urbanczik_senn",
        "hidden layers learn",
        (("jax.tree.map(jnp.zeros_like, params[:-1])", "params[:-1]"),),
    ),
    (
        "urbanczik_senn",
        "a sum over the batch",
        ((READ, f"len(batch.y) * {READ}"),),
    ),
    ("urbanczik_senn", "streams: moments counted anew", (("state.pasts[-1].t", "0"),)),
    (
        "urbanczik_senn",
        "streams: traces start anew",
        (("StreamState((), pasts, own.traces)", "StreamState((), pasts, state.traces)"),),
    ),
    (
        "urbanczik_senn",
        "streams: the net starts anew",
        (("advance(net, params, state.pasts,", "advance(net, params, None,"),),
    ),
    (
        "urbanczik_senn",
        "the teacher pushes the wrong way",
        (("output - jnp.asarray(nudge)", "output + jnp.asarray(nudge)"),),
        soma,
    ),
    ("urbanczik_senn", "threshold dropped", (("(potential - soma.threshold)", "potential"),), soma),
    ("guerguiev", "sign flipped", ((DIFFERENCE, "_plateau(moved, b) - _plateau(free, b)"),)),
    ("guerguiev", "plateaus without a sigmoid", ((PLATEAU, "jnp.tensordot(rates, feedback, 1)"),)),
    ("guerguiev", "phi' dropped", ((BACK, "pass"),)),
    ("guerguiev", "rho' dropped at the output", ((WRONG, "rate(soma, mean) - moved"),)),
    ("guerguiev", "the output learns from one phase", ((WRONG, WRONG.replace("moved", "free")),)),
    (
        "guerguiev",
        "the output's rate at each moment, then the mean",
        ((WRONG, WRONG.replace("(rate(soma, mean)", "(free")),),
    ),
    (
        "guerguiev",
        "potentials fed back, not rates",
        (("rate(soma, v)) for v", "v) for v"),),
    ),
    (
        "guerguiev",
        "all moments count",
        (("asked_moments(y).astype(h.dtype)", "jnp.ones(h.shape[:2], h.dtype)"),),
    ),
    (
        "guerguiev",
        "sums over a phase",
        (("weight / jnp.maximum(weight.sum(1, keepdims=True), 1)", "weight"),),
    ),
    ("guerguiev", "one gate for all layers", (("gates[l]", "gates[0]"),)),
    ("guerguiev", "scale dropped", (("scale / classes ** 0.5", "1 / classes ** 0.5"),), direct),
    (
        "guerguiev",
        "B decays",
        ((RETURN, RETURN.replace("state", "State(tuple((0.9 * b for b in state.feedback)))")),),
    ),
    ("guerguiev", "a sum over the batch", ((BACK, f"{BACK} * len(batch.y)"),)),
    (
        "guerguiev",
        "slope dropped",
        (("(soma.slope * (potential - soma.threshold))", "(potential - soma.threshold)"),),
        soma,
    ),
]

# Of a perceptron 7-5-6-3. A Poisson count takes at least three uniform numbers: Knuth's method
# draws one in a turn and that of large rates two, and a compiled program holds both.
CARDS = {
    "urbanczik_senn": Card(0, 0, 0, False, 1.0, 0, (0, 0, 4), 3 * 3, (0, 0, 0)),
    "guerguiev": Card(0, 0, 3 * (5 + 6), False, 1.0, 0, (5, 5, 4), 0, (0, 0, 0)),
}
