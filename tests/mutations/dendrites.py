"""Mutants of burst-dependent plasticity and of the dendritic microcircuit."""

SEND_P = "send(up, p, state.cancel[l + 1], r, k[l + 1], fire(up, w, k[l + 1]))"

MUTANTS = [
    (
        "burstprop",
        "pbar dropped",
        (
            (
                "(jax.nn.sigmoid(rest + change) - p_bar) * event",
                "jax.nn.sigmoid(rest + change) * event",
            ),
        ),
    ),
    (
        "burstprop",
        "pbar held at 1/2",
        (("p_bar = jax.nn.sigmoid(rest)", "p_bar = 0.5 + 0 * rest"),),
    ),
    (
        "burstprop",
        "1 / e dropped",
        (("send(*upper, b)) / rate", "send(*upper, b))"),),
    ),
    (
        "burstprop",
        "phi' dropped",
        (
            (
                "slope * through(net[l], a, k, send(*upper, b))",
                "slope * send(*upper, b)",
            ),
        ),
    ),
    ("burstprop", "B replaced by W", (("state.feedback[l + 1]", "params[l + 1]"),)),
    ("burstprop", "sign of the error", (("-jnp.asarray(nudge) * through", "nudge * through"),)),
    ("burstprop", "1 / kappa dropped", (("-taught / nudge", "-taught"),)),
    (
        "burstprop",
        "inhibition of all or nothing",
        (("(1 - inhibition) * drive", "jnp.round(1 - inhibition) * drive"),),
    ),
    (
        "burstprop",
        "linear burst probability",
        (("(jax.nn.sigmoid(rest + change) - p_bar)", "0.25 * change"),),
    ),
    ("burstprop", "scale dropped", (("lambda b: scale * b", "lambda b: b"),)),
    ("burstprop", "division by no events", (("jnp.where(event == 0, 1, event)", "event"),)),
    ("burstprop", "bursts without events", (("- p_bar) * event", "- p_bar)"),)),
    ("burstprop", "one gate for all layers", (("gates[l])", "gates[0])"),)),
    ("dendritic_microcircuit", "no cancellation", ((f"down + {SEND_P}", f"down + 0 * {SEND_P}"),)),
    (
        "dendritic_microcircuit",
        "P starts at +B",
        (("jax.tree.map(jnp.negative, feedback)", "feedback"),),
    ),
    (
        "dendritic_microcircuit",
        "interneurons start as B",
        (("((), *params[1:]), jax", "feedback, jax"),),
    ),
    (
        "dendritic_microcircuit",
        "interneurons not taught",
        (("w = m + teaching * (above - m)", "w = m"),),
    ),
    (
        "dendritic_microcircuit",
        "interneurons copy the layer above",
        (("w = m + teaching * (above - m)", "w = above"),),
    ),
    (
        "dendritic_microcircuit",
        "apical potentials of one sweep",
        (("trace.currents, steps)", "trace.currents, 1)"),),
    ),
    (
        "dendritic_microcircuit",
        "learns at the forward activities",
        (
            (
                "pull(layer, params[l], r[l], k[l], signal",
                "pull(layer, params[l], trace.inputs[l], k[l], signal",
            ),
        ),
    ),
    (
        "dendritic_microcircuit",
        "potentials for rates in dW",
        (("(fire(layer, a[l], k[l]) - fire(layer, u[l], k[l]))", "(a[l] - u[l])"),),
    ),
    ("dendritic_microcircuit", "sign of the nudge", (("a[last] - nudge *", "a[last] + nudge *"),)),
    ("dendritic_microcircuit", "attenuation left in", (("** (last - l)", "** 0"),)),
    (
        "dendritic_microcircuit",
        "B replaced by W",
        (("send(up, p, state.feedback[l + 1]", "send(up, p, params[l + 1]"),),
    ),
    (
        "dendritic_microcircuit",
        "I learns with the wrong sign",
        (("fire(up, m, k[l + 1]) - rate", "rate - fire(up, m, k[l + 1])"),),
    ),
    (
        "dendritic_microcircuit",
        "P never learns",
        (("tuple(cancel))", "jax.tree.map(jnp.zeros_like, tuple(cancel)))"),),
    ),
    (
        "dendritic_microcircuit",
        "P learns a sum over the batch",
        (("* rate / len(rate)", "* rate"),),
    ),
    (
        "dendritic_microcircuit",
        "residual not reported",
        (("residual=residual", "residual=residual + 1"),),
    ),
]
