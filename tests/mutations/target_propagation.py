"""Mutants of target propagation."""

from bioplaus.rules.shared import inverses

NEVER = (
    (
        "weights = jax.tree.map(jnp.add, weights, updates)",
        "jax.tree.map(jnp.add, weights, updates)",
    ),
)
DIFFERENCE = "maps.h[l] + maps.g(l, above).output - maps.base[l].output"
UPDATE = "updates, opt = tx.update(inverse_grads, opt, weights)"
INTO_W = (
    "grads = [grads[0],"
    " *(jax.tree.map(jnp.add, g, s[0]) for g, s in zip(grads[1:], inverse_grads))]"
)
INVERSE_LOSS = "[(rebuilt, -xi / sigma), (damped, excess), (base, xi / sigma - excess)]"

MUTANTS = [
    (
        "tp",
        "the difference is taken",
        (("return maps.g(l, above).output", f"return {DIFFERENCE}"),),
    ),
    (
        "tp",
        "sign of the teaching signal",
        (("(h[l] - target) / eta", "(target - h[l]) / eta"),),
        inverses,
    ),
    ("tp", "1 / eta dropped", (("(h[l] - target) / eta", "(h[l] - target)"),), inverses),
    ("tp", "no biases in the inverses", (("+ weights[1]", "+ 0 * weights[1]"),), inverses),
    ("tp", "inverses never learn", NEVER, inverses),
    ("dtp", "difference dropped", ((DIFFERENCE, "maps.g(l, above).output"),), inverses),
    (
        "dtp",
        "sign of the difference",
        ((DIFFERENCE, "maps.h[l] - maps.g(l, above).output + maps.base[l].output"),),
        inverses,
    ),
    (
        "dtp",
        "first target up the gradient",
        (("h[-1] - eta * error", "h[-1] + eta * error"),),
        inverses,
    ),
    ("dtp", "1 / eta dropped", (("(h[l] - target) / eta", "(h[l] - target)"),), inverses),
    (
        "dtp",
        "all targets from the output's",
        (("target = down(maps, l, target)", "_ = down; target = h[l] - eta * 0 * h[l]"),),
        inverses,
    ),
    (
        "dtp",
        "phi' dropped",
        (("through(layer, trace.currents[l], k[l], taught[l])", "taught[l]"),),
        inverses,
    ),
    (
        "dtp",
        "B replaced by W",
        (("send(above, params, weights[0],", "send(above, params, params,"),),
        inverses,
    ),
    (
        "dtp",
        "no neurons in the inverses",
        (("fire(inverses[l], current, k[l])", "current"),),
        inverses,
    ),
    ("dtp", "inverses never learn", NEVER, inverses),
    (
        "dtp",
        "inverses climb",
        (("jnp.add, weights, updates", "jnp.subtract, weights, updates"),),
        inverses,
    ),
    ("dtp", "their gradient reaches W", ((UPDATE, f"{UPDATE}; {INTO_W}"),), inverses),
    ("dtp", "their optimiser forgets", ((UPDATE, UPDATE.replace("opt =", "_ =")),), inverses),
    (
        "dtp",
        "their optimiser forgets between batches",
        (("), opt)", "), state.opt)"),),
        inverses,
    ),
    (
        "dtp",
        "they ignore the gate",
        (("rebuilt.u, k[l], signal, gates[l])", "rebuilt.u, k[l], signal, None)"),),
        inverses,
    ),
    (
        "dtp",
        "phi' dropped in their learning",
        (("through(inverses[l], rebuilt.current, k[l], e)", "e"),),
        inverses,
    ),
    (
        "dtp",
        "every step at the first weights",
        (("maps_at(weights), inverses", "maps, inverses"),),
        inverses,
    ),
    (
        "dtp",
        "they learn without noise",
        (("noisy = maps.h[l] + sigma * xi", "noisy = maps.h[l] + 0 * sigma * xi"),),
    ),
    ("dtp", "they remove the noise", (("rebuilt.output - noisy)", "rebuilt.output - maps.h[l])"),)),
    (
        "dtp",
        "top_gradient does nothing",
        (("down = gradient_first if top_gradient else difference", "down = difference"),),
    ),
    (
        "dtp",
        "top_gradient: every layer by its gradient",
        (("if l + 1 < len(maps.base):", "if l + 1 < 0:"),),
    ),
    ("dtp", "top_gradient: up the gradient", (("maps.h[l] + jax.vjp(", "maps.h[l] - jax.vjp("),)),
    (
        "dtp",
        "top_gradient: no phi' of the output",
        (
            ("maps.f(l, h), maps.h[l])", "jnp.arctanh(maps.f(l, h)), maps.h[l])"),
            ("import jax\n", "import jax\nimport jax.numpy as jnp\n"),
        ),
    ),
    (
        "dtp",
        "top_gradient: vanilla below it",
        (("return difference(maps, l, above)", "return maps.g(l, above).output"),),
    ),
    ("drl", "difference dropped", ((DIFFERENCE, "maps.g(l, above).output"),), inverses),
    ("drl", "sign of the noise", (("base.output - sigma * xi)", "base.output + sigma * xi)"),)),
    ("drl", "1 / sigma^2 dropped", (("sigma * xi) / sigma ** 2", "sigma * xi)"),)),
    (
        "drl",
        "no gradient at the second reading",
        (("[(rebuilt, error), (base, -error)]", "[(rebuilt, error)]"),),
    ),
    (
        "drl",
        "vanilla targets on the way back",
        (("above = difference(maps, j, above)", "above = maps.g(j, above).output"),),
    ),
    (
        "drl",
        "one layer there and back",
        (
            ("range(l, len(maps.base))", "range(l, l + 1)"),
            ("range(l + 1, len(maps.base))", "range(0)"),
        ),
    ),
    ("drl", "inverses never learn", NEVER, inverses),
    ("drl", "their gradient reaches W", ((UPDATE, f"{UPDATE}; {INTO_W}"),), inverses),
    ("ldrl", "difference dropped", ((DIFFERENCE, "maps.g(l, above).output"),), inverses),
    (
        "ldrl",
        "anti-correlated with the noise",
        (
            (
                INVERSE_LOSS,
                INVERSE_LOSS.replace("xi / sigma -", "-xi / sigma -").replace("-xi", "xi", 1),
            ),
        ),
    ),
    ("ldrl", "no damping", (("excess = (", "excess = 0 * ("),)),
    (
        "ldrl",
        "no gradient at the quiet reading",
        ((INVERSE_LOSS, INVERSE_LOSS.replace(", (base, xi / sigma - excess)", "")),),
    ),
    (
        "ldrl",
        "damped by the noise of the input",
        (("maps.h[l + 1] + sigma * zeta", "maps.f(l, maps.h[l] + sigma * xi)"),),
    ),
    ("ldrl", "inverses never learn", NEVER, inverses),
    ("ldrl", "their gradient reaches W", ((UPDATE, f"{UPDATE}; {INTO_W}"),), inverses),
]
