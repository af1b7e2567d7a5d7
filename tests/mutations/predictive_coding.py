"""Mutants of predictive coding's variants."""

from bioplaus.rules.shared import inference

IPC_STATE = "Held(z, v, (state.step + 1) % hold), Info"
INFER = "inference(net, loss, params, batch, trace.currents[0], k, rate, precision)"
PULL = "grads = [pull(net[l], params[l], inputs[l], k[l], signal[l], gates[l])"

MUTANTS = [
    ("zil", "sign flipped", (("signal[l], gates[l]))", "-signal[l], gates[l]))"),)),
    (
        "zil",
        "all layers learn at the first step",
        (("z, inputs, signal = infer(z)", "_, inputs, signal = infer(z)"),),
    ),
    ("zil", "a step late", (("trace.inputs[1:], []", "infer(trace.inputs[1:])[0], []"),)),
    (
        "zil",
        "the first layer first",
        (("for l in reversed(range(len(net))):", "for l in range(len(net)):"),),
    ),
    ("zil", "phi' dropped", (("through(layer, a, k[l], -eps[l])", "-eps[l]"),), inference),
    ("zil", "climbs the upper errors", (("(eps[l] + down[l])", "(eps[l] - down[l])"),), inference),
    ("zil", "step of pc", (("k, rate, 1.0)", "k, 0.1 * rate, 1.0)"),)),
    ("zil", "gate ignored", (("signal[l], gates[l]))", "signal[l], None))"),)),
    ("fpa", "sign flipped", (("-e) for l, e in", "e) for l, e in"),)),
    ("fpa", "phi' dropped", (("[through(net[l], trace.currents[l], k[l], -e)", "[-e"),)),
    ("fpa", "no leak", (("rate * (e + down[l])", "rate * down[l]"),)),
    ("fpa", "one step", (("relax(infer, eps, steps)", "relax(infer, eps, 1)"),)),
    ("fpa", "climbs the upper errors", (("(e + down[l])", "(e - down[l])"),)),
    ("fpa", "the error relaxes to half", (("rate * (e + down[l])", "rate * (2 * e + down[l])"),)),
    ("fpa", "residual not reported", (("residual=residual", "residual=0 * residual"),)),
    ("fpa", "gate ignored", (("signal[l], gates[l])", "signal[l], None)"),)),
    (
        "fpa",
        "activities not fixed",
        (
            (
                "pull(net[l], params[l], trace.inputs[l]",
                "pull(net[l], params[l], (trace.inputs[l] + (eps[l - 1] if l else 0))",
            ),
        ),
    ),
    ("epc", "sign flipped", (("(*(-e for e in eps), d)", "(*eps, -d)"),)),
    (
        "epc",
        "phi' dropped",
        (("[through(net[l], currents[l], k[l], e) / precision", "[e / precision"),),
    ),
    (
        "epc",
        "phi' dropped in inference",
        (("through(net[l + 1], currents[l + 1], k[l + 1], d)", "d"),),
    ),
    ("epc", "1 / pi dropped", (("k[l], e) / precision for", "k[l], e) for"),)),
    ("epc", "precision dropped", (("jnp.multiply(precision, error)", "error"),)),
    ("epc", "no prior on the errors", (("rate * (eps[l] + d)", "rate * d"),)),
    ("epc", "errors climb", (("rate * (eps[l] + d)", "rate * (eps[l] - d)"),)),
    ("epc", "one step", (("relax(infer, eps, steps)", "relax(infer, eps, 1)"),)),
    (
        "epc",
        "learns at the forward activities",
        (("params[l], inputs[l], k[l], error[l]", "params[l], trace.inputs[l], k[l], error[l]"),),
    ),
    (
        "epc",
        "stops at one layer",
        (("new.insert(0, eps[l] - rate", "new.insert(0, eps[l] - 0 ** (last - 1 - l) * rate"),),
    ),
    ("epc", "residual not reported", (("residual=residual", "residual=0 * residual"),)),
    ("ipc", "sign flipped", (("signal = [s / precision", "signal = [-s / precision"),)),
    ("ipc", "1 / pi dropped", (("signal = [s / precision", "signal = [s"),)),
    ("ipc", "phi' dropped", (("through(layer, a, k[l], -eps[l])", "-eps[l]"),), inference),
    (
        "ipc",
        "activities forgotten",
        ((IPC_STATE, "Held(fresh, v, (state.step + 1) % hold), Info"),),
    ),
    ("ipc", "a new batch is not noticed", ((IPC_STATE, "Held(z, v, state.step + 1), Info"),)),
    ("ipc", "every batch is new", ((IPC_STATE, "Held(z, v, state.step), Info"),)),
    ("ipc", "a forward pass at each step", (("jnp.where(state.step == 0, new, old)", "new"),)),
    (
        "ipc",
        "momentum outlives its batch",
        (("jnp.where(state.step == 0, 0, momentum)", "jnp.asarray(momentum)"),),
    ),
    ("ipc", "momentum against the way", (("mu * old + (new - h)", "(new - h) - mu * old"),)),
    ("ipc", "starts from the old activities", (("jnp.where(state.step == 0, new, old)", "old"),)),
    (
        "ipc",
        "infers before it learns",
        ((f"{INFER}(z)", f"{INFER}({INFER}(z)[0])"),),
    ),
    (
        "ipc",
        "learns at the forward activities",
        ((PULL, PULL.replace("inputs[l]", "trace.inputs[l]")),),
    ),
    (
        "ipc",
        "gate ignored by the hidden layers",
        ((PULL, PULL.replace("gates[l]", "gates[-1] if l == len(net) - 1 else None")),),
    ),
]
