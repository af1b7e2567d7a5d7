"""Mutants of neurons over time, their noise, short-term plasticity and rate regularisation."""

NEURONS, TESTS = "bioplaus.neurons", "tests/neurons/test_"
SUBSTEPS, IZHIKEVICH = f"{NEURONS}.substeps", f"{NEURONS}.izhikevich"
ADEX, DENDRITES = f"{NEURONS}.adaptive_exponential", f"{NEURONS}.dendrites"
NOISE, SIEGERT = f"{NEURONS}.noise_over_time", f"{NEURONS}.siegert"
COMPARTMENTS, SHORT_TERM = "bioplaus.layers.compartments", "bioplaus.layers.short_term"
RATES = "bioplaus.rules.rate_regularised"
OF_IZHIKEVICH, OF_ADEX = f"{TESTS}izhikevich.py", f"{TESTS}adex.py"
OF_DENDRITES, OF_NOISE = f"{TESTS}two_compartment.py", f"{TESTS}noise_over_time.py"
OF_SHORT_TERM, OF_RATES = "tests/layers/test_short_term.py", "tests/rules/test_rate_regularised.py"
OU, WHITE = "test_an_ornstein", "test_white_noise"

MUTANTS = [
    (SUBSTEPS, "all of the charge in each substep", (("charge / substeps", "charge"),), OF_ADEX),
    (SUBSTEPS, "steps of the moment", (("h = dt / substeps", "h = dt"),), OF_ADEX),
    (
        SUBSTEPS,
        "the surrogate of the last substep",
        (("jnp.maximum(highest, v)", "v"),),
        OF_IZHIKEVICH,
    ),
    (SUBSTEPS, "w does not jump", (("w + shape.jump, w)", "w, w)"),), OF_ADEX),
    (SUBSTEPS, "the width is 1", ((" / shape.width", ""),), OF_IZHIKEVICH),
    (IZHIKEVICH, "w leaks alone", (("a * (b * v - w)", "-a * w"),), OF_IZHIKEVICH),
    (IZHIKEVICH, "141 for 140", (("* v + 140 - w", "* v + 141 - w"),), OF_IZHIKEVICH),
    (IZHIKEVICH, "current of 1 is 1 mV", (("scale * current", "current"),), OF_IZHIKEVICH),
    (
        IZHIKEVICH,
        "the rest of the other branch",
        (("slack - jnp.sqrt(", "slack + jnp.sqrt("),),
        OF_IZHIKEVICH,
    ),
    (
        IZHIKEVICH,
        "chattering neurons reset as bursting ones",
        (("'c': -50.0", "'c': -55.0"),),
        OF_IZHIKEVICH,
    ),
    (ADEX, "no sharpness before the exponential", (("leak * sharpness *", "leak *"),), OF_ADEX),
    (ADEX, "adaptation excites", (("leak * (v - rest) - w)", "leak * (v - rest) + w)"),), OF_ADEX),
    (ADEX, "adaptation of spikes alone", (("(a * (v - rest) - w)", "(-w)"),), OF_ADEX),
    (ADEX, "one time constant for all", ((" - w) / tau_w", " - w) / 144.0"),), OF_ADEX),
    (
        DENDRITES,
        "dendrites exchanged",
        (
            (
                "basal * current[..., 0] + apical * current[..., 1]",
                "basal * current[..., 1] + apical * current[..., 0]",
            ),
        ),
        OF_DENDRITES,
    ),
    (
        DENDRITES,
        "no leak in the conductance",
        (("leak + basal + apical", "basal + apical"),),
        OF_DENDRITES,
    ),
    (DENDRITES, "blind to the step", (("jnp.exp(-g * dt)", "jnp.exp(-g)"),), OF_DENDRITES),
    (
        COMPARTMENTS,
        "apical synapses on basal dendrites",
        (("if which == 0", "if which >= 0"),),
        OF_DENDRITES,
    ),
    (
        COMPARTMENTS,
        "credit of the other dendrite",
        (("signal[..., which]", "signal[..., 1 - which]"),),
        OF_DENDRITES,
    ),
    (
        SIEGERT,
        "sigma is a standard deviation",
        (
            (
                "low = jnp.minimum((reset - mu) / sigma",
                "low = jnp.minimum((reset - mu) / (sigma * 1.4142135623730951)",
            ),
        ),
        OF_NOISE,
    ),
    (SIEGERT, "no refractory period", (("(refractory + tau", "(0 * refractory + tau"),), OF_NOISE),
    (SIEGERT, "no limit of the integral", (("FARTHEST = 8.0", "FARTHEST = 1000.0"),), OF_NOISE),
    (
        NOISE,
        "noise of the size of a moment",
        (("sigma * jnp.sqrt((1 - a ** 2) / 2)", "sigma * jnp.sqrt(dt / tau)"),),
        f"{OF_NOISE} -k {OU}",
    ),
    (
        NOISE,
        "the current does not remember",
        (("eta = a * state.eta + fresh", "eta = fresh"),),
        f"{OF_NOISE} -k {OU}",
    ),
    (
        NOISE,
        "one key for the noise and the neuron",
        (("normal(noise_key, current)", "normal(jax.random.key(0), current)"),),
        OF_NOISE,
    ),
    (
        NOISE,
        "white noise blind to the step",
        (("-2 * dt / tau", "-2 / tau"),),
        f"{OF_NOISE} -k {WHITE}",
    ),
    (
        NOISE,
        "the threshold is raised",
        (("threshold=threshold - shift", "threshold=threshold + shift"),),
        f"{OF_NOISE} -k siegert",
    ),
    (
        NOISE,
        "no correction",
        (("if corrected else 0.0", "if not corrected else 0.0"),),
        f"{OF_NOISE} -k siegert",
    ),
    (
        NOISE,
        "the mean of moments of 1 ms",
        (("return dt * siegert", "return siegert"),),
        f"{OF_NOISE} -k siegert",
    ),
    (
        NOISE,
        "chances above 1",
        (("-jnp.expm1(-jnp.exp(distance) * dt * rate)", "jnp.exp(distance) * dt * rate"),),
        f"{OF_NOISE} -k escape",
    ),
    (
        NOISE,
        "escape blind to the step",
        (("jnp.exp(distance) * dt * rate", "jnp.exp(distance) * rate"),),
        f"{OF_NOISE} -k escape",
    ),
    (NOISE, "overflow", (("* steepness, 20.0)", "* steepness, 1e9)"),), f"{OF_NOISE} -k escape"),
    (
        NOISE,
        "the same draw at every moment",
        (("jax.random.uniform(key,", "jax.random.uniform(jax.random.key(0),"),),
        f"{OF_NOISE} -k escape",
    ),
    (
        SHORT_TERM,
        "facilitation after the release",
        (("released = u * r * x", "released = (u + use * (1 - u) * x) * r * x"),),
        OF_SHORT_TERM,
    ),
    (SHORT_TERM, "nothing is used up", (("(r - released - 1)", "(r - 1)"),), OF_SHORT_TERM),
    (
        SHORT_TERM,
        "u falls to 0",
        (("u = use + (u + use * (1 - u) * x - use)", "u = (u + use * (1 - u) * x)"),),
        OF_SHORT_TERM,
    ),
    (
        SHORT_TERM,
        "blind to the step",
        (("decay(dt, tau_recover, x)", "decay(1.0, tau_recover, x)"),),
        OF_SHORT_TERM,
    ),
    (SHORT_TERM, "U of the weight at rest", (("released / use", "released"),), OF_SHORT_TERM),
    (
        SHORT_TERM,
        "noise stays on",
        (("off=inside.off and behind(inside.off)", "off=None"),),
        OF_SHORT_TERM,
    ),
    (
        RATES,
        "rates drift from the target",
        (("_rate(layer, trace, l) - target", "target - _rate(layer, trace, l)"),),
        OF_RATES,
    ),
    (RATES, "rates in moments", (("mean((0, 1)) / layer.time.dt", "mean((0, 1))"),), OF_RATES),
    (RATES, "a sum over moments", (("(moments * layer.time.dt)", "layer.time.dt"),), OF_RATES),
    (RATES, "gate ignored", (("signal, gate, trace", "signal, None, trace"),), OF_RATES),
    (
        RATES,
        "no path through a recurrent layer",
        (("layer.time is None or layer.time.closed is None", "True"),),
        OF_RATES,
    ),
    (
        RATES,
        "feedback weights that learn do not follow",
        (("if takes_added(factory) else", "if False else"),),
        OF_RATES,
    ),
    (
        RATES,
        "leaky neurons too",
        (("layer.time is not None and layer.neuron.spikes", "layer.time is not None"),),
        OF_RATES,
    ),
]
