"""Mutants of the Hebbian and competitive rules."""

from bioplaus.rules.shared import growth, unsupervised

SIGN = (("-g if g.ndim > 1 else d", "g if g.ndim > 1 else d"),)
UNCENTRED = (("u = current - rest", "u = current"),)
PRE = (("jax.tree.map(jnp.subtract, *parts)", "parts[0]"),)
FROZEN_MEAN = (("averaging * (data.x.mean(0).reshape(m.shape) - m)", "averaging * 0 * m"),)
BIAS = (("-g if g.ndim > 1 else d,", "-g if g.ndim > 1 else -d,"),)
SUM = (("m = part(u.T @ gated) / (len(s) *", "m = part(u.T @ gated) / (1 *"),)
BOUND_GATE = (("(spread(gate, s) * s * data.u).sum", "(s * data.u).sum"),)
LENGTH = (("jnp.asarray(length, s.dtype) ** 2", "jnp.asarray(length, s.dtype)"),)
OF_U = "_rebuilt(lambda data: data.u, "
COUPLED = (("trace.currents[-1], k[-1], error)", "trace.currents[-1], k[-1], -error)"),)
NO_DECAY = (("g - decay * w if", "g - 0 * decay * w if"),)
DECAY_BY_POST = (("(spread(gate, s) * s * data.u).sum", "(spread(gate, s) * s * s).sum"),)

MUTANTS = [
    ("hebb", "sign flipped", SIGN, unsupervised),
    ("hebb", "current for the output", (("lambda data: data.h", "lambda data: data.u"),)),
    ("hebb", "no inhibition", (("jnp.asarray(inhibition) * m", "0 * m"),)),
    (
        "hebb",
        "post and current exchanged in the inhibition",
        (("part(u.T @ gated)", "part((u.T @ gated).T)"),),
        growth,
    ),
    (
        "hebb",
        "R for R^2",
        (("jnp.asarray(length, u.dtype) ** 2", "jnp.asarray(length, u.dtype)"),),
        growth,
    ),
    ("hebb", "biases always settle", (("if homeostasis:", "if True:"),), unsupervised),
    (
        "hebb",
        "the odd example is left out of the mean",
        (("odd + x[-1] if len(x) % 2 else odd", "odd"),),
        growth,
    ),
    ("hebb", "the readout climbs", COUPLED, unsupervised),
    ("oja", "sign flipped", SIGN, unsupervised),
    ("oja", "Sanger's rule", ((OF_U + "lambda m: m", OF_U + "jnp.triu"),)),
    (
        "oja",
        "every unit alone",
        ((OF_U + "lambda m: m", OF_U + "lambda m: jnp.diag(jnp.diag(m))"),),
    ),
    ("oja", "no decay", (("jnp.tensordot(w, m, 1)", "0 * w"),), growth),
    ("oja", "data not centred", UNCENTRED, unsupervised),
    ("oja", "presynaptic activity not centred", PRE, growth),
    ("oja", "sum for mean in the decay", SUM, growth),
    ("sanger", "the subspace rule", ((OF_U + "jnp.triu", OF_U + "lambda m: m"),)),
    ("sanger", "the lower triangle", ((OF_U + "jnp.triu", OF_U + "jnp.tril"),)),
    (
        "sanger",
        "without the unit itself",
        ((OF_U + "jnp.triu", OF_U + "lambda m: jnp.triu(m, 1)"),),
    ),
    (
        "sanger",
        "gate ignored in the decay",
        (("(data.u, spread(gate, s) * s)", "(data.u, s)"),),
        growth,
    ),
    ("sanger", "the mean does not follow", FROZEN_MEAN, unsupervised),
    ("bcm", "the mean for the mean square", (("data.u ** 2 / target", "data.u / target"),)),
    ("bcm", "no threshold", (("data.u * (data.u - data.theta)", "data.u * data.u"),)),
    ("bcm", "sign flipped", SIGN, unsupervised),
    (
        "bcm",
        "the threshold stands still",
        (("data.theta + rate * change", "data.theta + 0 * rate * change"),),
    ),
    ("bcm", "target dropped and halved", (("data.u ** 2 / target", "data.u**2 / (2 * target)"),)),
    ("softhebb", "sign flipped", SIGN, unsupervised),
    (
        "softhebb",
        "post for current in the decay",
        (("part(u.T @ gated)", "part(s.reshape(-1, s.shape[-1]).T @ gated)"),),
        growth,
    ),
    (
        "softhebb",
        "no inhibition",
        (("(identity + jnp.asarray(inhibition, m.dtype) * (1 - identity))", "identity"),),
    ),
    (
        "softhebb",
        "no decay",
        (
            (
                "product(data, s, gate), decay)",
                "product(data, s, gate), jax.tree.map(jnp.zeros_like, decay))",
            ),
        ),
        growth,
    ),
    (
        "softhebb",
        "R for R^2",
        (("jnp.asarray(length, u.dtype) ** 2", "jnp.asarray(length, u.dtype)"),),
        growth,
    ),
    ("softhebb", "temperature multiplies", (("data.u / temperature", "data.u * temperature"),)),
    ("softhebb", "rate by the norm dropped", (("jnp.abs(norm / length - 1) ** power", "1"),)),
    (
        "softhebb",
        "softmax over the batch",
        (("competition(data.u / temperature)", "competition(data.u.T / temperature).T"),),
    ),
    ("softhebb", "biases drift away", BIAS, unsupervised),
    ("softhebb", "gate ignored in the decay", BOUND_GATE),
    ("krotov", "sign flipped", SIGN, unsupervised),
    ("krotov", "the loser is drawn as well", (("-jnp.asarray(delta", "jnp.asarray(delta"),)),
    ("krotov", "every unit up to rank k loses", (("data.u == lower.max", "data.u >= lower.max"),)),
    ("krotov", "the unit after rank k loses", (("range(rank - 1)", "range(rank)"),)),
    ("krotov", "no decay", NO_DECAY),
    ("krotov", "R for R^2", LENGTH),
    ("krotov", "gate ignored in the decay", BOUND_GATE),
    ("krotov", "post for current in the decay", DECAY_BY_POST),
]
