"""Mutants of the rules that learn in forward passes."""

SECOND = "forward(net, params, batch.x + modulation, key)"

FIRST = "trace = forward(net, params, batch.x, key)"
COSINES = "z = share * h.reshape(examples, -1) / jnp.sqrt((h**2).sum())"

SACCADE = "gate * wide(saccade * predicted)"
TEACH = (
    "to_c, to_z, slope = teach(",
    "to_c, to_z, slope = jax.tree.map(lambda a: a * losses.mean(), teach(",
)

PHI = "through(net[l], second.currents[l], layer_key(key, l), t)"

MUTANTS = [
    ("pepita", "sign of the hidden update", (("[h - m for h, m in", "[m - h for h, m in"),)),
    ("pepita", "sign of the modulation", (("batch.x + modulation", "batch.x - modulation"),)),
    (
        "pepita",
        "learns at the unmodulated input",
        (("second.inputs, strict", "trace.inputs, strict"),),
    ),
    (
        "pepita",
        "other noise in the second pass",
        ((SECOND, SECOND.replace("key)", "jax.random.fold_in(key, 1))")),),
    ),
    (
        "pepita",
        "readout learns from the first error",
        (
            (
                "through(last, second.currents[-1], k, error_of(loss, second.output, batch.y)[1])",
                "error",
            ),
        ),
    ),
    (
        "pepita",
        "F drawn anew each step",
        (
            (
                "through(last, trace.currents[-1], k, error)",
                "through(last, trace.currents[-1], k, error); state = init(key, params, batch)",
            ),
        ),
    ),
    (
        "pepita",
        "F decays",
        (("tuple(grads), state, ", "tuple(grads), State(0.9 * state.projection), "),),
    ),
    (
        "pepita",
        "scale dropped",
        (("return State(draw * jnp.asarray(scale))", "return State(draw)"),),
    ),
    ("pepita", "F not scaled by the inputs", (("(6 / first.size) ** 0.5", "1.0"),)),
    (
        "pepita",
        "phi' as in feedback alignment",
        (("taught.append(", f"taught = [{PHI} for l, t in enumerate(taught)]; taught.append("),),
    ),
    (
        "sigprop",
        "sign of the local error",
        (("jax.nn.softmax(z) - batch.y", "batch.y - jax.nn.softmax(z)"),),
    ),
    (
        "sigprop",
        "phi' dropped for the inputs",
        (("through(net[l], trace.currents[l], k, to_inputs)", "to_inputs"),),
    ),
    (
        "sigprop",
        "phi' dropped for the classes",
        (("through(net[l], classes.currents[l], c, to_classes)", "to_classes"),),
    ),
    (
        "sigprop",
        "nothing learned from the classes' signals",
        (("c, len(r) * r, heard", "c, 0 * r, heard"),),
    ),
    ("sigprop", "their mean for their sum", (("c, len(r) * r, heard", "c, r, heard"),)),
    ("sigprop", "they ignore the gate", (("spread(gates[l], outputs) * outputs", "h"),)),
    (
        "sigprop",
        "they are weighted by the gate's square",
        (("spread(gates[l], outputs) * outputs", "spread(gates[l], outputs) ** 2 * outputs"),),
    ),
    ("sigprop", "sum for mean over the batch", (("(0, 0)) / examples", "(0, 0))"),)),
    ("sigprop", "positions added up", (("share = h.shape[-1] / h[0].size", "share = 1.0"),)),
    (
        "sigprop",
        "not products, as lengths count",
        (("z = share * h.reshape(examples, -1)", COSINES),),
    ),
    (
        "sigprop",
        "classes' inputs at half their size",
        (("classes.inputs[l], c,", "classes.inputs[l] * 0.5, c,"),),
    ),
    (
        "sigprop",
        "signals drawn anew each step",
        ((FIRST, "state = init(key, params, batch); " + FIRST),),
    ),
    (
        "sigprop",
        "signals decay",
        (("tuple(grads), state, ", "tuple(grads), State(0.9 * state.contexts), "),),
    ),
    ("sigprop", "scale dropped", (("* jnp.asarray(scale, batch.x.dtype)", ""),)),
    (
        "sigprop",
        "the classes share the examples' noise",
        (("subkey = jax.random.fold_in(key, CLASSES)", "subkey = key"),),
    ),
    (
        "sigprop",
        "the readout does not learn by the loss",
        (("layer_key(key, last), error)", "layer_key(key, last), trace.output)"),),
    ),
    (
        "clapp",
        "sign of the prediction",
        (("error = saccade * other - fixation * z", "error = fixation * z - saccade * other"),),
    ),
    (
        "clapp",
        "no contrast",
        (("error = saccade * other - fixation * z", "error = 0 * saccade * other - fixation * z"),),
    ),
    (
        "clapp",
        "hinges always open",
        (("(predicted * z).sum(-1) < 1", "(predicted * z).sum(-1) < 1e9"),),
    ),
    (
        "clapp",
        "the contrast's hinge at 1",
        (("(predicted * other).sum(-1) > -1", "(predicted * other).sum(-1) > 1"),),
    ),
    ("clapp", "P for its transpose on the way back", (("wide(error @ p)", "wide(error @ p.T)"),)),
    (
        "clapp",
        "the other example is not taught",
        ((f"jnp.roll({SACCADE}", f"jnp.roll(0 * {SACCADE}"),),
    ),
    ("clapp", "the wrong example is taught", ((f"{SACCADE}, 1, 0)", f"{SACCADE}, -1, 0)"),)),
    (
        "clapp",
        "gated by the wrong example",
        ((f"jnp.roll({SACCADE}", f"gate * jnp.roll({SACCADE[7:]}"),),
    ),
    (
        "clapp",
        "phi' dropped",
        (("through(net[l], seen.currents[l], k, taught)", "taught"),),
    ),
    (
        "clapp",
        "one glimpse twice",
        (("(FIRST_GLIMPSE, SECOND_GLIMPSE)]", "(FIRST_GLIMPSE, FIRST_GLIMPSE)]"),),
    ),
    (
        "clapp",
        "P never learns",
        (("tuple(grads), State(prediction", "tuple(grads), State(state.prediction"),),
    ),
    (
        "clapp",
        "the optimiser of P forgets",
        (("State(prediction, opt), Info", "State(prediction, state.opt), Info"),),
    ),
    ("clapp", "P ignores the gate", (("(weight * error).T @ c", "error.T @ c"),)),
    ("clapp", "P learns from the sum over the batch", (("@ c / len(c)", "@ c"),)),
    ("clapp", "positions added up", (("* first.shape[-1] / first[0].size", ""),)),
    (
        "clapp",
        "hidden layers hear of the loss",
        (TEACH, ("spread(gates[l], c))", "spread(gates[l], c)))")),
    ),
]
