"""Mutants of contrastive Hebbian and coupled learning."""

from bioplaus.rules.shared import relax

CLAMPED = "settle(net, params, first, key, free[:-1], lambda _: target, clamped_steps, gain=gain)"
BACK = "else jnp.asarray(gain, a.dtype) * back"
SCALE = "jnp.asarray(gain, error.dtype) ** (l + 1 - depth) / jnp.asarray(beta, error.dtype)"
PHASES = "[(free, free[0] - held[0])] if l == 0 else [(held, -held[l]), (free, free[l])]"
TARGET = "free[-1] - jnp.asarray(beta, error.dtype) * error"

MUTANTS = [
    (
        "chl",
        "the clamped phase is not relaxed",
        ((CLAMPED, "(free[:-1], residual)"),),
    ),
    ("chl", "gamma^(l-L) missing", ((SCALE, "1.0 / beta"),)),
    ("chl", "gamma^(L-l)", (("** (l + 1 - depth)", "** (depth - l - 1)"),)),
    ("chl", "no gain on the way back", ((BACK, "else back"),), relax),
    (
        "chl",
        "sign of the update",
        (
            (
                PHASES,
                "[(free, held[0] - free[0])] if l == 0 else [(held, held[l]), (free, -free[l])]",
            ),
        ),
    ),
    ("chl", "the clamped phase alone", ((PHASES, "[(held, -held[l])]"),)),
    ("chl", "phi' at the output", ((TARGET, "free[-1] - error * (1 - free[-1] ** 2)"),)),
    ("chl", "one pullback of the difference", (("(batch.x, *h)[l]", "(batch.x, *free)[l]"),)),
    (
        "chl",
        "predict by a forward pass",
        (("free_phase(params, x, key)[1][0][-1]", "forward(net, params, x, key).output"),),
    ),
    ("chl", "residual not reported", (("jnp.maximum(residual, after)", "0 * residual"),)),
    ("cpl", "1 / beta dropped", ((SCALE, "1.0"),)),
    ("cpl", "clamped to the target itself", ((TARGET, "free[-1] - error"),)),
    ("cpl", "clamped away from the target", ((TARGET, "free[-1] + beta * error"),)),
    (
        "cpl",
        "the output is not clamped",
        ((CLAMPED, CLAMPED.replace("_: target,", "_: free[-1],")),),
    ),
    ("cpl", "the output does not act back", ((BACK, "else (l + 2 < len(net)) * back"),), relax),
    ("cpl", "one clamped sweep", ((CLAMPED, CLAMPED.replace("clamped_steps", "1")),)),
    ("cpl", "gate ignored", (("signal, gates[l])", "signal, None)"),)),
]
