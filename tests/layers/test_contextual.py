"""Layers that hear a context: their gradients against `jax.grad` of nets by hand, and what wraps
them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.modulators import modulate, unmodulated
from bioplaus.rules import RULES
from bioplaus.rules.feedback_alignment import State
from bioplaus.study.comparison import CORE
from bioplaus.types import Gain

KEY, B, K = jax.random.key(0), 6, 3
PLAIN = bp.mlp([5, 7, 6, 4])
NET = tuple(bp.contextual(layer, K) for layer in PLAIN)
REFUSE = {"wp", "fg", "ff", "sigprop", "hebb", "oja", "sanger", "bcm", "softhebb", "krotov"}
NEED_TIME = {"td", "stdp", "rstdp"}


def moved(params):
    """Parameters with all weights away from 0, those of the gains too."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(9), len(leaves))
    pairs = zip(leaves, keys, strict=True)
    return tree.unflatten([a + 0.3 * jax.random.normal(k, a.shape, a.dtype) for a, k in pairs])


def gained(q, a, z):
    z_s, z_b = z @ q["gains"]["scale"], z @ q["gains"]["bias"]
    shape = (len(z), *(1,) * (a.ndim - 2), -1)
    return (1 + z_s.reshape(shape)) * a + z_b.reshape(shape)


def by_hand(params, x, z, y):
    h = x
    for l, q in enumerate(params):
        a = gained(q, h @ q["inner"]["w"] + q["inner"]["b"], z)
        h = a if l == len(params) - 1 else jnp.tanh(a)
    return bp.cross_entropy(h, y).mean()


@pytest.fixture
def problem(x64):
    """(params, batch): an analogue context of examples that differ."""
    del x64
    draw = np.random.default_rng(1)
    x, z = (jnp.asarray(draw.standard_normal((B, n))) for n in (5, K))
    y = jax.nn.one_hot(jnp.arange(B) % 4, 4, dtype=x.dtype)
    return moved(bp.init(NET, KEY, x)), bp.Batch(x, y, {"cue": z})


def distance(a, b):
    """The largest difference, in units of the largest entry of each array."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(jnp.abs(u - v).max() / jnp.abs(v).max()) for u, v in pairs)


def grads_of(factory, net, params, batch, state=None):
    rule = factory(net, bp.cross_entropy)
    state = rule.init(KEY, params, batch) if state is None else state
    return jax.jit(rule.grad)(params, state, batch, KEY)[0]


def test_backprop_is_the_gradient_of_a_net_by_hand(problem):
    params, batch = problem
    slope = jax.jit(jax.grad(by_hand))
    true = slope(params, batch.x, batch.context["cue"], batch.y)
    grads = grads_of(bp.rules.backprop, NET, params, batch)
    assert distance(grads, true) < 1e-12
    other = slope(params, batch.x, batch.context["cue"][::-1], batch.y)
    assert distance(grads, other) > 0.1  # negative control: examples in one another's contexts
    assert distance(true, slope(params, batch.x, 0 * batch.context["cue"], batch.y)) > 0.1


def test_feedback_alignment_is_backprop_where_its_feedback_is_the_weights(problem):
    params, batch = problem
    true = grads_of(bp.rules.backprop, NET, params, batch)
    aligned = State(((), *params[1:]))
    grads = grads_of(bp.rules.feedback_alignment, NET, params, batch, aligned)
    assert distance(grads, true) < 1e-12
    drawn = grads_of(bp.rules.feedback_alignment, NET, params, batch)
    assert distance(drawn, true) > 0.5
    for part in ("inner", "gains"):  # random feedback changes both, below the readout
        assert distance(drawn[0][part], true[0][part]) > 0.1
    assert distance(drawn[-1], true[-1]) < 1e-12


def test_gains_of_convolutions_are_those_of_channels(x64):
    del x64
    layer = bp.contextual(bp.conv(3, 2, bp.tanh()), K)
    net = (layer, bp.flattened(bp.dense(4)))
    x = jax.random.normal(KEY, (B, 4, 4, 2))
    z, y = jax.random.normal(jax.random.key(3), (B, K)), jax.nn.one_hot(jnp.arange(B) % 4, 4)
    params = moved(bp.init(net, KEY, x))

    def loss(params):
        inner = bp.forward((bp.conv(3, 2),), (params[0]["inner"],), x, KEY).output
        h = jnp.tanh(gained(params[0], inner, z)).reshape(B, -1)
        return bp.cross_entropy(h @ params[1]["w"] + params[1]["b"], y).mean()

    grads = grads_of(bp.rules.backprop, net, params, bp.Batch(x, y, {"cue": z}))
    true = jax.jit(jax.grad(loss))(params)
    assert distance(grads, true) < 1e-12
    assert params[0]["gains"]["scale"].shape == (K, 3)


@pytest.mark.parametrize("name", ["bp", "fa", "dfa", "pc", "ep"])
def test_weights_of_zero_are_the_layer_itself_to_the_bit(name, problem):
    batch = problem[1]
    params = bp.init(NET, KEY, batch.x)
    inner = bp.init(PLAIN, KEY, batch.x)
    jax.tree.map(np.testing.assert_array_equal, tuple(q["inner"] for q in params), inner)
    rule, plain = (RULES[name](net, bp.cross_entropy) for net in (NET, PLAIN))

    def answer(rule, params, context):
        state = rule.init(KEY, params, batch)
        return jax.jit(rule.predict)(params, state, batch.x, KEY, context)

    want = answer(plain, inner, ())
    np.testing.assert_array_equal(answer(rule, params, batch.context), want)
    assert jnp.abs(answer(rule, moved(params), batch.context) - want).max() > 0.1


TAKE = [
    name if name in CORE else pytest.param(name, marks=pytest.mark.slow)
    for name in sorted(RULES.keys() - REFUSE - NEED_TIME)
]


@pytest.mark.parametrize("name", TAKE)
def test_rules_that_take_it_train_its_gains(name):
    """Together with the weights of the same layer, and otherwise in another context."""
    x = jax.random.normal(KEY, (B, 5))
    y, z = jax.nn.one_hot(jnp.arange(B) % 4, 4), jax.nn.one_hot(jnp.arange(B) % K, K)
    params, batch = moved(bp.init(NET, KEY, x)), bp.Batch(x, y, {"cue": z})
    rule = RULES[name](NET, bp.cross_entropy)

    @jax.jit
    def learned():
        state = rule.init(KEY, params, batch)
        answers = [rule.predict(params, state, x, KEY, {"cue": c}) for c in (z, z[::-1])]
        return rule.grad(params, state, batch, KEY)[0], *answers

    grads, out, other = learned()
    for grad in grads:
        learns = jnp.abs(grad["inner"]["w"]).max() > 0
        assert all((jnp.abs(g).max() > 0) == learns for g in jax.tree.leaves(grad["gains"]))
    assert jnp.abs(grads[-1]["gains"]["scale"]).max() > 0
    assert jnp.abs(out - other).max() > 0.01


@pytest.mark.parametrize("name", sorted(REFUSE))
def test_rules_that_cannot_hear_say_so_before_they_work(name):
    with pytest.raises(ValueError, match="layer 0 hears a context, which this rule refuses"):
        RULES[name](NET, bp.cross_entropy)
    assert RULES[name](PLAIN, bp.cross_entropy)


WRAPPERS = {
    "after": functools.partial(bp.after, jnp.tanh),
    "flattened": bp.flattened,
    "group_normed": functools.partial(bp.group_normed, 2),
    "fixed": bp.fixed,
    "synaptic_release": lambda layer: bp.synaptic_release(layer, 0.7),
    "quantal": lambda layer: bp.quantal(layer, 0.7),
    "device_noise": lambda layer: bp.device_noise(layer, 0.2),
    "noisy_credit": lambda layer: bp.noisy_credit(layer, 0.5),
    "basal": bp.basal,
    "apical": bp.apical,
    "contextual": lambda layer: bp.contextual(bp.synaptic_release(layer, 0.7), K, key="other"),
}
OVER_TIME = {
    "over_time": bp.over_time,
    "over_time at dt": lambda layer: bp.over_time(layer, dt=2.0),
    "recurrent": lambda layer: bp.recurrent(layer, bp.dense(4)),
    "short_term": lambda layer: bp.over_time(bp.short_term(layer)),
    "synaptic_release": lambda layer: bp.over_time(
        bp.synaptic_release(layer, 0.7, each_moment=True)
    ),
    "encoder": lambda layer: bp.encoders.in_front(
        bp.over_time(layer), bp.encoders.bernoulli(steps=3)
    )[0],
}


@pytest.mark.parametrize("name", [*WRAPPERS, *(f"{n}, over time" for n in OVER_TIME)])
def test_wrappers_carry_what_a_layer_hears(name):
    """A wrapped layer in a context is the wrapper of the layer in that context."""
    kind = name.removesuffix(", over time")
    wrap = WRAPPERS[kind] if kind == name else OVER_TIME[kind]
    inner = bp.contextual(bp.dense(4, bp.tanh()), K)
    layer, x = wrap(inner), jax.random.uniform(KEY, (B, 5))
    if kind != name and kind != "encoder":
        x = jax.random.uniform(KEY, (B, 2, 5))
    params = moved(bp.init((layer,), KEY, x))
    z = jax.nn.one_hot(jnp.arange(B) % K, K)
    context = {"cue": z, "other": z[::-1]}

    def current(layer):
        return bp.forward((layer,), params, x, KEY).currents[0]

    (heard,) = bp.in_context((layer,), context)
    there = current(heard)
    assert heard.given is None
    assert jnp.abs(there - current(layer)).max() > 0.01
    if kind == name:
        around = (wrap(*bp.in_context((inner,), context)),)
        np.testing.assert_array_equal(there, current(*bp.in_context(around, context)))
    else:  # the same context at all moments
        moments = {"cue": jnp.repeat(z[:, None], 3 if kind == "encoder" else 2, 1)}
        np.testing.assert_array_equal(there, current(*bp.in_context((layer,), moments)))
    quiet = bp.noise_mode((layer,), "off")
    later = bp.noise_mode((heard,), "off")
    assert jnp.abs(current(*later) - current(*quiet)).max() > 0.01
    np.testing.assert_array_equal(current(*bp.in_context(quiet, context)), current(*later))


def test_other_neurons_and_gains_stay_in_a_context(problem):
    """Whether excitability and noise are changed before the context is heard, or after."""
    params, batch = problem
    noisy = tuple(layer._replace(neuron=bp.gaussian(bp.relu(), 0.3)) for layer in NET)
    gains = [Gain(scale=2.0), Gain(out=0.5), Gain(offset=0.1)]

    def before(net):
        return bp.in_context(bp.with_gain(bp.noise_mode(net, "off"), gains), batch.context)

    def later(net):
        return bp.with_gain(bp.noise_mode(bp.in_context(net, batch.context), "off"), gains)

    first, second = (bp.forward(f(noisy), params, batch.x, KEY).output for f in (before, later))
    np.testing.assert_array_equal(first, second)
    loud = bp.forward(bp.in_context(noisy, batch.context), params, batch.x, KEY).output
    assert jnp.abs(loud - first).max() > 0.1


def test_modulated_rules_hear_the_same_context(problem):
    params, batch = problem
    alone = grads_of(bp.rules.feedback_alignment, NET, params, batch)
    under = grads_of(modulate(bp.rules.feedback_alignment, unmodulated()), NET, params, batch)
    jax.tree.map(np.testing.assert_array_equal, alone, under)
    turned = batch._replace(context={"cue": batch.context["cue"][::-1]})
    assert distance(grads_of(bp.rules.feedback_alignment, NET, params, turned), alone) > 0.1


def test_costs_count_the_synapses_of_the_context(problem):
    """k (n_1 + ... + n_L) MACs forward for W_s, as many for W_b, and as many updates each."""
    params, batch = problem
    inner = tuple(q["inner"] for q in params)
    counts = [
        bp.measure.cost(bp.rules.backprop(net, bp.cross_entropy), net, batch, params=p)
        for net, p in ((NET, params), (PLAIN, inner))
    ]
    units = 7 + 6 + 4
    with_gains, without = (c.phases["forward"].macs for c in counts)
    assert with_gains - without >= 2 * K * units
    assert counts[0].inference_macs - counts[1].inference_macs >= 2 * K * units
    card = bp.measure.card(bp.rules.backprop(NET, bp.cross_entropy), NET, batch)
    assert card.transport_words == 7 * 6 + 6 * 4  # gains are crossed inside of their layer


def test_bad_contexts_are_one_clear_line(problem):
    params, batch = problem
    rule = bp.rules.backprop(NET, bp.cross_entropy)
    cases = [
        ((), "contextual: the batch's context has no entries, and 'cue' is read; expected"),
        ({"task": jnp.arange(B)}, "the batch's context has 'task', and 'cue' is read"),
        (
            {"cue": jnp.zeros((B, 2))},
            r"context\['cue'\] of each moment is float\d\d\[6, 2\]; expected real numbers, \[B",
        ),
        ({"cue": jnp.arange(B)}, r"of each moment is int\d\d\[6\]; expected real numbers"),
        ({"cue": jnp.ones((B, 3)) * 1j}, r"is complex\d+\[6, 3\]; expected real numbers"),
    ]
    for context, message in cases:
        with pytest.raises(ValueError, match=message):
            rule.grad(params, (), batch._replace(context=context), KEY)
        with pytest.raises(ValueError, match=message):
            rule.predict(params, (), batch.x, KEY, context)
    with pytest.raises(ValueError, match=r"has 4 examples, and the layer is given 6"):
        rule.predict(params, (), batch.x, KEY, {"cue": jnp.zeros((4, 3))})
    with pytest.raises(ValueError, match="contextual: the layer runs over time already"):
        bp.contextual(bp.over_time(bp.dense(4)), K)
    with pytest.raises(ValueError, match="k: expected a whole number at least 1"):
        bp.contextual(bp.dense(4), 0)
