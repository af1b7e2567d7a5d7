"""Mutants of the rules that learn in forward passes."""

SECOND = "forward(net, params, batch.x + modulation, key)"

FIRST = "        trace = forward(net, params, batch.x, key)\n"
COSINES = "z = share * h.reshape(examples, -1) / jnp.sqrt((h**2).sum())"

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
    ("sigprop", "sign of the local error", (("jax.nn.softmax(z) - batch.y", "batch.y - jax.nn.softmax(z)"),)),
    ("sigprop", "phi' dropped for the inputs", (("through(net[l], trace.currents[l], k, to_inputs)", "to_inputs"),)),
    ("sigprop", "phi' dropped for the classes", (("through(net[l], classes.currents[l], c, to_classes)", "to_classes"),)),
    ("sigprop", "nothing learned from the classes' signals", (("c, len(r) * r)", "c, 0 * r)"),)),
    ("sigprop", "their mean for their sum", (("c, len(r) * r)", "c, r)"),)),
    ("sigprop", "they ignore the gate", (("spread(gates[l], h) * h", "h"),)),
    ("sigprop", "they are weighted by the gate's square", (("spread(gates[l], h) * h", "spread(gates[l], h) ** 2 * h"),)),
    ("sigprop", "sum for mean over the batch", (("(0, 0)) / examples", "(0, 0))"),)),
    ("sigprop", "positions added up", (("share = h.shape[-1] / h[0].size", "share = 1.0"),)),
    ("sigprop", "not products, as lengths count", (("z = share * h.reshape(examples, -1)", COSINES),)),
    ("sigprop", "classes' inputs at half their size", (("classes.inputs[l], c,", "classes.inputs[l] * 0.5, c,"),)),
    ("sigprop", "signals drawn anew each step", ((FIRST, "        state = init(key, params, batch)\n" + FIRST),)),
    ("sigprop", "signals decay", (("return tuple(grads), state, ", "return tuple(grads), State(0.9 * state.contexts), "),)),
    ("sigprop", "scale dropped", (("* jnp.asarray(scale, batch.x.dtype)", ""),)),
    ("sigprop", "the classes share the examples' noise", (("own = jax.random.fold_in(key, 0x516)", "own = key"),)),
    (
        "sigprop",
        "the readout does not learn by the loss",
        (("layer_key(key, last), error)", "layer_key(key, last), trace.output)"),),
    ),
]
