"""Mutants of the rules that learn in forward passes."""

SECOND = "forward(net, params, batch.x + modulation, key)"

PHI = "        taught = [through(net[l], second.currents[l], layer_key(key, l), t) for l, t in enumerate(taught)]\n"

MUTANTS = [
    ("pepita", "sign of the hidden update", (("[h - m for h, m in", "[m - h for h, m in"),)),
    ("pepita", "sign of the modulation", (("batch.x + modulation", "batch.x - modulation"),)),
    ("pepita", "learns at the unmodulated input", (("second.inputs[l], layer_key", "trace.inputs[l], layer_key"),)),
    ("pepita", "other noise in the second pass", ((SECOND, SECOND.replace("key)", "jax.random.fold_in(key, 1))")),)),
    (
        "pepita",
        "readout learns from the first error",
        (("through(net[-1], second.currents[-1], layer_key(key, len(net) - 1), last)", "error"),),
    ),
    (
        "pepita",
        "F drawn anew each step",
        (
            (
                '        with jax.named_scope("credit"), jax',
                '        state = init(key, params, batch)\n        with jax.named_scope("credit"), jax',
            ),
        ),
    ),
    ("pepita", "F decays", (("return tuple(grads), state, ", "return tuple(grads), State(0.9 * state.projection), "),)),
    ("pepita", "scale dropped", (("return State(draw * jnp.asarray(scale))", "return State(draw)"),)),
    ("pepita", "F not scaled by the inputs", (("(6 / batch.x[0].size) ** 0.5", "1.0"),)),
    (
        "pepita",
        "phi' as in feedback alignment",
        (
            (
                "        last = error_of",
                PHI + "        last = error_of",
            ),
        ),
    ),
]
