"""Mutants of attention, of normalisation, of cluttered images and of receptive fields."""

ATTENTION, CONTEXTS = "bioplaus.modulators.attention", "bioplaus.modulators.contexts"
NORMALISATION, CLUTTER = "bioplaus.neurons.normalisation", "bioplaus.data.clutter"
RECEPTIVE = "bioplaus.measure.receptive"
OF_ATTENTION = "tests/modulators/test_attention.py"
OF_NORMALISATION = "tests/neurons/test_normalisation.py"
OF_CLUTTER, OF_RECEPTIVE = "tests/data/test_clutter.py", "tests/measure/test_receptive.py"

MUTANTS = [
    (
        ATTENTION,
        "the width is not squared",
        (("(2 * jnp.asarray(width) ** 2)", "(2 * width)"),),
        OF_ATTENTION,
    ),
    (
        ATTENTION,
        "the floor is added",
        (("floor + (1 - floor) * near", "floor + near"),),
        OF_ATTENTION,
    ),
    (ATTENTION, "rows for columns", (("(at - to)", "(at[..., ::-1] - to)"),), OF_ATTENTION),
    (ATTENTION, "the gain of all layers", (("if l == layer", "if True"),), OF_ATTENTION),
    (ATTENTION, "on the output", (("Gain(scale) if", "Gain(out=scale) if"),), OF_ATTENTION),
    (
        ATTENTION,
        "linear in strength",
        (("jnp.exp(jnp.asarray(strength) * pref", "(1 + strength * pref"),),
        OF_ATTENTION,
    ),
    (
        CONTEXTS,
        "a negative number counts from the end",
        (("numbers < 0", "numbers < -9"),),
        OF_ATTENTION,
    ),
    (
        CONTEXTS,
        "out of range is the last",
        (("mode='fill', fill_value=jnp.nan", "mode='clip'"),),
        OF_ATTENTION,
    ),
    (
        NORMALISATION,
        "sigma without its exponent",
        (("(sigma) ** exponent", "(sigma)"),),
        OF_NORMALISATION,
    ),
    (
        NORMALISATION,
        "the pool of rates",
        (("pool(drive)", "pool(jnp.maximum(output, 0.0))"),),
        OF_NORMALISATION,
    ),
    (
        NORMALISATION,
        "no rectification",
        (("jnp.maximum(output, 0.0)", "output"),),
        OF_NORMALISATION,
    ),
    (
        NORMALISATION,
        "the pool gets no credit",
        (("+ pool(drive)", "+ __import__('jax').lax.stop_gradient(pool(drive))"),),
        OF_NORMALISATION,
    ),
    (
        NORMALISATION,
        "all examples share a pool",
        (("range(1, drive.ndim)", "range(drive.ndim)"),),
        OF_NORMALISATION,
    ),
    (
        NORMALISATION,
        "noise stays on",
        (("quiet and normalised(quiet)", "quiet and normalised(neuron)"),),
        OF_NORMALISATION,
    ),
    (CLUTTER, "the other in the same place", (("place + 1 +", "place +"),), OF_CLUTTER),
    (
        CLUTTER,
        "the other of the same label",
        (("ends[mine] + ahead", "ends[mine] - 1 - ahead"),),
        OF_CLUTTER,
    ),
    (
        CLUTTER,
        "labels of the other",
        (("Batch(canvas, y[asked]", "Batch(canvas, context.get('other', y[asked])"),),
        OF_CLUTTER,
    ),
    (CLUTTER, "columns for rows", (("place // 2 * h", "place % 2 * h"),), OF_CLUTTER),
    (
        CLUTTER,
        "no jitter",
        (("_drawn(len(which), (seed, 3), jitter + 1)", "0 * which"),),
        OF_CLUTTER,
    ),
    (
        RECEPTIVE,
        "a field is not squared",
        (("jnp.asarray(fields) ** 2", "abs(jnp.asarray(fields))"),),
        OF_RECEPTIVE,
    ),
    (
        RECEPTIVE,
        "size of both axes together",
        (("sum((-2, -1)) / 2)", "sum((-2, -1)))"),),
        OF_RECEPTIVE,
    ),
    (
        RECEPTIVE,
        "the distance for the shift",
        (("(centre(after) - start) * way", "way * way"),),
        OF_RECEPTIVE,
    ),
    (
        RECEPTIVE,
        "no scaling of small fields",
        (("energy(scaled)", "energy(fields)"),),
        OF_RECEPTIVE,
    ),
    (
        RECEPTIVE,
        "sd twice",
        (("jnp.tensordot(h, z, 0)) / sd", "jnp.tensordot(h, z, 0)) / sd ** 2"),),
        OF_RECEPTIVE,
    ),
    (
        RECEPTIVE,
        "the mean response stays",
        (("both - jnp.tensordot(h, z, 0)", "both"),),
        OF_RECEPTIVE,
    ),
    (
        RECEPTIVE,
        "the size of the energy for that of the field",
        (("2 * size(before) ** 2", "size(before) ** 2"),),
        OF_RECEPTIVE,
    ),
    (
        RECEPTIVE,
        "energy of attention",
        (("(2 * jnp.asarray(width) ** 2)", "jnp.asarray(width) ** 2"),),
        OF_RECEPTIVE,
    ),
]
