"""Mutants of layers that hear a context, of how it reaches them, and of data that have one."""

LAYER, CONTEXT, MOMENTS = (
    "bioplaus.layers.contextual",
    "bioplaus.context",
    "bioplaus.layers.moments",
)
DATA = "bioplaus.data.label_maps"
AT_ONCE = "tests/layers/test_contextual.py"
GRADIENTS = " ".join(
    f"{AT_ONCE}::test_{name}"
    for name in (
        "backprop_is_the_gradient_of_a_net_by_hand",
        "feedback_alignment_is_backprop_where_its_feedback_is_the_weights",
        "gains_of_convolutions_are_those_of_channels",
    )
)
WRAPPED = f"{AT_ONCE}::test_wrappers_carry_what_a_layer_hears"
IN_TIME, OF_DATA = "tests/time/test_contextual_over_time.py", "tests/data/test_label_maps.py"

MUTANTS = [
    (LAYER, "the 1 is lost", (("(1 + scale) * a", "scale * a"),), GRADIENTS),
    (LAYER, "no bias of the context", (("* a + bias", "* a"),), GRADIENTS),
    (
        LAYER,
        "errors pass the gain as if it were 1",
        (("signal = jax.vjp(lambda a: gained(params['gains'], a), a)[1](signal)[0]", "pass"),),
        GRADIENTS,
    ),
    (
        LAYER,
        "gains learn from inputs without weights",
        (
            (
                "a = layer.synapse(params['inner'], state, x, key)[1]\n        with",
                "a = signal\n        with",
            ),
        ),
        GRADIENTS,
    ),
    (
        LAYER,
        "errors pass the weights, whatever the feedback",
        (("params['inner'], feedback['inner']", "params['inner'], params['inner']"),),
        GRADIENTS,
    ),
    (
        LAYER,
        "noise off forgets the context",
        (("layer.off, k, name, z)", "layer.off, k, name, None)"),),
        WRAPPED,
    ),
    (
        LAYER,
        "a layer inside does not hear",
        (("_modulated(within(layer, context), k", "_modulated(layer, k"),),
        WRAPPED,
    ),
    (
        LAYER,
        "other examples are taken",
        (("if len(z) != len(a):", "if False:"),),
        f"{AT_ONCE}::test_bad_contexts_are_one_clear_line",
    ),
    (
        CONTEXT,
        "the neurons of before come back",
        (("found._replace(neuron=layer.neuron)", "found"),),
        f"{AT_ONCE}::test_other_neurons_and_gains_stay_in_a_context",
    ),
    (
        CONTEXT,
        "answers hear nothing",
        (("make(in_context(net, context)).predict(", "rule.predict("),),
        f"{AT_ONCE}::test_rules_that_take_it_train_its_gains[bp]",
    ),
    (CONTEXT, "lifted layers are deaf", (("given=given and", "given=None and"),), WRAPPED),
    (CONTEXT, "moments are not seen", (("jnp.ndim(a) > 2 and", "jnp.ndim(a) > 3 and"),), IN_TIME),
    (
        MOMENTS,
        "the first moment's context at all of them",
        (
            (
                "_fold, at_moments(context, x)",
                "_fold, at_moments(jax.tree.map(lambda a: a[:, 0], context), x)",
            ),
        ),
        IN_TIME,
    ),
    (
        MOMENTS,
        "errors cross recurrent synapses without their gains",
        (("below = within(back, context).credit", "below = back.credit"),),
        IN_TIME,
    ),
    (DATA, "labels move the other way", (("contexts) + task)", "contexts) - task)"),), OF_DATA),
    (
        DATA,
        "the context of another example",
        (("np.tile(np.arange(contexts), len(of.y))", "np.repeat(np.arange(contexts), len(of.y))"),),
        OF_DATA,
    ),
]
