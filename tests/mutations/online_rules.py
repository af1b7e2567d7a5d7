"""Mutants of RTRL, OTTT and DECOLLE."""

WHAT = "nonlinear outputs: "
INSTANT = "instant(layer, neurons, current, k, signal)"
THROUGH = "through(net[l], trace.currents[l], k, spread(gates[l], signal) * signal)"
NET_ERROR = "jnp.tensordot(error, each[1], [[-1], [-1]]) * jnp.ones_like(each[2])"

MUTANTS = [
    ("rtrl", "gate ignored", (("weighted(g, jnp.ones_like(losses))", "jnp.ones_like(losses)"),)),
    (
        "rtrl",
        "one gate for all layers",
        (("in enumerate(gates)", "in enumerate(gates[:1] * len(gates))"),),
    ),
    ("rtrl", "a sum over the batch", (("/ len(losses)", "/ 1"),)),
    (
        "rtrl",
        "one parameter too many",
        (
            (
                "jnp.eye(theta.size, dtype=theta.dtype)",
                "jnp.eye(theta.size, dtype=theta.dtype).at[0, 1].set(1)",
            ),
        ),
    ),
    (
        "rtrl",
        "streams: what parameters have done is forgotten",
        (("StreamState((), pasts, tangents)", "StreamState((), pasts, state.traces)"),),
    ),
    (
        "rtrl",
        "streams: the net starts anew",
        (("StreamState((), pasts, tangents)", "StreamState((), state.pasts, tangents)"),),
    ),
    (
        "rtrl",
        WHAT + "the loss of currents",
        (("loss(trace.output, batch.y)", "loss(trace.currents[-1], batch.y)"),),
    ),
    ("ottt", "inputs of the moment alone", (("return (mean(sums.inputs), ", "return (x, "),)),
    ("ottt", "what it heard, of the moment alone", (("jax.tree.map(mean, sums.heard)", "heard"),)),
    (
        "ottt",
        "biases count one moment",
        (("count * gated, heard=heard_bar", "gated, heard=heard_bar"),),
    ),
    ("ottt", "phi' dropped", ((INSTANT, "signal"),)),
    ("ottt", "errors go back in time", ((INSTANT, "through(layer, current, k, signal)"),)),
    ("ottt", "gates stop the error below", (("k, at_current, heard)", "k, gated, heard)"),)),
    ("ottt", "uphill", (("signal, grads = (error,", "signal, grads = (-error,"),)),
    (
        "ottt",
        "streams: sums start anew",
        (("StreamState((), pasts, traces)", "StreamState((), pasts, state.traces)"),),
    ),
    (
        "ottt",
        "streams: neurons start anew",
        (("advance(net, params, state.pasts,", "advance(net, params, None,"),),
    ),
    (
        "ottt",
        WHAT + "the path ends at the output",
        (
            (
                "at_current = through(layer, current, k, signal)",
                "at_current = through(layer, current, k, signal) if l < len(net) - 1 else signal",
            ),
        ),
    ),
    (
        "decolle",
        "phi' dropped",
        (("through(net[l], trace.currents[l], k, spread(gates[l], signal) * signal)", "signal"),),
    ),
    ("decolle", "gate ignored", (("k, spread(gates[l], signal) * signal)", "k, signal)"),)),
    (
        "decolle",
        "one gate for all layers",
        (("k, spread(gates[l], signal)", "k, spread(gates[0], signal)"),),
    ),
    ("decolle", "scale dropped", (("scale / n ** 0.5", "1 / n ** 0.5"),)),
    (
        "decolle",
        "a sum over moments for one label",
        (("each(answer) / answer.shape[1]", "each(answer)"),),
    ),
    (
        "decolle",
        "readouts drawn anew",
        (
            (
                "taught(state, trace, error, batch.y)",
                "taught(init(key, params, batch), trace, error, batch.y)",
            ),
        ),
    ),
    (
        "decolle",
        "the net's error for the layer's own",
        (
            (
                "[*(local_error(*each, y) for each in hidden), error]",
                f"[*({NET_ERROR} for each in hidden), error]",
            ),
        ),
    ),
    (
        "decolle",
        "streams: traces start anew",
        (
            (
                "StreamState(state.learned, pasts, traces)",
                "StreamState(state.learned, pasts, state.traces)",
            ),
        ),
    ),
    (
        "decolle",
        "streams: the net starts anew",
        (
            (
                "StreamState(state.learned, pasts, traces)",
                "StreamState(state.learned, state.pasts, traces)",
            ),
        ),
    ),
    (
        "decolle",
        WHAT + "the path ends at the output",
        ((THROUGH, f"(signal if l == len(net) - 1 else {THROUGH})"),),
    ),
    (
        "decolle",
        "readouts without the output neurons",
        (("return loss(phi(o), y)", "return loss(o, y)"),),
    ),
]
