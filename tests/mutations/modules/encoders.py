"""Mutants of encoders, and of encoders in front of nets."""

ENCODERS, NETS = "tests/time/test_encoders.py", "tests/time/test_encoded_nets.py"
CHANCE, TIMED, FRONT = (f"bioplaus.encoders.{name}" for name in ("chance", "timed", "front"))
CHANGES, EXACT, VALUES = (f"bioplaus.encoders.{name}" for name in ("changes", "exact", "values"))

MUTANTS = [
    (
        CHANCE,
        "p dropped",
        (("unit(x) * probability", "unit(x)"),),
        f"{ENCODERS}::test_random_spikes_have_the_mean_and_variance",
    ),
    (
        CHANCE,
        "seconds for milliseconds",
        (("rate * (dt / 1000)", "rate * dt"),),
        f"{ENCODERS}::test_random_spikes_have_the_mean_and_variance",
    ),
    (
        CHANCE,
        "rate for probability",
        (("-jnp.expm1(-events * unit(x))", "events * unit(x)"),),
        f"{ENCODERS}::test_random_spikes_have_the_mean_and_variance",
    ),
    (
        CHANCE,
        "poisson ignores the time step",
        (("at=build", "at=None"),),
        f"{NETS}::test_without_noise_the_net_receives_the_expected_values",
    ),
    (
        CHANCE,
        "one draw for all moments",
        (("(key, mean(x))", "(key, mean(x)[:, :1]) | (0 * mean(x) > 0)"),),
        f"{ENCODERS}::test_random_spikes_have_the_mean_and_variance",
    ),
    (
        CHANCE,
        "decode without the inverse",
        (("return inverse(moments.mean(1))", "return moments.mean(1)"),),
        f"{ENCODERS}::test_decode_of_values_and_rates",
    ),
    (
        TIMED,
        "largest last",
        (("jnp.round((1 - unit(x)) * last)", "jnp.round(unit(x) * last)"),),
        f"{ENCODERS}::test_latency_tells_the_value_to_half_a_moment",
    ),
    (
        TIMED,
        "zero fires too",
        (("* last), x > 0, steps)", "* last), x >= 0, steps)"),),
        f"{ENCODERS}::test_latency_tells_the_value_to_half_a_moment",
    ),
    (
        TIMED,
        "moments rounded down",
        (("jnp.round((1", "jnp.floor((1"),),
        f"{ENCODERS}::test_latency_tells_the_value_to_half_a_moment",
    ),
    (
        TIMED,
        "derivative of the wrong sign",
        (("t - (1 - x) * last", "t - x * last"),),
        f"{ENCODERS}::test_latency_moves_towards_where_the_spike_should_be",
    ),
    (
        TIMED,
        "smallest ranks first",
        (("jnp.argsort(-flat", "jnp.argsort(flat"),),
        f"{ENCODERS}::test_rank_order_tells_the_order_and_no_more",
    ),
    (
        TIMED,
        "one argsort for the rank",
        (
            (
                "jnp.argsort(jnp.argsort(-flat, stable=True), stable=True)",
                "jnp.argsort(-flat, stable=True)",
            ),
        ),
        f"{ENCODERS}::test_rank_order_tells_the_order_and_no_more",
    ),
    (
        CHANGES,
        "the reference jumps to x",
        (("return (r + threshold * (on - off),", "return (x,"),),
        f"{ENCODERS}::test_delta_follows_the_sequence_within_its_threshold",
    ),
    (
        CHANGES,
        "OFF never fires",
        (("(x - r, r - x)", "(x - r, 0 * x)"),),
        f"{ENCODERS}::test_delta_follows_the_sequence_within_its_threshold",
    ),
    (
        CHANGES,
        "the derivative forgets the moment before",
        (("jnp.maximum(0, -steps)", "0 * steps"),),
        f"{ENCODERS}::test_derivative_of_changes",
    ),
    (
        EXACT,
        "columns for rows",
        (
            (
                "return x.reshape(*x.shape[:2], -1)",
                "return jnp.moveaxis(x, 1, 2).reshape(x.shape[0], x.shape[2], -1)",
            ),
        ),
        f"{ENCODERS}::test_rows_are_those_of_the_image",
    ),
    (
        VALUES,
        "no derivative at the ends",
        (("(x >= 0) & (x <= 1)", "(x > 0) & (x < 1)"),),
        f"{ENCODERS}::test_derivative_at_and_beyond_the_ends",
    ),
    (
        VALUES,
        "spikes without a derivative",
        (("jax.jvp(mean, (x,), (tangents[0],))[1]", "0 * jax.jvp(mean, (x,), (tangents[0],))[1]"),),
        f"{ENCODERS}::test_derivatives_by_the_input",
    ),
    (
        FRONT,
        "credit sees other spikes",
        (
            (
                "jax.vjp(lambda x: _moments(encoder, x, key), x)",
                "jax.vjp(lambda x: _moments(encoder, x, key, 1), x)",
            ),
        ),
        f"{NETS}::test_the_layer_itself_gives_credit_at_the_input",
    ),
    (
        FRONT,
        "every presentation draws the same",
        (("0 if past is None else past.t", "0"),),
        f"{NETS}::test_each_key_and_each_presentation_draws_anew",
    ),
    (
        FRONT,
        "noise stays on",
        (("encoder.mean or encoder)", "encoder)"),),
        f"{NETS}::test_without_noise_the_net_receives_the_expected_values",
    ),
    (
        FRONT,
        "gains are dropped",
        (("gained=changed(time.gained)", "gained=lambda gain: _encoded(layer, encoder)"),),
        f"{NETS}::test_gains_act_behind_the_encoder",
    ),
]
