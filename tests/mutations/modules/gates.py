"""Mutants of the shapes of gains, of gates behind the optimiser, and of stabilised synapses."""

NET, GATED = "tests/test_net.py", "tests/optim/test_gated.py"
HELD = "tests/optim/test_stabilisation.py"
GAINS, GATES = "bioplaus.gains", "bioplaus.optim.gates"
STABILISATION = "bioplaus.optim.stabilisation"

MUTANTS = [
    (
        GAINS,
        "gains align from the right, as numpy has it",
        (("axes = shape[-1:] if gain.ndim == 1 else shape", "axes = shape[-gain.ndim:]"),),
        f"{NET}::test_a_gain_is_a_scalar_or_of_units_or_has_all_axes",
    ),
    (
        GAINS,
        "only whole axes",
        (("k in (1, n)", "k == n"),),
        f"{NET}::test_gains_of_channels_and_of_places",
    ),
    (
        GAINS,
        "offset before scale",
        (("current * scale + offset", "(current + offset) * scale"),),
        f"{NET}::test_gain_by_hand",
    ),
    (
        GATES,
        "the gate stays in the gradient",
        (("u / g", "u"),),
        f"{GATED}::test_gradient_descent_is_what_it_was",
    ),
    (
        GATES,
        "the update is not scaled",
        (("g * u", "u"),),
        f"{GATED}::test_a_gate_behind_adam_is_a_learning_rate",
    ),
    (
        GATES,
        "closed gates move the optimiser's state",
        (("jnp.where(is_open, new, old)", "new"),),
        f"{GATED}::test_closed_gates_change_nothing_and_no_gate_is_open",
    ),
    (
        STABILISATION,
        "the path of the pulled gradient",
        (("state.path, updates, changes", "state.path, pulled, changes"),),
        f"{HELD}::test_the_pull_is_that_of_the_surrogate_loss",
    ),
    (
        STABILISATION,
        "half of the pull",
        (("2 * strength", "strength"),),
        f"{HELD}::test_the_pull_is_that_of_the_surrogate_loss",
    ),
    (
        STABILISATION,
        "distance without its square",
        (("(p - anchor) ** 2", "abs(p - anchor)"),),
        f"{HELD}::test_importance_is_the_path_integral_of_the_loss",
    ),
    (
        STABILISATION,
        "importance of the last task alone",
        (("importance + jnp.maximum", "0 * importance + jnp.maximum"),),
        f"{HELD}::test_importance_adds_up",
    ),
]
