"""Nets with an encoder in front: rules, attacks, streams, modulators and training take them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus import encoders
from bioplaus.encoders import in_front, received
from bioplaus.local import pull, send
from bioplaus.measure.robustness import fgsm
from bioplaus.net import layer_key

KEY = jax.random.key(0)
B, N, T = 4, 6, 5
X = jax.random.uniform(jax.random.key(1), (B, N))
Y = jax.nn.one_hot(jnp.arange(B) % 3, 3)
BATCH = bp.Batch(X, Y)

LIF = bp.lif(tau=5.0, threshold=0.3)
WIDE = jax.nn.initializers.normal(1.0)
LAST = bp.after(bp.mean_over_time, bp.dense(3))
NETS = {
    "feed-forward": (bp.over_time(bp.dense(5, LIF, weights=WIDE), dt=2.0), LAST),
    "recurrent": (
        bp.recurrent(bp.dense(5, LIF, weights=WIDE), bp.dense(5, weights=WIDE), dt=2.0),
        LAST,
    ),
}


def close(a, b) -> bool:
    return all(
        np.allclose(x, y, atol=1e-6)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.fixture(scope="module", params=NETS)
def pair(request):
    """A net, the net with an encoder in front, its parameters, and the spikes it receives."""
    net = NETS[request.param]
    front = in_front(net, encoders.poisson(T, 200.0))
    spikes = received(front, X, KEY)
    assert abs(float(spikes.mean()) - float((1 - jnp.exp(-0.4 * X)).mean())) < 0.12  # dt is 2
    return net, front, bp.init(front, KEY, X), spikes


@pytest.mark.parametrize("rule", ["bp", "fa"])
def test_a_rule_learns_from_the_spikes(pair, rule):
    """The gradient is that of the net on the spikes themselves; on others it is not."""
    net, front, params, spikes = pair
    assert close(params, bp.init(net, KEY, spikes))
    factory = bp.rules.RULES[rule]
    encoded = encoders.encoded(factory, encoders.poisson(T, 200.0))(net, bp.cross_entropy)
    plain = factory(net, bp.cross_entropy)
    state = encoded.init(KEY, params, BATCH)
    assert close(state, plain.init(KEY, params, BATCH._replace(x=spikes)))

    grad = jax.jit(plain.grad)
    want = grad(params, state, BATCH._replace(x=spikes), KEY)
    assert close(jax.jit(encoded.grad)(params, state, BATCH, KEY), want)
    answer = encoded.predict(params, state, X, KEY)
    assert close(answer, plain.predict(params, state, spikes, KEY))
    others = received(front, X, jax.random.key(7))  # control
    assert (others != spikes).any()
    assert not close(grad(params, state, BATCH._replace(x=others), KEY)[0], want[0])


def test_gradients_by_the_input_pass_straight_through(pair):
    net, front, params, spikes = pair

    def cost(net, x):
        return bp.cross_entropy(bp.forward(net, params, x, KEY).output, Y).sum()

    by_spikes = jax.grad(lambda x: cost(net, x))(spikes)
    by_input = jax.grad(lambda x: cost(front, x))(X)
    assert np.allclose(by_input, by_spikes.sum(1) * 0.4 * jnp.exp(-0.4 * X), atol=1e-6)
    assert (jnp.abs(by_input).max(1) > 0).any()


def test_the_layer_itself_gives_credit_at_the_input(pair):
    """`pull` and `send` of the layer with the encoder: what those of its moments give."""
    net, front, params, spikes = pair
    trace, k, p = bp.forward(front, params, X, KEY), layer_key(KEY, 0), params[0]
    signal, heard = jax.random.normal(KEY, trace.currents[0].shape), trace.heard[0]
    assert close(
        pull(front[0], p, X, k, signal, heard=heard),
        pull(net[0], p, spikes, k, signal, heard=heard),
    )
    below = send(net[0], p, p, spikes, k, signal, heard=heard)
    found = send(front[0], p, p, X, k, signal, heard=heard)
    assert np.allclose(found, below.sum(1) * 0.4 * jnp.exp(-0.4 * X), atol=1e-5)
    assert not close(found, below.sum(1))  # control


def test_an_attack_acts_on_the_input(pair):
    """The loss rises, for the draw that the attack saw."""
    _, front, params, _ = pair

    def predict(x, key):
        del key  # the draw of each step, so that the attack has one function to climb
        return bp.forward(front, params, x, KEY).output

    found = fgsm(predict, bp.cross_entropy, X, Y, KEY, epsilon=0.3)
    assert found.shape == X.shape
    assert 0.29 < jnp.abs(found - X).max() < 0.31
    losses = [bp.cross_entropy(predict(x, KEY), Y).sum() for x in (X, found, 2 * X - found)]
    assert losses[1] > losses[0] > losses[2]


def test_each_key_and_each_presentation_draws_anew(pair):
    _, front, params, spikes = pair
    pasts, first = bp.advance(front, params, None, X, KEY)
    assert close(first, bp.forward(front, params, X, KEY))
    layer = front[0]
    assert layer.time is not None
    currents = [layer.time.run(params[0], past, X, KEY).current for past in (None, pasts[0])]
    assert not close(*currents)  # the same key, one presentation later
    assert (received(front, X, KEY) == spikes).all()
    assert (received(front, X, jax.random.key(3)) != spikes).any()
    after = bp.advance(front, params, pasts, X, KEY)[0][0]
    assert after is not None
    assert int(after.t) == 2 * T
    at_rest = layer.time.start(params[0], X)
    assert close(bp.advance(front, params, (at_rest, None), X, KEY)[1], first)


def test_without_noise_the_net_receives_the_expected_values(pair):
    net, front, params, _ = pair
    expected = jnp.broadcast_to((1 - jnp.exp(-0.4 * X))[:, None], (B, T, N))
    want = bp.forward(net, params, expected, KEY).output
    for mode in ("off", "mean"):
        quiet = bp.noise_mode(front, mode)
        assert close(bp.forward(quiet, params, X, KEY).output, want)
        assert (received(quiet, X, KEY) == received(quiet, X, jax.random.key(3))).all()
    assert not close(bp.forward(front, params, X, KEY).output, want)  # control
    still = in_front(net, encoders.constant(T))
    assert still[0].off is None


def test_gains_act_behind_the_encoder(pair):
    net, front, params, spikes = pair
    gains = [bp.Gain(scale=jax.random.uniform(KEY, (B, T, 5)), offset=0.2), bp.Gain()]
    want = bp.forward(bp.with_gain(net, gains), params, spikes, KEY).output
    assert close(bp.forward(bp.with_gain(front, gains), params, X, KEY).output, want)
    assert not close(bp.forward(net, params, spikes, KEY).output, want)


def test_training_modulators_and_compositions_take_the_net_as_it_is():
    """Ten steps for two seeds, of a modulated composition on rows of images as spikes."""
    images = jax.random.uniform(KEY, (12, 4, 3, 1))
    moment = bp.dense(5, LIF, weights=WIDE)
    net = in_front((bp.over_time(moment), bp.over_time(moment), LAST), encoders.rows())
    rows = bp.rules.RULES
    mixed = bp.by_layer((rows["fa"], rows["bp"], rows["bp"]))
    rule = bp.modulators.modulate(mixed, bp.modulators.dopamine())(net, bp.cross_entropy)
    train = bp.make_train(
        net, rule, optax.sgd(0.1), bp.Batch(images, jnp.arange(12) % 3), batch_size=4
    )
    runs = bp.replicate(train)
    state, history = runs.advance(runs.init(bp.seed_keys(2)), 10)
    assert history["loss"].shape == (2, 10)
    assert np.isfinite(history["loss"]).all()
    assert not close(*(jax.tree.map(lambda a, i=i: a[i], state.params) for i in range(2)))


def test_answers_at_each_moment_of_an_encoded_net():
    """asked: [B, T], of the moments that the encoder makes, where x is [B, n]."""
    net = (bp.over_time(bp.dense(5, LIF, weights=WIDE)), bp.over_time(bp.dense(3, bp.leaky())))
    front = in_front(net, encoders.latency(T))
    params, spikes = bp.init(front, KEY, X), received(front, X, KEY)
    loss, asked = bp.at_each_moment(bp.cross_entropy), jnp.arange(T)[None] >= jnp.full((B, 1), 2)
    found, want = (
        jax.jit(bp.rules.backprop(n, loss).grad)(params, (), bp.Batch(x, Y, (), asked), KEY)
        for n, x in ((front, X), (net, spikes))
    )
    assert close(found, want)
    rule = bp.rules.backprop(front, loss)
    answer = rule.predict(params, (), X, KEY, asked=asked)  # type: ignore[call-arg]
    assert close(answer, bp.forward(front, params, X, KEY).output[:, 2:].mean(1))
    assert not close(answer, rule.predict(params, (), X, KEY))
    with pytest.raises(ValueError, match=r"asked \(4, 6\) for outputs \(4, 5, 3\)"):
        rule.predict(params, (), X, KEY, asked=jnp.ones((B, N), bool))  # type: ignore[call-arg]
