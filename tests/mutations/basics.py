"""Mutants of backprop, of frozen hidden layers and of the rules that others are variants of."""

from bioplaus import local
from bioplaus.rules.shared import direct, inference, nudged, relax

BACK = "backward(net, params, state.feedback, trace, error, key"
GATES = "gates_of(gate, signals, len(net))"
PHI = "return jax.vjp(lambda a: fire(layer, a, key), current)[1](signal)[0]"
RETURN = "grads, state, "
SIGN = "c * jnp.where(w < 0, -1, 1)"

MUTANTS = [
    ("bp", "phi' dropped", ((PHI, "return signal"),), local),
    (
        "bp",
        "sign flipped",
        (("pullback(jnp.ones_like(losses))[0]", "-pullback(jnp.ones_like(losses))[0]"),),
        local,
    ),
    (
        "bp",
        "sum for mean over the batch",
        (("error / error.shape[0], [()]", "error, [()]"),),
        local,
    ),
    (
        "bp",
        "a gate stops the error too",
        (("below if gates[l] is None else send(layer, p, b, x, k, signal, heard)", "below"),),
        local,
    ),
    (
        "bp",
        "signs of W on the way back",
        (("net, params, params, trace", "net, params, jax.tree.map(jnp.sign, params), trace"),),
    ),
    (
        "bp",
        "credit sees another noise sample",
        (("trace, error, key, gates", "trace, error, jax.random.fold_in(key, 1), gates"),),
    ),
    ("fa", "B replaced by W", ((BACK, BACK.replace("state.feedback", "params")),)),
    (
        "fa",
        "B drawn anew each step",
        ((BACK, BACK.replace("state.feedback", "feedback_init(net, key, params, batch.x)")),),
    ),
    (
        "fa",
        "B decays",
        ((RETURN, "grads, State(jax.tree.map(lambda b: 0.9 * b, state.feedback)), "),),
    ),
    ("fa", "phi' dropped", ((PHI, "return signal"),), local),
    ("fa", "scale dropped", (("lambda b: scale * b", "lambda b: b"),)),
    ("fa", "gate ignored", ((GATES, GATES.replace("gate,", "None,")),)),
    ("kp", "B replaced by W", ((BACK, BACK.replace("state.feedback", "params")),)),
    ("kp", "B never learns", (("State(feedback, opt)", "State(state.feedback, opt)"),)),
    (
        "kp",
        "B does not decay",
        (
            (
                "state.opt, state.feedback)",
                "state.opt, jax.tree.map(lambda b: 0 * b, state.feedback))",
            ),
        ),
    ),
    (
        "kp",
        "B learns with the wrong sign",
        (("fed_back(net, grads)", "jax.tree.map(lambda g: -g, fed_back(net, grads))"),),
    ),
    ("kp", "the optimiser of B forgets", (("State(feedback, opt)", "State(feedback, state.opt)"),)),
    (
        "usf",
        "signs frozen at the start",
        (("jnp.mean(w ** 2))", "jnp.mean(w ** 2)) * jnp.where(w < 0, -1, 1)"), (SIGN, "c")),
    ),
    ("usf", "signs reversed", ((SIGN, "c * jnp.where(w < 0, 1, -1)"),)),
    ("usf", "magnitude dropped", ((SIGN, "jnp.where(w < 0, -1.0, 1.0)"),)),
    ("usf", "W itself on the way back", ((SIGN, "w"),)),
    ("usf", "a zero weight sends nothing", ((SIGN, "c * jnp.sign(w)"),)),
    (
        "usf",
        "mean absolute value for rms",
        (("jnp.sqrt(jnp.mean(w ** 2))", "jnp.mean(jnp.abs(w))"),),
    ),
    ("dfa", "phi' dropped", (("through(net[l], trace.currents[l], k[l], t)", "t"),)),
    ("dfa", "sign flipped", (("state.feedback, error)", "state.feedback, -error)"),)),
    ("dfa", "scale dropped", (("scale / classes ** 0.5", "1 / classes ** 0.5"),), direct),
    (
        "dfa",
        "B drawn anew each step",
        (("taught = sent(", "state = init(key, params, batch); taught = sent("),),
    ),
    ("dfa", "one gate for all layers", (("gates[l]", "gates[0]"),)),
    (
        "dfa",
        "B decays",
        (
            (
                "tuple(grads), state, ",
                "tuple(grads), State(tuple(0.9 * b for b in state.feedback)), ",
            ),
        ),
    ),
    ("np", "1 / sigma^2", (("- losses) / sigma", "- losses) / sigma**2"),)),
    ("np", "1 / sigma dropped", (("- losses) / sigma", "- losses)"),)),
    (
        "np",
        "sign flipped",
        (("(loss(perturbed, batch.y) - losses)", "(losses - loss(perturbed, batch.y))"),),
    ),
    ("np", "no baseline", (("(loss(perturbed, batch.y) - losses)", "loss(perturbed, batch.y)"),)),
    (
        "np",
        "mean loss for each example's",
        (("- losses) / sigma", "- losses).mean(keepdims=True) / sigma + 0 * losses"),),
    ),
    ("np", "the layers share xi", (("layer_key(subkey, l)", "subkey"),)),
    (
        "np",
        "other noise in the perturbed pass",
        (("params, batch.x, key).output", "params, batch.x, subkey).output"),),
    ),
    ("pc", "sign flipped", (("signal[l] / precision", "-signal[l] / precision"),)),
    ("pc", "phi' dropped", (("through(layer, a, k[l], -eps[l])", "-eps[l]"),), inference),
    ("pc", "1 / pi dropped", (("signal[l] / precision", "signal[l]"),)),
    ("pc", "precision dropped", (("precision * -error_of", "-error_of"),), inference),
    ("pc", "one step of inference", (("trace.inputs[1:], steps)", "trace.inputs[1:], 1)"),)),
    (
        "pc",
        "learns at the forward activities",
        (
            (
                "inputs[l], k[l], signal[l] / precision",
                "trace.inputs[l], k[l], signal[l] / precision",
            ),
        ),
    ),
    ("pc", "climbs the upper errors", (("(eps[l] + down[l])", "(eps[l] - down[l])"),), inference),
    ("ep", "one pullback of the difference", (("pre = (x, *h)", "pre = (x, *free)"),), nudged),
    ("ep", "1 / beta dropped", (("-post / (share * b)", "-post * jnp.sign(b) / n"),), nudged),
    ("ep", "sign of the nudge", (("return -b *", "return b *"),), nudged),
    ("ep", "one nudged sweep", (("start, nudge, nudged_steps,", "start, nudge, 1,"),), nudged),
    ("ep", "readout counted twice", (("pre[-1], y, key) / share", "pre[-1], y, key)"),), nudged),
    ("ep", "no way back between layers", (("a = a + (back if", "a = a + (0 * back if"),), relax),
    (
        "ep",
        "predict by a forward pass",
        (
            (
                "read(params, (x, *free_phase(params, x, key)[1][0])[-1], key)[1]",
                "forward(net, params, x, key).output",
            ),
        ),
        nudged,
    ),
    (
        "ep",
        "fresh noise is the same in all phases",
        (("jax.random.fold_in(key, len(net) + i) if fresh else key", "key"),),
        nudged,
    ),
    (
        "ep",
        "fresh noise stays over the sweeps",
        (("if fresh else fixed", "if False else fixed"),),
        relax,
    ),
    ("ep", "the input's gate ignored", (("signal, gates[0])", "signal, None)"),), nudged),
    (
        "ep",
        "residual not reported",
        (("jnp.maximum(residual, jnp.concatenate(residuals).max())", "0 * residual"),),
        nudged,
    ),
    (
        "frozen",
        "hidden layers learn",
        (("jnp.zeros_like, params[:-1]", "jnp.ones_like, params[:-1]"),),
    ),
    (
        "frozen",
        "sign flipped",
        (("trace.currents[-1], k, error)", "trace.currents[-1], k, -error)"),),
    ),
    ("frozen", "gate ignored", (("k, signal, gates[-1], heard)", "k, signal, None)"),)),
]
