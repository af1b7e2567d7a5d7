"""Mutants of the pools of moments, and of what rules declare of nets over time."""

POOLS, SUPPORT, LEARNING = "bioplaus.pools", "bioplaus.support", "bioplaus.entry"
TESTS = "tests/time/test_pools_and_support.py"

MUTANTS = [
    (POOLS, "bound pools are none", (("function = function.func", "return False"),), TESTS),
    (POOLS, "every map is a pool", (("'pools_moments', False)", "'pools_moments', True)"),), TESTS),
    (
        POOLS,
        "marks of bound functions are not seen",
        ((" and (not hasattr(function, 'pools_moments'))", ""),),
        TESTS,
    ),
    (
        POOLS,
        "layers of one moment are pooled",
        (("layer.time is None or net[-1].time is not None", "net[-1].time is not None"),),
        TESTS,
    ),
    (
        POOLS,
        "answers at each moment are pooled",
        (("layer.time is None or net[-1].time is not None", "layer.time is None"),),
        TESTS,
    ),
    (
        POOLS,
        "the last readout for the first",
        (("enumerate(net) if each", "enumerate(net) if not each"),),
        TESTS,
    ),
    (POOLS, "no refusal", (("readout.pool is None", "False"),), TESTS),
    (
        POOLS,
        "a signal of all moments at each",
        (("h)[1](signal)[0]", "h)[1](signal)[0] * h.shape[1]"),),
        TESTS,
    ),
    (POOLS, "shapes of sequences", (("(a.shape[0], *a.shape[2:])", "a.shape"),), TESTS),
    (POOLS, "shapes without examples", (("(a.shape[0], *a.shape[2:])", "a.shape[1:]"),), TESTS),
    (SUPPORT, "bound hyperparameters hide it", (("factory = factory.func", "break"),), TESTS),
    (SUPPORT, "nets of one moment are taken", (("declared.moment is not None:", "False:"),), TESTS),
    (SUPPORT, "the last layer counts as hidden", ((" and (not last)", ""),), TESTS),
    (SUPPORT, "rates are taken", (("declared.rates is not None and", "False and"),), TESTS),
    (
        SUPPORT,
        "all nets over time are taken",
        (("declared.nets, True)", "declared.nets, False)"),),
        TESTS,
    ),
    (SUPPORT, "recurrent layers are taken", (("layer.time.closed is not None", "False"),), TESTS),
    (
        SUPPORT,
        "all layers count as recurrent",
        (("layer.time.closed is not None", "True"),),
        TESTS,
    ),
    (SUPPORT, "spikes are taken", (("layer.time.moment.neuron.spikes)", "False)"),), TESTS),
    (SUPPORT, "states of neurons are none", ((" or bool(jax.tree.leaves(state))", ""),), TESTS),
    (SUPPORT, "states of synapses are none", (("moment.rest is not None or ", ""),), TESTS),
    (
        SUPPORT,
        "only the first layer counts",
        (("in enumerate(net):", "in enumerate(net[:1]):"),),
        TESTS,
    ),
    (SUPPORT, "each moment is taken", (("declared.each_moment is not None:", "False:"),), TESTS),
    (SUPPORT, "each moment is always refused", (("at_moments(loss) and ", ""),), TESTS),
    (
        SUPPORT,
        "memory is not told",
        (("'rates' if declared.memory is None else 'rates without memory'", "'rates'"),),
        TESTS,
    ),
    (SUPPORT, "streams are not told", (("if declared.streams", "if False"),), TESTS),
    (
        LEARNING,
        "rewards are not declared",
        (("made.rewards = rewards", "made.rewards = False"),),
        TESTS,
    ),
    (LEARNING, "nothing is added", (("made.added = added", "made.added = False"),), TESTS),
]
