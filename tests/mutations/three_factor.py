"""Mutants of three-factor learning."""

from bioplaus import local

KEY, TRACE = "threefactor", "decay * e + f"

MUTANTS = [
    (KEY, "sign flipped", (("pending[0] - state.baseline", "state.baseline - pending[0]"),)),
    (KEY, "no baseline", (("pending[0] - state.baseline", "pending[0]"),)),
    (KEY, "1 / sigma dropped", (("xi[l] / sigma,", "xi[l],"),)),
    (KEY, "1 / sigma^2", (("xi[l] / sigma,", "xi[l] / sigma**2,"),)),
    (KEY, "the output for the noise: a Hebbian trace", (("xi[l] / sigma,", "trace.currents[l],"),)),
    (
        KEY,
        "reward after the sum of the traces",
        (("(w.reshape(-1, *(1,) * (e.ndim - 1)) * e).sum(0)", "w.mean() * e.sum(0)"),),
    ),
    (KEY, "the trace does not decay", ((TRACE, "e + f"),)),
    (KEY, "the trace forgets at once", ((TRACE, "0 * decay * e + f"),)),
    (KEY, "the reward of now for that of then", (("pending[0] -", "pending[-1] -"),)),
    (
        KEY,
        "rewards before any arrived",
        (
            (
                "jnp.where(state.steps < delay, 0, pending[0] - state.baseline)",
                "pending[0] - state.baseline",
            ),
        ),
    ),
    (
        KEY,
        "the trace of then, without its decay made good",
        ((" * jnp.asarray(decay) ** delay)", ")"),),
    ),
    (
        KEY,
        "the baseline knows this reward",
        (
            (
                "pending[0] - state.baseline)",
                "pending[0] - (0.9 * state.baseline + 0.1 * pending[0].mean()))",
            ),
        ),
    ),
    (
        KEY,
        "input without noise",
        (("trace.inputs[l], xi", "forward(net, params, batch.x, key).inputs[l], xi"),),
    ),
    (KEY, "the layers share xi", (("layer_key(subkey, l)", "subkey"),)),
    (KEY, "gate ignored", (("return change * spread(gate, change)", "return change"),), local),
    (
        KEY,
        "without a trace: the reward does not act",
        (("spread(learns, score) * score", "score"),),
    ),
    (
        KEY,
        "without a trace: gate and reward act on the mean",
        (("spread(learns, score) * score", "learns.mean() * score"),),
    ),
]
