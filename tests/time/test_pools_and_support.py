"""What a rule declares of nets over time is what is refused; and how moments are pooled."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.pools import is_pool, moment_shapes, of_sequence, to_moments
from bioplaus.rules import RULES
from bioplaus.support import needs_rewards, over_time_of, takes_added, words

KEY = jax.random.key(0)
B, T, N, C = 2, 5, 4, 3
EACH = bp.at_each_moment(bp.cross_entropy)


def net_of(layer, pool=bp.mean_over_time):
    return (layer, bp.after(pool, bp.dense(C)))


def over(neuron):
    return bp.over_time(bp.dense(N, neuron))


LIF, LEAKY, TANH = (net_of(over(n)) for n in (bp.lif(), bp.leaky(), bp.tanh()))
SYNAPSES = net_of(bp.over_time(bp.short_term(bp.dense(N, bp.tanh()))))
LOOP = net_of(bp.recurrent(bp.dense(N, bp.tanh()), bp.dense(N)))
MOMENTS = (over(bp.tanh()), over(bp.leaky()))
SPIKES_LAST = (over(bp.lif()), bp.over_time(bp.dense(C)))
DENSE = bp.mlp((N, N, C))

# field of OverTime -> (nets that it refuses, nets that it takes)
DECLARED = {
    "nets": ((TANH, LIF, LOOP), (DENSE,)),
    "recurrent": ((LOOP,), (TANH, LIF, DENSE)),
    "spikes": ((LIF,), (TANH, LEAKY, DENSE)),
    "memory": ((LIF, LEAKY, SYNAPSES), (TANH, LOOP, DENSE)),
    "moment": ((DENSE,), (TANH, LIF)),
    "rates": ((TANH, LEAKY), (LIF, SPIKES_LAST)),
}


def declaring(**fields):
    return bp.learning_rule(time=bp.OverTime(**fields))(lambda net, loss: RULES["bp"](net, loss))


@pytest.mark.parametrize("field", DECLARED)
def test_what_is_declared_is_refused(field):
    refused, taken = DECLARED[field]
    factory = declaring(**{field: "this is why"})
    for net in refused:
        with pytest.raises(ValueError, match="this is why"):
            factory(net, bp.cross_entropy)
        declaring()(net, bp.cross_entropy)
    for net in taken:
        factory(net, bp.cross_entropy)


def test_the_layer_that_is_refused_is_named():
    with pytest.raises(ValueError, match="layer 1 remembers"):
        declaring(memory="why")((*MOMENTS,), EACH)


def test_answers_at_each_moment_are_refused_by_the_loss():
    factory = declaring(each_moment="this is why")
    with pytest.raises(ValueError, match="at_each_moment is refused by this rule: this is why"):
        factory(MOMENTS, EACH)
    factory(TANH, bp.cross_entropy)
    declaring()(MOMENTS, EACH)


def test_declarations_are_seen_through_bound_hyperparameters():
    bind = functools.partial
    assert over_time_of(bind(bind(RULES["fa"], scale=0.5), scale=1.0)) == bp.OverTime()
    assert over_time_of(lambda net, loss: None) is None
    rewarded = bp.learning_rule(rewards=True)(lambda net, loss: RULES["bp"](net, loss))
    for declared, yes in ((needs_rewards, rewarded), (takes_added, RULES["kp"])):
        assert declared(bind(yes))
        assert not declared(RULES["fa"])


WORDS = {
    "not declared": None,
    "no": bp.OverTime(nets="why", streams=True),
    "spikes and rates": bp.OverTime(still="why"),
    "rates": bp.OverTime(spikes="why"),
    "rates without memory": bp.OverTime(spikes="why", memory="why"),
    "spikes, needs time": bp.OverTime(rates="why", moment="why"),
    "spikes and rates, no recurrent layers, one answer a sequence, streams": bp.OverTime(
        recurrent="why", each_moment="why", streams=True
    ),
}


@pytest.mark.parametrize("said", WORDS)
def test_words(said):
    assert words(WORDS[said]) == said


def test_a_pool_is_what_is_declared_as_one():
    @bp.pools_moments
    def power(h, p):
        return (h**p).mean(1)

    assert is_pool(bp.last_moment)
    assert is_pool(functools.partial(functools.partial(power), p=2))
    assert not is_pool(lambda h: h.mean(1))
    marked = bp.pools_moments(functools.partial(lambda h, p: h.sum(p), p=1))
    assert is_pool(marked)


def test_pools_take_moments_to_an_answer_and_signals_back():
    draw = np.random.default_rng(0)
    h, signal = jnp.asarray(draw.normal(size=(B, T, N))), jnp.asarray(draw.normal(size=(B, N)))
    last = net_of(over(bp.tanh()), bp.last_moment)
    np.testing.assert_allclose(of_sequence(TANH, TANH[0], h), h.mean(1), rtol=1e-6)
    np.testing.assert_array_equal(of_sequence(last, last[0], h), h[:, -1])
    shared = np.broadcast_to(signal[:, None] / T, h.shape)
    np.testing.assert_allclose(to_moments(TANH, TANH[0], h, signal), shared, rtol=1e-6)
    at_last = to_moments(last, last[0], h, signal)
    np.testing.assert_array_equal(at_last[:, -1], signal)
    assert not np.any(at_last[:, :-1])
    for net, l in ((MOMENTS, 0), (TANH, 1), (DENSE, 0)):  # without a pool in between
        assert of_sequence(net, net[l], h) is h
    plain = net_of(over(bp.tanh()), lambda h: h.mean(1))
    with pytest.raises(ValueError, match="net: layer 1 reads whole sequences by a map"):
        of_sequence(plain, plain[0], h)


def test_shapes_of_one_moment():
    x = jnp.ones((B, T, N))
    for net, y in ((TANH, jnp.ones((B, C))), (MOMENTS, jnp.ones((B, T, N)))):
        params = jax.eval_shape(lambda net=net: bp.init(net, KEY, x))
        found = moment_shapes(net, params, bp.Batch(x, y), KEY)
        assert [a.shape for a in found] == [(B, N), (B, y.shape[-1])]
