"""Mutants of the actor-critic."""

from bioplaus.rules.shared import acting

KEY = "td"
TRACE = "_of_rows(live, e) * (_of_rows(fade, e) * e + f)"
FADE = "discount * decay"
RPE = "reward + discount * value - before"

MUTANTS = [
    (KEY, "sign flipped", ((RPE, "before - reward - discount * value"),)),
    (KEY, "the value of now is not discounted", ((RPE, "reward + value - before"),)),
    (KEY, "reward alone, no prediction", ((RPE, "reward"),)),
    (KEY, "the value before is that of now", ((RPE, "reward + discount * value - value"),)),
    (KEY, "the trace does not decay", ((FADE, "discount"),)),
    (KEY, "the trace is not discounted", ((FADE, "decay"),)),
    (KEY, "serotonin does not reach the trace", ((FADE, "gamma * decay"),)),
    (KEY, "serotonin does not reach the error", ((RPE, "reward + gamma * value - before"),)),
    (KEY, "the trace outlives the trial", ((TRACE, "_of_rows(fade, e) * e + f"),)),
    (
        KEY,
        "the end of a trial has a value",
        (("value = live * output[..., -1]", "value = output[..., -1]"),),
    ),
    (
        KEY,
        "the trace knows the answer of now",
        (
            (
                "lambda e, d=d: jnp.tensordot(d, e, 1) / len(d), layer)",
                "lambda e, f, d=d: jnp.tensordot(d, _of_rows(fade, e) * e + f, 1)"
                " / len(d), *layer)",
            ),
            (
                "for d, layer in zip(dopamine, eligibility, strict=True)",
                "for d, *layer in zip(dopamine, eligibility, fresh, strict=True)",
            ),
        ),
    ),
    (
        KEY,
        "dopamine and traces meet as means",
        (("jnp.tensordot(d, e, 1) / len(d)", "d.mean() * e.mean(0)"),),
    ),
    (KEY, "a sum over examples", (("jnp.tensordot(d, e, 1) / len(d)", "jnp.tensordot(d, e, 1)"),)),
    (KEY, "the critic unlearns", (("- critic * output", "+ critic * output"),)),
    (KEY, "no weight of the critic", (("critic * output[:, -1]", "output[:, -1]"),)),
    (
        KEY,
        "pieces begin with the first value",
        (("eligibility, value[:, -1])", "eligibility, value[:, 0])"),),
    ),
    (
        KEY,
        "pieces begin with no trace",
        (
            (
                "state.traces.eligibility, nothing)",
                "jax.tree.map(jnp.zeros_like, state.traces.eligibility), nothing)",
            ),
        ),
    ),
    (
        KEY,
        "the greedy action is taken",
        (("jax.vmap(draw)(keys, logits))", "logits.argmax(-1))"),),
        acting,
    ),
    (
        KEY,
        "one draw for all moments",
        (("ACTIONS), n))(numbers)", "ACTIONS), t))(numbers)"),),
        acting,
    ),
    (
        KEY,
        "given actions are not taken",
        (("jnp.where(asked_moments(y),", "jnp.where(False,"),),
        acting,
    ),
    (KEY, "broadcast ignored", (("rpe if broadcast is None else broadcast(rpe)", "rpe"),)),
    (KEY, "gate ignored", (("rpe * spread(gate, rpe[..., None])[..., 0]", "rpe"),)),
    (
        KEY,
        "one gate for all layers",
        (
            (
                "for g in gates_of(gate, signals, len(net))",
                "for g in gates_of(gate, signals, len(net))[:1] * len(net)",
            ),
        ),
    ),
]
