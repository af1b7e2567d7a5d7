"""Mutants of noise of neurons and synapses, and of Langevin dynamics."""

NOISE, SYNAPTIC = "bioplaus.neurons.noise", "bioplaus.neurons.synaptic_noise"
LANGEVIN, SIEGERT = "bioplaus.optim.sampling", "bioplaus.neurons.siegert"
ASTROCYTE, SHORT_TERM = "bioplaus.layers.astrocyte", "bioplaus.layers.short_term"
OF_SLOW = "tests/layers/test_slow_release.py"
OF_NOISE, OF_SYNAPTIC = "tests/neurons/test_noise.py", "tests/neurons/test_synaptic_noise.py"
OF_NETS, OF_LANGEVIN = "tests/neurons/test_noise_in_nets.py", "tests/optim/test_langevin.py"

MUTANTS = [
    (
        NOISE,
        "a window of twice the chance",
        (("bernoulli(key, p)", "bernoulli(key, 2 * p)"),),
        OF_NOISE,
    ),
    (
        NOISE,
        "bernoulli does not saturate",
        (("jnp.clip(output, -1 / window, 1 / window)", "(output + 0)"),),
        f"{OF_NOISE} -k bernoulli",
    ),
    (
        NOISE,
        "the credit of the sample",
        (("mean + (jnp.sign(rate) * fires / window - rate)", "jnp.sign(rate) * fires / window"),),
        f"{OF_NOISE} -k bernoulli",
    ),
    (
        NOISE,
        "correlations are not squares",
        (("jnp.sqrt(correlation) * normal", "correlation * normal"),),
        f"{OF_NOISE} -k correlated",
    ),
    (
        NOISE,
        "noise that examples share",
        (("normal(shared, one)", "normal(shared, one[:1])"),),
        f"{OF_NOISE} -k correlated",
    ),
    (SYNAPTIC, "sites release together", (("(sites, *w.shape)", "(1, *w.shape)"),), OF_SYNAPTIC),
    (
        SYNAPTIC,
        "one size for all quanta of a release",
        (("cv * jnp.sqrt(released)", "cv * released"),),
        OF_SYNAPTIC,
    ),
    (
        SYNAPTIC,
        "one error for all weights",
        (("(1.0 + sigma * normal(key, w))", "(1.0 + sigma * normal(key, w[:1, :1]))"),),
        OF_SYNAPTIC,
    ),
    (
        SYNAPTIC,
        "gradients of weights without noise",
        (("return (drawn(grads, noise_key), below)", "return (grads, below)"),),
        OF_NETS,
    ),
    (
        SYNAPTIC,
        "the feedback is another sample",
        (("drawn(feedback, noise_key)", "drawn(feedback, inner)"),),
        OF_NETS,
    ),
    (
        SYNAPTIC,
        "noise of the size of the whole signal",
        ((".mean(tuple(range(1, signal.ndim)), keepdims=True)", ".mean()"),),
        OF_SYNAPTIC,
    ),
    (
        SYNAPTIC,
        "the layer learns from a clean signal",
        (
            (
                "return layer.credit(params, feedback, state, x, inner, signal)",
                "return (layer.credit(params, feedback, state, x, inner, signal - noise)[0],"
                " layer.credit(params, feedback, state, x, inner, signal)[1])",
            ),
            ("signal = signal + (sigma", "noise = (sigma"),
            (".astype(signal.dtype)\n", ".astype(signal.dtype)\n        signal = signal + noise\n"),
        ),
        OF_SYNAPTIC,
    ),
    (LANGEVIN, "half of the heat", (("jnp.sqrt(2 *", "jnp.sqrt("),), OF_LANGEVIN),
    (LANGEVIN, "the same noise at each step", ((", state.step)", ", 0)"),), OF_LANGEVIN),
    (LANGEVIN, "one noise for all seeds", (("by_signs(params))", "0)"),), OF_LANGEVIN),
    (
        LANGEVIN,
        "the rate of the first step",
        (("learning_rate(state.step)", "learning_rate(0)"),),
        OF_LANGEVIN,
    ),
    (
        SIEGERT,
        "a rate per ms",
        (("window * found", "found"),),
        "tests/neurons/test_noise_over_time.py",
    ),
    (
        SHORT_TERM,
        "depressed without facilitation",
        (("(1 + tau_facilitate * rate)", "(1 + 0 * rate)"),),
        OF_SLOW,
    ),
    (SHORT_TERM, "depressed by rates of both signs", (("jnp.abs(x)", "x"),), OF_SLOW),
    (
        SHORT_TERM,
        "recovery blind to what is released",
        (("(1 + u * tau_recover * rate)", "(1 + tau_recover * rate)"),),
        OF_SLOW,
    ),
    (
        ASTROCYTE,
        "held again where it is held",
        (("1 - (1 - state.g) *", "1 + state.g -"),),
        OF_SLOW,
    ),
    (
        ASTROCYTE,
        "blind to the step",
        (("decay(dt, tau, spikes)", "decay(1, tau, spikes)"),),
        OF_SLOW,
    ),
    (
        ASTROCYTE,
        "the factor adds to the whole release",
        (("(factor - 1)", "factor"),),
        OF_SLOW,
    ),
    (
        ASTROCYTE,
        "each input has an astrocyte",
        ((".mean(tuple(range(1, x.ndim)), keepdims=True)", ""),),
        OF_SLOW,
    ),
]
