"""Mutants of the Hebbian and competitive rules."""

SIGN = (("-g if g.ndim > 1 else d", "g if g.ndim > 1 else d"),)
UNCENTRED = (("trace.currents[l] - rest,", "trace.currents[l],"),)
PRE = (("jax.tree.map(jnp.subtract, *parts)", "parts[0]"),)
FROZEN_MEAN = (("averaging * (x.mean(0) - m)", "averaging * 0 * m"),)
BIAS = (("-g if g.ndim > 1 else d,", "-g if g.ndim > 1 else -d,"),)
SUM = (("/ len(seen.u)", "/ 1"),)
BOUND_GATE = (("(spread(gate, s) * s * seen.u).sum", "(s * seen.u).sum"),)
COUPLED = (("trace.currents[-1], k[-1], error)", "trace.currents[-1], k[-1], -error)"),)
NO_DECAY = (("g - decay * w if", "g - 0 * decay * w if"),)
DECAY_BY_POST = (("(spread(gate, s) * s * seen.u).sum", "(spread(gate, s) * s * s).sum"),)

MUTANTS = [
    ("hebb", "sign flipped", (("-h[l + 1]", "h[l + 1]"),)),
    ("hebb", "current for the output", (("-h[l + 1]", "-trace.currents[l]"),)),
    ("hebb", "gate ignored", (("-h[l + 1], gates[l])", "-h[l + 1], None)"),)),
    ("hebb", "the readout climbs", COUPLED),
    ("oja", "sign flipped", SIGN),
    ("oja", "Sanger's rule", (("_decorrelating(lambda m: m)", "_decorrelating(jnp.triu)"),)),
    ("oja", "every unit alone", (("_decorrelating(lambda m: m)", "_decorrelating(lambda m: jnp.diag(jnp.diag(m)))"),)),
    ("oja", "no decay", (("jnp.tensordot(w, m, 1)", "0 * w"),)),
    ("oja", "data not centred", UNCENTRED),
    ("oja", "presynaptic activity not centred", PRE),
    ("oja", "sum for mean in the decay", SUM),
    ("sanger", "the subspace rule", (("_decorrelating(jnp.triu)", "_decorrelating(lambda m: m)"),)),
    ("sanger", "the lower triangle", (("_decorrelating(jnp.triu)", "_decorrelating(jnp.tril)"),)),
    ("sanger", "without the unit itself", (("_decorrelating(jnp.triu)", "_decorrelating(lambda m: jnp.triu(m, 1))"),)),
    ("sanger", "gate ignored in the decay", (("spread(gate, seen.u) * seen.u)", "seen.u)"),)),
    ("sanger", "the mean does not follow", FROZEN_MEAN),
    ("bcm", "the mean for the mean square", (("seen.u**2 / target", "seen.u / target"),)),
    ("bcm", "no threshold", (("seen.u * (seen.u - seen.theta)", "seen.u * seen.u"),)),
    ("bcm", "sign flipped", SIGN),
    ("bcm", "the threshold stands still", (("seen.theta + rate * change", "seen.theta + 0 * rate * change"),)),
    ("bcm", "target dropped and halved", (("seen.u**2 / target", "seen.u**2 / (2 * target)"),)),
    ("softhebb", "sign flipped", SIGN),
    ("softhebb", "post for current in the decay", DECAY_BY_POST),
    ("softhebb", "no decay", NO_DECAY),
    ("softhebb", "temperature multiplies", (("seen.u / temperature", "seen.u * temperature"),)),
    ("softhebb", "rate by the norm dropped", (("jnp.abs(norm - 1) ** power", "1"),)),
    ("softhebb", "softmax over the batch", (("competition(seen.u / temperature)", "competition(seen.u.T / temperature).T"),)),
    ("softhebb", "biases drift away", BIAS),
    ("softhebb", "gate ignored in the decay", BOUND_GATE),
    ("krotov", "sign flipped", SIGN),
    ("krotov", "the loser is drawn as well", (("-jnp.asarray(delta", "jnp.asarray(delta"),)),
    ("krotov", "every unit up to rank k loses", (("seen.u == best[..., -1:]", "seen.u >= best[..., -1:]"),)),
    ("krotov", "no decay", NO_DECAY),
    ("krotov", "gate ignored in the decay", BOUND_GATE),
]
