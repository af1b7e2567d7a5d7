"""Mutants of one-sided and holomorphic equilibrium propagation."""

from bioplaus.rules.shared import nudged, relax

SIGNAL = "-post / (share * b)"
REST = "away = [post / b for post in free]"
PEP, NEP = "beta, (1,), free_steps", "beta, (-1,), free_steps"
CIRCLE = "complex(-1) ** (2 * i / points)"

MUTANTS = [
    ("pep", "the other sign", ((PEP, "beta, (-1.0,), free_steps"),)),
    ("pep", "centred", ((PEP, "beta, (1, -1), free_steps"),)),
    (
        "pep",
        "1 / beta dropped",
        ((SIGNAL, "-post"), (REST, "away = [post for post in free]")),
        nudged,
    ),
    ("pep", "the nudged phase alone", ((REST, "away = [0 * post for post in free]"),), nudged),
    (
        "pep",
        "free phase with the wrong sign",
        ((REST, "away = [-post / b for post in free]"),),
        nudged,
    ),
    ("pep", "one pullback of the difference", (("pre = (x, *h)", "pre = (x, *free)"),), nudged),
    (
        "pep",
        "free phase ignores the gate",
        (("away[l], gates[l]) for", "away[l], None) for"),),
        nudged,
    ),
    ("pep", "half of it", (("n = len(kinds[0]) +", "n = 1 + len(kinds[0]) +"),), nudged),
    ("nep", "the other sign", ((NEP, "beta, (1.0,), free_steps"),)),
    (
        "nep",
        "sign of the update",
        ((SIGNAL, "post / (share * b)"), (REST, "away = [-post / b for post in free]")),
        nudged,
    ),
    (
        "nep",
        "1 / beta without its sign",
        (
            (SIGNAL, "-post / (share * jnp.abs(b))"),
            (REST, "away = [post / jnp.abs(b) for post in free]"),
        ),
        nudged,
    ),
    ("nep", "the nudged phase alone", ((REST, "away = [0 * post for post in free]"),), nudged),
    (
        "nep",
        "nudged from rest",
        (
            ("a.astype(b.dtype) for a in free", "0 * a for a in free"),
            ("start, nudge, nudged_steps,", "start, nudge, 1,"),
        ),
        nudged,
    ),
    (
        "nep",
        "the readout does not learn",
        (("pre[-1], y, key) / share", "pre[-1], y, key) * 0"),),
        nudged,
    ),
    ("hep", "half a circle", ((CIRCLE, "complex(-1) ** (i / points)"),)),
    ("hep", "real points alone", ((CIRCLE, "complex(-1) ** i"),)),
    ("hep", "the conjugate for 1 / b", ((SIGNAL, "-post / (share * b.conj())"),), nudged),
    ("hep", "the conjugate of the states", ((SIGNAL, "-post.conj() / (share * b)"),), nudged),
    (
        "hep",
        "the conjugate derivative of the loss",
        (("return -b *", "return -b.conj() *"),),
        nudged,
    ),
    ("hep", "the modulus for 1 / b", ((SIGNAL, "-post / (share * jnp.abs(b))"),), nudged),
    ("hep", "sum for mean over the points", ((SIGNAL, "-post / b"),), nudged),
    (
        "hep",
        "a complex nudge without its conjugate",
        (("share = n / 2 if", "share = n if"),),
        nudged,
    ),
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
