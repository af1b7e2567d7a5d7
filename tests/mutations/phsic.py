"""Mutants of pHSIC."""

MUTANTS = [
    (
        "phsic",
        "sign flipped",
        (("(2 * _centred(similar) - gamma * wanted)", "(gamma * wanted - 2 * _centred(similar))"),),
    ),
    ("phsic", "no compression", (("2 * _centred(similar) - gamma * wanted", "-gamma * wanted"),)),
    ("phsic", "compression counted once", (("(2 * _centred(similar)", "(_centred(similar)"),)),
    ("phsic", "labels push apart", (("- gamma * wanted", "+ gamma * wanted"),)),
    ("phsic", "labels not centred", (("batch.y - batch.y.mean(-1, keepdims=True)", "batch.y"),)),
    (
        "phsic",
        "similarities not centred",
        (("similarities - similarities.mean()", "similarities"),),
    ),
    ("phsic", "half of the pairs", (("* 2 / len(h))", "/ len(h))"),)),
    ("phsic", "phi' dropped", (("through(layer, trace.currents[l], k, taught)", "taught"),)),
    (
        "phsic",
        "the width's two forgotten",
        (("(2 * jnp.asarray(width) ** 2)", "(jnp.asarray(width) ** 2)"),),
    ),
    ("phsic", "groups not centred", (("u - u.mean(-1, keepdims=True)", "u"),)),
    ("phsic", "smoothing dropped", (("** 2, -1) + smoothing", "** 2, -1)"),)),
    ("phsic", "the last layer learns from similarities", (("if l < len(net) - 1:", "if True:"),)),
    ("phsic", "gate ignored", (("signal, gates[l],", "signal, None,"),)),
]
