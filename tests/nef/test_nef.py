"""Ensembles, networks that run on, an ensemble as a layer, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus import nef
from bioplaus.nef import Connection
from bioplaus.testing import check_rule

KEY = jax.random.key(0)
A = nef.ensemble(KEY, 20, 1)


def test_gain_and_bias_meet_rates_and_intercepts(x64):
    for kind in (nef.lif(), nef.rectified_linear()):
        max_rates, intercepts = jnp.array([150.0, 300.0]), jnp.array([-0.5, 0.4])
        gain, bias = kind.gain_bias(max_rates, intercepts)
        np.testing.assert_allclose(kind.rates(gain + bias), max_rates, rtol=1e-12)
        np.testing.assert_allclose(kind.rates(gain * (intercepts - 1e-9) + bias), 0, atol=1e-6)
        assert (kind.rates(gain * (intercepts + 0.01) + bias) > 0).all()


def test_spikes_come_at_the_steady_rate(x64):
    kind, j = nef.lif(), jnp.linspace(0.5, 8, 6)

    def rate_of(state, dt):
        spikes = jax.lax.scan(lambda s, _: kind.step(s, j, dt), state, length=3000)[1]
        return spikes[1000:].mean(0)

    at = rate_of(kind.start(jnp.zeros(6)), 0.001)
    assert jnp.abs(at - kind.rates(j)).max() < 1  # a spike more or less in 2 s
    assert jnp.abs(at - nef.lif(tau_ref=0.003).rates(j)).max() > 10


def test_many_runs_at_once_and_runs_that_go_on_are_the_same():
    def seen(key, u, pieces=1):
        net, state, out = nef.network(nef.integrator(key, 15)), None, []
        for piece in jnp.split(u, pieces):
            state, found = nef.run(net, {"input": piece}, state=state)
            out.append(found["output"])
        return jnp.concatenate(out)

    keys, u = jax.random.split(KEY, 2), jnp.ones((100, 1))
    together = jax.jit(jax.vmap(seen, (0, None)))(keys, u)
    alone = jax.jit(lambda k: seen(k, u, pieces=2))(keys[1])
    np.testing.assert_allclose(together[1], alone, atol=1e-5)
    assert jnp.abs(together[0] - alone).max() > 1e-3


def layers(neurons):
    ensembles = [nef.ensemble(jax.random.fold_in(KEY, i), 12, 3, neurons=neurons) for i in (0, 1)]
    return (
        *(nef.represented(e, weights=jax.nn.initializers.normal(0.5)) for e in ensembles),
        bp.dense(4),
    )


def test_the_contract_holds_on_ensembles_as_layers():
    with jax.enable_x64():
        x = jax.random.normal(KEY, (8, 5), jnp.float64)
        batch = bp.Batch(x, jax.nn.one_hot(jnp.arange(8) % 4, 4, dtype=x.dtype))
        net = layers(nef.rectified_linear())
        check_rule(bp.rules.feedback_alignment, net, bp.cross_entropy, batch)


def test_a_layer_is_encode_and_decode(x64):
    e = nef.ensemble(KEY, 12, 3)
    layer = nef.represented(e)
    x = jax.random.normal(KEY, (8, 12))
    params = bp.init((layer,), KEY, x)
    out = bp.forward((layer,), params, x, KEY).output
    vector = x @ params[0]["decoders"]
    np.testing.assert_allclose(out, nef.rates(e, vector) / 1000, rtol=1e-12)
    assert params[0]["decoders"].shape == (12, 3)
    with pytest.raises(ValueError, match="flatten images"):
        bp.init((layer,), KEY, x[None])


def test_pes_is_the_gradient_of_a_linear_readout(x64):
    """For steady rates and no synapse before the activities: -kappa dt / n times the gradient."""
    a = nef.ensemble(KEY, 12, 1)._replace(neurons=nef.lif_rate())
    x, y, d = jnp.array([[0.4]]), jnp.array([[-0.2]]), nef.decoders(a)
    activities = nef.rates(a, x)

    def loss(d):
        return 0.5 * jnp.sum((activities @ d - y) ** 2)

    rule = nef.pes("error", 1e-3, pre=nef.lowpass(0.0))
    error = (activities @ d - y)[0]
    seen = nef.Seen(activities[0], jnp.zeros(1), error, error)
    change = rule.step(rule.start(seen), d, seen, (), 0.001)[1]
    np.testing.assert_allclose(change, -1e-3 * 0.001 / 12 * jax.grad(loss)(d), rtol=1e-12)


def wrong(**parts):
    ensembles, nodes = {"a": A}, {"u": nef.source(2)}
    return lambda: nef.network(nef.Model(**{"ensembles": ensembles, "nodes": nodes, **parts}))


REFUSED = [
    (wrong(connections=(Connection("u", "b"),)), "names 'b'.*are: 'a', 'u'"),
    (wrong(connections=(Connection("u", "a"),)), r"sends 2 numbers.*takes 1; give a transform"),
    (wrong(connections=(Connection("a", "a", synapse=None),)), "wait for one another"),
    (wrong(connections=(Connection("a", "a", weights=jnp.ones((3, 1))),)), r"expected \[20, k\]"),
    (wrong(connections=(Connection("a", "a", learning=nef.pes("e")),)), r"nef.relay\(1\)"),
    (wrong(connections=(Connection("a", "a", learning=nef.oja()),)), "to_neurons=True"),
    (wrong(nodes={"a": nef.source(1)}), "names an ensemble and a node"),
    (wrong(probes={"p": nef.Probe("u", activities=True)}), "give it an ensemble"),
    (lambda: nef.run(nef.network(nef.integrator(KEY, 5))), r"\[T, 1\]"),
    (lambda: nef.ensemble(KEY, 5, 1, intercepts=(0.5, 2.0)), "intercepts is"),
    (lambda: nef.ensemble(KEY, 5, 2, encoders=np.ones((5, 1))), "got encoders"),
    (lambda: nef.decoders(A, lambda x: jnp.ones((2, 2))), "expected a scalar or a vector"),
    (lambda: nef.associative_memory(KEY, 5, jnp.eye(3), jnp.eye(2)), r"items \(2, 2\); expected"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_refusals_say_what_to_do(make, message):
    with pytest.raises(ValueError, match=message) as raised:
        make()
    assert "\n" not in str(raised.value)
