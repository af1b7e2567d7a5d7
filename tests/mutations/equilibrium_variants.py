"""Mutants of one-sided and holomorphic equilibrium propagation."""

from bioplaus.rules.shared import relax

SIGNAL = "-post / (share * b)"
REST = "away = [post / b[0][0] for post in free]"
PEP, NEP = "beta, (1,), free_steps", "beta, (-1,), free_steps"
CIRCLE = "complex(-1) ** (2 * i / points)"

MUTANTS = [
    ("pep", "the other sign", ((PEP, "beta, (-1.0,), free_steps"),)),
    ("pep", "centred", ((PEP, "beta, (1, -1), free_steps"),)),
    ("pep", "1 / beta dropped", ((SIGNAL, "-post"), (REST, "away = [post for post in free]"))),
    ("pep", "the nudged phase alone", ((REST, "away = [0 * post for post in free]"),)),
    (
        "pep",
        "free phase with the wrong sign",
        ((REST, "away = [-post / b[0][0] for post in free]"),),
    ),
    ("pep", "one pullback of the difference", (("pre = (x, *h)", "pre = (x, *free)"),)),
    ("pep", "free phase ignores the gate", (("away[l], gates[l]) for", "away[l], None) for"),)),
    ("pep", "half of it", (("n = len(kinds[0]) +", "n = 1 + len(kinds[0]) +"),)),
    ("nep", "the other sign", ((NEP, "beta, (1.0,), free_steps"),)),
    (
        "nep",
        "sign of the update",
        ((SIGNAL, "post / (share * b)"), (REST, "away = [-post / b[0][0] for post in free]")),
    ),
    (
        "nep",
        "1 / beta without its sign",
        (
            (SIGNAL, "-post / (share * jnp.abs(b))"),
            (REST, "away = [post / jnp.abs(b[0][0]) for post in free]"),
        ),
    ),
    ("nep", "the nudged phase alone", ((REST, "away = [0 * post for post in free]"),)),
    (
        "nep",
        "nudged from rest",
        (
            ("a.astype(b.dtype) for a in free", "0 * a for a in free"),
            ("start, nudge, nudged_steps,", "start, nudge, 1,"),
        ),
    ),
    ("nep", "the readout does not learn", (("pre[-1], y, key) / share", "pre[-1], y, key) * 0"),)),
    ("hep", "half a circle", ((CIRCLE, "complex(-1) ** (i / points)"),)),
    ("hep", "real points alone", ((CIRCLE, "complex(-1) ** i"),)),
    ("hep", "the conjugate for 1 / b", ((SIGNAL, "-post / (share * b.conj())"),)),
    ("hep", "the conjugate of the states", ((SIGNAL, "-post.conj() / (share * b)"),)),
    ("hep", "the conjugate derivative of the loss", (("return -b *", "return -b.conj() *"),)),
    ("hep", "the modulus for 1 / b", ((SIGNAL, "-post / (share * jnp.abs(b))"),)),
    ("hep", "sum for mean over the points", ((SIGNAL, "-post / b"),)),
    ("hep", "a complex nudge without its conjugate", (("share = n / 2 if", "share = n if"),)),
    (
        "hep",
        "imaginary parts added",
        (("jnp.subtract, real, turned", "jnp.add, real, turned"),),
        relax,
    ),
    (
        "hep",
        "any neurons",
        (("if not holomorphic(lambda a,", "if False and holomorphic(lambda a,"),),
    ),
    ("hep", "any loss", (("if not holomorphic(lambda o:", "if False and holomorphic(lambda o:"),)),
    (
        "hep",
        "the neurons' test sees mirror images alone",
        (("[32:].max(0)", "[48:56].max(0) * 0"),),
        relax,
    ),
]
