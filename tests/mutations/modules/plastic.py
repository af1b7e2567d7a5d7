"""Mutants of differentiable plasticity."""

PLASTIC, TESTS = "bioplaus.layers.plastic", "tests/time/test_plastic.py"

MUTANTS = [
    (
        PLASTIC,
        "traces do not act",
        (("params['alpha'] * trace)", "params['alpha'] * 0 * trace)"),),
        TESTS,
    ),
    (PLASTIC, "the trace adds up", (("(1 - params['eta']) * trace", "trace"),), TESTS),
    (
        PLASTIC,
        "currents are written",
        (("x[:, :, None] * h[:, None]", "x[:, :, None] * current[:, None]"),),
        TESTS,
    ),
    (
        PLASTIC,
        "no bound",
        (
            (
                "jnp.clip(trace + written[:, None] * pairs, -1, 1)",
                "trace + written[:, None] * pairs",
            ),
        ),
        TESTS,
    ),
    (
        PLASTIC,
        "modulation without a sign",
        (("jnp.tanh(h @ params['u'])", "jnp.abs(jnp.tanh(h @ params['u']))"),),
        TESTS,
    ),
    (
        PLASTIC,
        "neurons with a state are taken",
        (("if jax.tree.leaves(jax.eval_shape(", "if False and jax.tree.leaves(jax.eval_shape("),),
        TESTS,
    ),
]
