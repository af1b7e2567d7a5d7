"""Mutants of deep feedback control."""

MUTANTS = [
    (
        "dfc",
        "sign of the update",
        (("(alone[l] - rates[l]) / nudge", "(rates[l] - alone[l]) / nudge"),),
    ),
    ("dfc", "1 / lambda dropped", (("(alone[l] - rates[l]) / nudge", "(alone[l] - rates[l])"),)),
    (
        "dfc",
        "the current's difference for the rate's",
        (("(alone[l] - rates[l]) / nudge", "-offsets[l] / nudge"),),
    ),
    (
        "dfc",
        "against the free rates",
        (("(alone[l] - rates[l])", "([*trace.inputs[1:], trace.output][l] - rates[l])"),),
    ),
    (
        "dfc",
        "learns at the free presynaptic rates",
        (("pre = rates[l - 1] if l else batch.x", "pre = trace.inputs[l]"),),
    ),
    (
        "dfc",
        "target up the gradient",
        (("trace.output - nudge * error", "trace.output + nudge * error"),),
    ),
    ("dfc", "no leak", (("(epsilon - leak * integral)", "epsilon"),)),
    (
        "dfc",
        "no proportional control",
        (("u = integral + proportional * epsilon\n", "u = integral\n"),),
    ),
    (
        "dfc",
        "one step of control",
        (("target - trace.output), steps)", "target - trace.output), 1)"),),
    ),
    (
        "dfc",
        "the output is not controlled",
        (
            (
                "return [jnp.tensordot(u, q, 1) for q in feedback]",
                "return [jnp.tensordot(u, q, 1) for q in feedback[:-1]] + [0.0 * u]",
            ),
        ),
    ),
    ("dfc", "residual not reported", (("residual=residual", "residual=0 * residual"),)),
    (
        "dfc",
        "Q never learns",
        (
            (
                "state = align(params, state, trace, key, gates)",
                "align(params, state, trace, key, gates)",
            ),
        ),
    ),
    (
        "dfc",
        "Q learns with the wrong sign",
        (("u = (trace.output - output) / sigma", "u = (output - trace.output) / sigma"),),
    ),
    ("dfc", "Q does not decay", (("damping * g.mean(0) * q", "0 * q"),)),
    ("dfc", "Q decays behind a closed gate", (("damping * g.mean(0) * q", "damping * q"),)),
    ("dfc", "Q ignores the gate", (("g * (x + back)", "(x + back)"),)),
    ("dfc", "Q does not see its own feedback", (("g * (x + back)", "g * x"),)),
    ("dfc", "1 / sigma dropped", (("(trace.output - output) / sigma", "(trace.output - output)"),)),
    ("dfc", "one noise for all layers", (("layer_key(subkey, l)", "subkey"),)),
    ("dfc", "sum for mean in Q", (("(0, 0)) / len(u)", "(0, 0))"),)),
    (
        "dfc",
        "the optimiser of Q forgets",
        (
            (
                "optax.apply_updates(state.feedback, updates), opt)",
                "optax.apply_updates(state.feedback, updates), state.opt)",
            ),
        ),
    ),
]
