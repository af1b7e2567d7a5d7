"""Mutants of differentiable plasticity, and of modulated time constants."""

PLASTIC, TESTS = "bioplaus.layers.plastic", "tests/time/test_plastic.py"
PACED, OF_PACE = "bioplaus.neurons.paced", "tests/neurons/test_paced.py"

MUTANTS = [
    (PACED, "faster for slower", (("jnp.exp(pace)", "jnp.exp(-pace)"),), OF_PACE),
    (PACED, "one pace for all", (("tau * jnp.exp(pace)", "tau"),), OF_PACE),
    (PACED, "a moment of 1 ms at any dt", (("decay(dt,", "decay(1.0,"),), OF_PACE),
    (
        PACED,
        "drive and pace exchanged",
        (("(current[..., 0], current[..., 1])", "(current[..., 1], current[..., 0])"),),
        OF_PACE,
    ),
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
