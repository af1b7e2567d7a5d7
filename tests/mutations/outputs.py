"""Mutants that only nonlinear outputs can notice: at linear ones phi'(a_L) = 1 and h_L = a_L.

One for every rule; tests/identities/test_on_net.py shows that they pass at linear outputs.
"""

from bioplaus import local
from bioplaus.rules.shared import heads, inference, inverses, nudged, unsupervised

WHAT = "nonlinear outputs: "
FLAT = WHAT + "phi'(a_L) dropped"
HIDDEN = " if l < len(net) - 1 else "

BACK = "signal = through(layer, trace.currents[l], k, signal)"
MOMENTS = "through(layer, trace.currents[l], k, signal)"
TAUGHT = "through(layer, trace.currents[l], k, taught[l])"
TARGET = "through(layer, trace.currents[l], k[l], taught[l])"
LAYER = "through(layer, trace.currents[l], k, taught)"
READOUT = "through(net[last], trace.currents[last], layer_key(key, last), error)"
UNSUPERVISED = "through(net[-1], trace.currents[-1], k[-1], error)"
INFERRED = "through(layer, a, k[l], -eps[l])"
FIXED = "through(net[l], trace.currents[l], k[l], -e)"
ERRORS = "through(net[l], currents[l], k[l], e)"
HEADS = "fire(last, u, jax.random.key(0))"
ERROR = "error_of(loss, output, y)[1]"
EQUILIBRIUM = f"through(net[last], a, layer_key(key, last), {ERROR})"
RATES = "(fire(layer, a[l], k[l]) - fire(layer, u[l], k[l]))"

OFFSETS = "[Gain(offset={} * x) for x in {}]"
BELOW = "[*(Gain(offset={} * x) for x in {}[:-1]), Gain()]"
ALONG = "h = fire(layer,"
OUTPUT_CURRENT = "h = (fire if l < len(net) - 1 else lambda _, a, k: a)(layer,"
PROBABILITIES = "declared_by(loss) == 'probabilities'"


def flat(old: str, new: str) -> tuple[tuple[str, str], ...]:
    """What stands at the last layer instead."""
    return ((old, f"({old}{HIDDEN}{new})"),)


def behind(size: str, noise: str, old: str, new: str) -> tuple[tuple[str, str], ...]:
    """The last layer is perturbed at its output, not at its current."""
    return ((OFFSETS.format(size, noise), BELOW.format(size, noise)), (old, new))


PERTURBED = WHAT + "perturbed behind the output neurons"
ENDS = WHAT + "the path ends at the current"

BY_BACKWARD = ("bp", "fa", "kp", "wm", "usf", "frsf", "brsf")
HEBBIAN = ("hebb", "oja", "sanger", "bcm", "softhebb", "krotov")

MUTANTS = [
    *((key, FLAT, ((BACK, BACK + HIDDEN + "signal"),), local) for key in BY_BACKWARD),
    ("frozen", FLAT, (("through(net[-1], trace.currents[-1], k, error)", "error"),)),
    (
        "dfa",
        WHAT + "B carries dL/dh_L",
        (("state.feedback, error)", "state.feedback, error_of(loss, trace.output, batch.y)[1])"),),
    ),
    (
        "eprop",
        WHAT + "B carries dL/dh_L",
        (("through(last, trace.currents[-1], top, error)", "error"),),
    ),
    ("drtp", FLAT, flat(TAUGHT, "taught[l]")),
    (
        "np",
        PERTURBED,
        behind(
            "sigma",
            "xi",
            "params, batch.x, key).output",
            "params, batch.x, key).output + sigma * xi[-1]",
        ),
    ),
    (
        "threefactor",
        PERTURBED,
        behind(
            "sigma",
            "xi",
            "loss(trace.output, batch.y)",
            "loss(trace.output + sigma * xi[-1], batch.y)",
        ),
    ),
    (
        "afg",
        PERTURBED,
        behind("t", "u", "loss(trace.output, batch.y)", "loss(trace.output + t * u[-1], batch.y)"),
    ),
    *((key, ENDS, ((ALONG, OUTPUT_CURRENT),)) for key in ("fg", "wp")),
    *((key, FLAT, flat(TARGET, "taught[l]"), inverses) for key in ("tp", "dtp", "drl", "ldrl")),
    *((key, FLAT, flat(INFERRED, "-eps[l]"), inference) for key in ("pc", "zil", "ipc")),
    ("fpa", FLAT, flat(FIXED, "-e")),
    ("epc", FLAT, flat(ERRORS, "e")),
    *((key, FLAT, ((EQUILIBRIUM, ERROR),), nudged) for key in ("ep", "pep", "nep", "hep")),
    *((key, WHAT + "clamped by dL/da_L", ((PROBABILITIES, "True"),)) for key in ("chl", "cpl")),
    ("burstprop", FLAT, (("through(net[l], a, k, error)", "error"),)),
    ("dendritic_microcircuit", FLAT, flat(RATES, "(a[l] - u[l])")),
    (
        "urbanczik_senn",
        FLAT,
        (
            (
                "through(last, trace.currents[-1], k, spread(gates[-1], signal) * signal)",
                "spread(gates[-1], signal) * signal",
            ),
        ),
    ),
    ("guerguiev", FLAT, flat(MOMENTS, "signal")),
    ("dfc", FLAT, flat("(alone[l] - rates[l])", "-offsets[l]")),
    (
        "pepita",
        WHAT + "F carries dL/dh_L",
        (("error = through(last, trace.currents[-1], k, error)", "pass"),),
    ),
    *(
        (key, WHAT + "heads are linear", ((HEADS, "u"),), heads)
        for key in ("local_pred", "local_losses")
    ),
    *((key, FLAT, flat(LAYER, "taught")) for key in ("local_sim", "phsic")),
    *((key, FLAT, ((READOUT, "error"),)) for key in ("ff", "sigprop", "clapp")),
    *((key, FLAT, ((UNSUPERVISED, "error"),), unsupervised) for key in HEBBIAN),
]
