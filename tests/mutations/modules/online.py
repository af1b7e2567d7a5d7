"""Mutants of learning on streams: of its loop, and of what neurons and layers declare for it."""

ONLINE = "tests/time/test_online.py tests/time/test_online_training.py"
DECLARED = "tests/time/test_declarations.py"
SPIKING, BASIC = "bioplaus.neurons.spiking", "bioplaus.layers.basic"
LOOP, STEPS = "bioplaus.training.online", "bioplaus.training.steps"

MUTANTS = [
    (LOOP, "the key is given away", (("jnp.copy(key)", "key"),), ONLINE),
    (LOOP, "reset starts the rows that go on", (("start, now)", "now, start)"),), ONLINE),
    (LOOP, "reset starts feedback weights too", (("if not of_rows or", "if"),), ONLINE),
    (
        LOOP,
        "reset is forgotten",
        (("rule=restarted(state.rule, rest, reset)", "rule=state.rule"),),
        ONLINE,
    ),
    (LOOP, "rows are not counted", (("a.shape[0] != examples", "a.shape[0] < 0"),), ONLINE),
    (
        STEPS,
        "weights stay",
        (("params = optax.apply_updates(state.params, updates)", "params = state.params"),),
        ONLINE,
    ),
    (
        STEPS,
        "the last piece is left out",
        (("if (left := (length % moments)):", "if (left := 0):"),),
        ONLINE,
    ),
    (STEPS, "every piece is the first", (("cut(batch.x)", "batch.x[:, :n]"),), ONLINE),
    (
        STEPS,
        "what the rule has learned is lost",
        (("rule=on_streams(rest, state.rule)", "rule=rest"),),
        ONLINE,
    ),
    (STEPS, "a step for each piece", (("step=state.step + 1, ", ""),), ONLINE),
    (
        STEPS,
        "the loss is a mean of pieces",
        (("of_pieces.sum() if name == 'loss' else of_pieces.mean()", "of_pieces.mean()"),),
        ONLINE,
    ),
    (
        SPIKING,
        "an attached reset only leaks",
        (("if detached and reset in SHIFTS", "if reset in SHIFTS"),),
        DECLARED,
    ),
    (
        SPIKING,
        "a reset to zero only leaks",
        (("if detached and reset in SHIFTS", "if detached"),),
        DECLARED,
    ),
    (
        BASIC,
        "a map of the input is linear",
        (("affine=False)\n\ndef flattened", "affine=layer.affine)\n\ndef flattened"),),
        DECLARED,
    ),
]
