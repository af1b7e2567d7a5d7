"""Mutants of forward-forward."""

PEERS = "peers * (active - active.mean())"

MUTANTS = [
    (
        "ff",
        "right and wrong labels swapped",
        (("concatenate([y, wrong])", "concatenate([wrong, y])"),),
    ),
    ("ff", "no length normalisation", (("inputs.append(_unit(x))", "inputs.append(x)"),)),
    (
        "ff",
        "normalised by the mean, not the mean square",
        (("(h ** 2).mean(", "jnp.abs(h).mean("),),
    ),
    ("ff", "theta a layer, not a unit", (("theta * h[l][0].size", "theta"),)),
    ("ff", "mean for sum of both labels", (("k, 2 * signal", "k, signal"),)),
    ("ff", "phi' dropped", (("through(net[l], a[l], k, slope)", "slope"),)),
    (
        "ff",
        "readout sees the right label",
        (("overlaid(x, jnp.full_like(y, 1 / y.shape[-1]))", "overlaid(x, y)"),),
    ),
    ("ff", "wrong labels may be right", (("jnp.where(right, -jnp.inf, logits)", "logits"),)),
    ("ff", "first layer counts in the answer", (("for z in h[1:] or h]", "for z in h]"),)),
    ("ff", "strength dropped", ((".set(strength * label)", ".set(label)"),)),
    ("ff", "label added to the input", ((".set(strength * label)", ".add(strength * label)"),)),
    ("ff", "gate ignored", (("2 * signal, both)", "2 * signal, None)"),)),
    ("ff", "probabilities taken for logits", (("declared_by(loss) == 'probabilities'", "False"),)),
    ("ff", "hardness dropped", (("hardness * _logits", "_logits"),)),
    ("ff", "peers pushed apart", ((".add(peers *", ".add(-peers *"),)),
    ("ff", "peers at wrong labels too", (("signal.at[:size].add", "signal.at[:].add"),)),
    (
        "ff",
        "silent peers sleep on",
        (
            (
                f"add({PEERS})",
                f"add(through(net[l], a[l][:size], k, {PEERS} + 0 * h[l][:size]))",
            ),
        ),
    ),
    ("ff", "peers drawn to silence", (("(active - active.mean())", "active"),)),
]
