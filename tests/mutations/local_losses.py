"""Mutants of the local losses."""

from bioplaus.rules.shared import heads

BOTH = [
    ("sign of the local error", (("taught += jax", "taught -= jax"),)),
    ("phi' dropped", (("through(layer, trace.currents[l], k, taught)", "taught"),)),
    ("heads never learn", (("State(heads, opt)", "State(state.heads, opt)"),)),
    (
        "heads climb",
        (
            (
                "optax.apply_updates(state.heads, updates)",
                "jax.tree.map(jnp.subtract, state.heads, updates)",
            ),
        ),
    ),
    ("heads ignore the gate", (("error * spread(gate, error) / len(h)", "error / len(h)"),)),
    (
        "heads learn from the sum over the batch",
        (("error * spread(gate, error) / len(h)", "error * spread(gate, error)"),),
    ),
    (
        "sent down by signs of the head",
        (
            (
                "part=part, p=p: part.read(p, h), h)",
                "part=part, p=jax.tree.map(jnp.sign, p): part.read(p, h), h)",
            ),
        ),
    ),
    (
        "the last layer has the error of the layer below",
        (("if l < len(net) - 1:\n", "if l < len(net) - 2:\n"),),
    ),
]
MUTANTS = [
    *(("local_pred", *m) for m in BOTH[:7]),
    ("local_pred", "heads without their offset", (("@ p['w'] + p['b']", "@ p['w']"),), heads),
    *(("local_sim", *m) for m in BOTH[:7]),
    ("local_sim", "not centred", (("u = u - u.mean(-1, keepdims=True)", "u = 1.0 * u"),), heads),
    (
        "local_sim",
        "not normalised",
        (("u = u / jnp.where(norm > 0, norm, 1)", "u = 1.0 * u"),),
        heads,
    ),
    (
        "local_sim",
        "sum for mean over pairs",
        (
            (
                "jnp.mean((_cosines(u) - _cosines(y)) ** 2, -1)",
                "jnp.sum((_cosines(u) - _cosines(y)) ** 2, -1)",
            ),
        ),
        heads,
    ),
    ("local_sim", "labels compared without centring", (("_cosines(y))", "y @ y.T)"),), heads),
    (
        "local_sim",
        "positions of images compared by their mean",
        (("u.var(1)", "u.mean(1) ** 2"),),
        heads,
    ),
    (
        "local_losses",
        "weights swapped",
        (
            (
                "loss, prediction), similarity_head(1 - jnp.asarray(prediction))",
                "loss, 1 - jnp.asarray(prediction)), similarity_head(prediction)",
            ),
        ),
    ),
    (
        "local_losses",
        "p dropped",
        (("similarity_head(1 - jnp.asarray(prediction))", "similarity_head(1.0)"),),
    ),
    ("local_losses", "one head's error", (("taught += jax", "taught = jax"),)),
    ("local_losses", "the optimiser forgets", (("State(heads, opt)", "State(heads, state.opt)"),)),
]
