"""Mutants of e-prop and of the eligibilities that it carries along streams."""

from bioplaus import eligibility
from bioplaus.rules.shared import direct

SKIP = "if not adaptive:\n            return state"
GATED = "signal = spread(gates[l], taught[l]) * taught[l]"

MUTANTS = [
    (
        "eprop",
        "a gate of moments acts behind the readout's leak",
        (("if leaks and l < len(net) - 1 and", "if False and"),),
    ),
    (
        "eprop",
        "phi' dropped",
        (
            (
                "signal = through(layer, current, k, signal)",
                "pass",
            ),
        ),
    ),
    (
        "eprop",
        "gate ignored",
        (
            (
                GATED,
                "signal = taught[l]",
            ),
        ),
    ),
    (
        "eprop",
        "one gate for all layers",
        ((GATED, GATED.replace("gates[l]", "gates[0]")),),
    ),
    (
        "eprop",
        "the error at the answer, not behind its leak",
        (
            (
                "through(last, trace.currents[-1], top, error)",
                "error",
            ),
        ),
    ),
    (
        "eprop",
        "symmetric feedback of the wrong sign",
        (("trace.inputs[1], k, error,", "trace.inputs[1], k, -error,"),),
    ),
    ("eprop", "scale dropped", (("scale / classes ** 0.5", "1 / classes ** 0.5"),), direct),
    (
        "eprop",
        "what it heard is forgotten",
        (("heard=trace.heard[l]", "heard=jax.tree.map(jnp.zeros_like, trace.heard[l])"),),
    ),
    (
        "eprop",
        "random B decays",
        (
            (
                SKIP,
                SKIP.replace("state", "State(tuple(0.9 * b for b in state.feedback), ())"),
            ),
        ),
    ),
    ("eprop", "adaptive B stays", (("if not adaptive:", "if True:"),)),
    ("eprop", "adaptive B learns from a sum", (("/ len(z) for z", "for z"),)),
    ("eprop", "streams: no filter of the readout", (("if leaks else net", "if False else net"),)),
    (
        "eprop",
        "streams: traces start anew",
        (
            (
                "outputs[:-1]), pasts, traces)",
                "outputs[:-1]), pasts, state.traces)",
            ),
        ),
    ),
    (
        "eprop",
        "streams: the net starts anew",
        (("advance(net, params, state.pasts,", "advance(net, params, None,"),),
    ),
    (
        "eprop",
        "streams: adaptive B learns from spikes",
        (("outputs[:-1]), pasts", "trace.outputs[:-1]), pasts"),),
    ),
    (
        "eprop",
        "streams: states never carry over",
        (("summed, start, *eps)", "lambda s, *_: s, start, *eps)"),),
        eligibility,
    ),
    (
        "eprop",
        "streams: eligibility of the first state alone",
        (
            (
                "seed = [*nothing[:a], jnp.ones_like(end), *nothing[a + 1:]]",
                "seed = [jnp.ones_like(end) * (a == 0), *nothing[1:]]",
            ),
        ),
        eligibility,
    ),
    (
        "eprop",
        "streams: the past weighs as a sum over the batch",
        (("s / len(s)", "s"),),
        eligibility,
    ),
    (
        "eprop",
        "streams: other noise on the way back",
        (
            (
                "noise = jax.random.fold_in(key, NEURON)",
                "noise = jax.random.fold_in(key, NEURON + 1)",
            ),
        ),
        eligibility,
    ),
]
