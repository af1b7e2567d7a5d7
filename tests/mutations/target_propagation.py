"""Mutants of target propagation."""

from bioplaus.rules.shared import inverses

NEVER = (("own = jax.tree.map(jnp.add, own, updates)", "jax.tree.map(jnp.add, own, updates)"),)
DIFFERENCE = "path.h[l] + path.g(l, above).output - path.base[l].output"
UPDATE = "updates, opt = tx.update(tuple(slopes), opt, own)"
INTO_W = "grads = [grads[0], *(jax.tree.map(jnp.add, g, s[0]) for g, s in zip(grads[1:], slopes))]"
LESSON = "[(read, -xi / sigma), (damped, excess), (base, xi / sigma - excess)]"

MUTANTS = [
    (
        "tp",
        "the difference is taken",
        (("return path.g(l, above).output", f"return {DIFFERENCE}"),),
    ),
    (
        "tp",
        "sign of the teaching signal",
        (("(h[l] - target) / eta", "(target - h[l]) / eta"),),
        inverses,
    ),
    ("tp", "1 / eta dropped", (("(h[l] - target) / eta", "(h[l] - target)"),), inverses),
    ("tp", "no biases in the inverses", (("+ own[1]", "+ 0 * own[1]"),), inverses),
    ("tp", "inverses never learn", NEVER, inverses),
    ("dtp", "difference dropped", ((DIFFERENCE, "path.g(l, above).output"),), inverses),
    (
        "dtp",
        "sign of the difference",
        ((DIFFERENCE, "path.h[l] - path.g(l, above).output + path.base[l].output"),),
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
        (("target = down(path, l, target)", "_ = down; target = h[l] - eta * 0 * h[l]"),),
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
        (("send(above, params, own[0],", "send(above, params, params,"),),
        inverses,
    ),
    (
        "dtp",
        "no neurons in the inverses",
        (("fire(inverses[l], current, k[l])", "current"),),
        inverses,
    ),
    ("dtp", "inverses never learn", NEVER, inverses),
    ("dtp", "inverses climb", (("jnp.add, own, updates", "jnp.subtract, own, updates"),), inverses),
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
        (("read.u, k[l], signal, gates[l])", "read.u, k[l], signal, None)"),),
        inverses,
    ),
    (
        "dtp",
        "phi' dropped in their learning",
        (("through(inverses[l], read.current, k[l], e)", "e"),),
        inverses,
    ),
    ("dtp", "every step at the first weights", (("path_at(own), jax", "path, jax"),), inverses),
    (
        "dtp",
        "they learn without noise",
        (("noisy = path.h[l] + sigma * xi", "noisy = path.h[l] + 0 * sigma * xi"),),
    ),
    ("dtp", "they remove the noise", (("read.output - noisy)", "read.output - path.h[l])"),)),
    (
        "dtp",
        "top_gradient does nothing",
        (("down = gradient_first if top_gradient else difference", "down = difference"),),
    ),
    (
        "dtp",
        "top_gradient: every layer by its gradient",
        (("if l + 1 < len(path.base):", "if l + 1 < 0:"),),
    ),
    ("dtp", "top_gradient: up the gradient", (("path.h[l] + jax.vjp(", "path.h[l] - jax.vjp("),)),
    (
        "dtp",
        "top_gradient: no phi' of the output",
        (
            ("path.f(l, h), path.h[l])", "jnp.arctanh(path.f(l, h)), path.h[l])"),
            ("import jax\n", "import jax\nimport jax.numpy as jnp\n"),
        ),
    ),
    (
        "dtp",
        "top_gradient: vanilla below it",
        (("return difference(path, l, above)", "return path.g(l, above).output"),),
    ),
    ("drl", "difference dropped", ((DIFFERENCE, "path.g(l, above).output"),), inverses),
    ("drl", "sign of the noise", (("base.output - sigma * xi)", "base.output + sigma * xi)"),)),
    ("drl", "1 / sigma^2 dropped", (("sigma * xi) / sigma ** 2", "sigma * xi)"),)),
    (
        "drl",
        "no gradient at the second reading",
        (("[(read, error), (base, -error)]", "[(read, error)]"),),
    ),
    (
        "drl",
        "vanilla targets on the way back",
        (("above = difference(path, j, above)", "above = path.g(j, above).output"),),
    ),
    (
        "drl",
        "one layer there and back",
        (
            ("range(l, len(path.base))", "range(l, l + 1)"),
            ("range(l + 1, len(path.base))", "range(0)"),
        ),
    ),
    ("drl", "inverses never learn", NEVER, inverses),
    ("drl", "their gradient reaches W", ((UPDATE, f"{UPDATE}; {INTO_W}"),), inverses),
    ("ldrl", "difference dropped", ((DIFFERENCE, "path.g(l, above).output"),), inverses),
    (
        "ldrl",
        "anti-correlated with the noise",
        ((LESSON, LESSON.replace("xi / sigma -", "-xi / sigma -").replace("-xi", "xi", 1)),),
    ),
    ("ldrl", "no damping", (("excess = (", "excess = 0 * ("),)),
    (
        "ldrl",
        "no gradient at the quiet reading",
        ((LESSON, LESSON.replace(", (base, xi / sigma - excess)", "")),),
    ),
    (
        "ldrl",
        "damped by the noise of the input",
        (("path.h[l + 1] + sigma * zeta", "path.f(l, path.h[l] + sigma * xi)"),),
    ),
    ("ldrl", "inverses never learn", NEVER, inverses),
    ("ldrl", "their gradient reaches W", ((UPDATE, f"{UPDATE}; {INTO_W}"),), inverses),
]
