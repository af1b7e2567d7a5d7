"""Mutants of forward-forward."""

MUTANTS = [
    (
        "ff",
        "right and wrong labels swapped",
        (("concatenate([y, wrong])", "concatenate([wrong, y])"),),
    ),
    ("ff", "no length normalisation", (("inputs.append(_unit(x, first))", "inputs.append(x)"),)),
    (
        "ff",
        "normalised by the mean, not the mean square",
        (("(h ** 2).mean(", "jnp.abs(h).mean("),),
    ),
    ("ff", "theta a layer, not a unit", (("theta * h[0].size", "theta"),)),
    ("ff", "mean for sum of both labels", (("k, 2 * signal", "k, signal"),)),
    (
        "ff",
        "phi' dropped",
        (("through(layer, pairs.currents[l], k, _to_moments(layer, output, slope))", "slope"),),
    ),
    (
        "ff",
        "readout sees the right label",
        (("overlaid(x, jnp.full_like(y, 1 / y.shape[-1]))", "overlaid(x, y)"),),
    ),
    ("ff", "wrong labels may be right", (("jnp.where(right, -jnp.inf, logits)", "logits"),)),
    ("ff", "first layer counts in the answer", (("good[1:] or good", "good"),)),
    ("ff", "strength dropped", ((".set(strength * label)", ".set(label)"),)),
    ("ff", "label added to the input", ((".set(strength * label)", ".add(strength * label)"),)),
    ("ff", "gate ignored", (("2 * signal, both, heard)", "2 * signal, None, heard)"),)),
    ("ff", "probabilities taken for logits", (("declared_by(loss) == 'probabilities'", "False"),)),
    ("ff", "hardness dropped", (("hardness * _logits", "_logits"),)),
    ("ff", "peers pushed apart", (("(peers * (active", "(-peers * (active"),)),
    (
        "ff",
        "peers at wrong labels too",
        (
            (
                "signal.at[:size].add(_to_moments(layer, output[:size], drawn_in))",
                "signal + jnp.concatenate([_to_moments(layer, output[:size], drawn_in)] * 2)",
            ),
        ),
    ),
    (
        "ff",
        "silent peers sleep on",
        (
            (
                "_to_moments(layer, output[:size], drawn_in)",
                "through(layer, pairs.currents[l][:size], k, drawn_in)",
            ),
        ),
    ),
    ("ff", "peers drawn to silence", (("(active - active.mean())", "active"),)),
]
