"""Mutants of weight mirrors, sign concordance with random magnitudes, random target projection."""

from bioplaus.rules.shared import direct

SIGN = "c * jnp.where(w < 0, -1, 1)"
MAGNITUDE = "scale * jnp.abs(r)"
FIXED = "return State(_magnitude(scale, feedback_init(net, key, params, batch.x)))"
DRAWN = "del state\n        return _magnitude(scale, feedback_init(net, key, params, batch.x))"
TAUGHT = "state.feedback, -y)"
LEARN = "b + (rate * g - decay * opened * b)"
RETURN = "grads, state, "
RESPONSE = "r = fire(layer, drive(layer, params[l], xi, k), k)"

CONCORDANT = [
    ("signs reversed", ((SIGN, "c * jnp.where(w < 0, 1, -1)"),)),
    ("signs dropped", ((SIGN, "c"),)),
    ("a zero weight sends nothing", ((SIGN, "c * jnp.sign(w)"),)),
    ("W itself on the way back", ((SIGN, "w"),)),
    ("a magnitude with signs of its own", ((MAGNITUDE, "scale * r"),)),
    ("scale dropped", ((MAGNITUDE, "jnp.abs(r)"),)),
    ("squares for magnitudes", ((MAGNITUDE, "scale * r**2"),)),
    ("gate ignored", (("gates_of(gate,", "gates_of(None,"),)),
]

MUTANTS = [
    ("wm", "sign of the growth", ((LEARN, "b - (rate * g + decay * opened * b)"),)),
    ("wm", "B never learns", (("State(tuple(feedback))", "state"),)),
    ("wm", "no decay", ((LEARN, "b + rate * g"),)),
    ("wm", "decay of what was added too", ((LEARN, "(1 - decay * opened) * (b + rate * g)"),)),
    ("wm", "rate dropped", ((LEARN, "b + (g - decay * opened * b)"),)),
    ("wm", "sigma dropped", ((" * jnp.asarray(sigma)", ""),)),
    ("wm", "never centred", (("r = r - r.mean(0)", "pass"),)),
    ("wm", "centred over units", (("r.mean(0)", "r.mean(-1, keepdims=True)"),)),
    ("wm", "always centred", (("if centred:", "if True:"),)),
    (
        "wm",
        "the activity of the forward pass for noise",
        (("pull(layer, params[l], xi,", "pull(layer, params[l], x,"),),
    ),
    ("wm", "response to the activity", ((RESPONSE, RESPONSE.replace("xi, k)", "x, k)")),)),
    (
        "wm",
        "the layer mirrors its B",
        ((RESPONSE, RESPONSE.replace("params[l]", "state.feedback[l]")),),
    ),
    ("wm", "a sum over positions", (("r / r[0, ..., 0].size", "r"),)),
    ("wm", "gate ignored by the mirror", (("r[0, ..., 0].size, gates[l])", "r[0, ..., 0].size)"),)),
    ("wm", "a closed gate lets B decay", ((LEARN, "b + (rate * g - decay * b)"),)),
    (
        "wm",
        "W on the way back",
        (("net, params, state.feedback, trace", "net, params, params, trace"),),
    ),
    *(("frsf", name, edits) for name, edits in CONCORDANT),
    (
        "frsf",
        "magnitudes of the initial W",
        ((FIXED, FIXED.replace("feedback_init(net, key, params, batch.x)", "params")),),
    ),
    ("frsf", "the same draw for every key", ((FIXED, FIXED.replace("key", "jax.random.key(0)")),)),
    (
        "frsf",
        "M decays",
        (
            (
                RETURN,
                RETURN.replace("state", "State(jax.tree.map(lambda m: 0.9 * m, state.magnitude))"),
            ),
        ),
    ),
    *(("brsf", name, edits) for name, edits in CONCORDANT),
    ("brsf", "the same draw at each step", ((DRAWN, DRAWN.replace("key", "jax.random.key(0)")),)),
    (
        "brsf",
        "magnitudes of W",
        ((DRAWN, DRAWN.replace("feedback_init(net, key, params, batch.x)", "params")),),
    ),
    ("drtp", "sign flipped", ((TAUGHT, TAUGHT.replace("-", "")),)),
    ("drtp", "the error for the target", ((TAUGHT, TAUGHT.replace("-y", "error")),)),
    ("drtp", "the output for the target", ((TAUGHT, TAUGHT.replace("-y", "-trace.output")),)),
    (
        "drtp",
        "centred targets",
        ((TAUGHT, TAUGHT.replace("-y", "-(y - y.mean(0))")),),
    ),
    ("drtp", "the target at the last layer", ((", error]", ", -batch.y]"),)),
    ("drtp", "phi' dropped", (("through(layer, trace.currents[l], k, taught[l])", "taught[l]"),)),
    ("drtp", "scale dropped", (("scale / classes ** 0.5", "1 / classes ** 0.5"),), direct),
    (
        "drtp",
        "B drawn anew each step",
        (("taught = [*sent(", "state = init(key, params, batch); taught = [*sent("),),
    ),
    ("drtp", "a sum over the batch", (("signal, gates[l],", "signal * len(batch.y), gates[l],"),)),
    ("drtp", "one gate for all layers", (("gates[l]", "gates[0]"),)),
]
