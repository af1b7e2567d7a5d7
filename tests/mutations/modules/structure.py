"""Mutants of networks that rebuild themselves."""

UNITS, TESTS = "bioplaus.structure.units", "tests/structure/test_units.py"
SYNAPSES, MOVES = "bioplaus.structure.synapses", "tests/structure/test_synapses.py"
KEPT = f"{TESTS}::test_a_unit_of_constant_output_is_replaced_and_the_function_stays"
COUNTED = f"{TESTS}::test_as_many_units_die_as_the_rate_says"

MUTANTS = [
    (
        UNITS,
        "a mean without its bias correction",
        (("dead, units.mean / past", "dead, units.mean"),),
        KEPT,
    ),
    (UNITS, "the mean is taken away", (("following['b'] + lost", "following['b'] - lost"),), KEPT),
    (
        UNITS,
        "the most useful die",
        (("units.utility / past, jnp.inf", "-units.utility / past, jnp.inf"),),
        KEPT,
    ),
    (
        UNITS,
        "the outgoing weights stay",
        (("jnp.where(dead[:, None], 0, following['w'])", "following['w']"),),
        KEPT,
    ),
    (
        UNITS,
        "the young die too",
        (("mature, past = (units.age > maturity", "mature, past = (units.age > -1"),),
        COUNTED,
    ),
    (UNITS, "fractions are lost", (("due - dead.sum()", "0 * due"),), COUNTED),
    (
        UNITS,
        "moments of the next layer stay",
        (("gone[l + 1]['w'] | dead[:, None]", "gone[l + 1]['w']"),),
        f"{TESTS}::test_moments_of_new_units_alone_are_reset",
    ),
    (
        UNITS,
        "moments of all units go",
        (("out | dead", "out | True"),),
        f"{TESTS}::test_moments_of_new_units_alone_are_reset",
    ),
    (
        UNITS,
        "synapses that leave are not counted",
        (("new[l]['w'].shape[0] + new[l + 1]['w'].shape[1]", "new[l]['w'].shape[0]"),),
        f"{TESTS}::test_new_units_are_safe_and_counted",
    ),
]

MUTANTS += [
    (SYNAPSES, "the strongest go", (("jnp.abs(w), -1)", "1 / (1 + jnp.abs(w)), -1)"),), MOVES),
    (
        SYNAPSES,
        "what is removed keeps its past",
        (("jnp.where(m, v, 0), inner, old", "v, inner, old"),),
        MOVES,
    ),
    (
        SYNAPSES,
        "those that are removed grow again",
        (("jnp.where(exists, -1, score)", "jnp.where(exists, 2, score)"),),
        MOVES,
    ),
    (SYNAPSES, "what moves is counted each step", (("(a & ~b).sum()", "(a | ~b).sum()"),), MOVES),
    (
        SYNAPSES,
        "random in place of the gradient",
        (("jax.tree.map(jnp.abs, updates) if by_gradient else ", ""),),
        MOVES,
    ),
]
HOMEOSTASIS, SCALED = "bioplaus.structure.homeostasis", "tests/structure/test_homeostasis.py"
MUTANTS += [
    (HOMEOSTASIS, "away from the target", (("(target - m /", "(m - target /"),), SCALED),
    (HOMEOSTASIS, "a mean of another scale", (("(1 - decay ** steps)", "(1 - decay)"),), SCALED),
    (HOMEOSTASIS, "all units are scaled alike", (("* factor", "* factor.mean()"),), SCALED),
]
