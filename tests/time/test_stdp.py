"""Spike-timing-dependent plasticity: what it refuses, layers that stay, rewards, and streams."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sequence_nets import KEY, NETS, WIDE, B, C, T, X, Y, net_of

import bioplaus as bp
from bioplaus.identities.any_net import posed
from bioplaus.identities.stdp_on_net import on_net
from bioplaus.modulators import dopamine, modulate, signed
from bioplaus.support import needs_time, words
from bioplaus.testing import standard

BATCH = bp.Batch(X, Y)
RULES = {"stdp": bp.rules.stdp, "rstdp": bp.rules.rstdp}


def gradient(factory, net, batch=BATCH, gate=None):
    rule = factory(net, bp.cross_entropy)
    params = bp.init(net, KEY, batch.x)
    state = rule.init(KEY, params, batch)
    return params, jax.jit(rule.grad)(params, state, batch, KEY, gate)[0]


@pytest.mark.parametrize("key", RULES)
def test_needs_spikes_in_time(key):
    """A net of one moment, rates, and synapses that are not linear: one line, before any work."""
    wrong = {
        "learns from the order of spikes in time; give": bp.mlp([4, 5, 3]),
        "layer 0 has neurons that do not fire": NETS["leaky"],
        "layer 2 has neurons that do not fire": (*NETS["LIF"], bp.dense(3)),
        "synapses of layer 0 are not linear": (
            bp.over_time(bp.short_term(bp.dense(4, bp.lif()))),
            bp.after(bp.mean_over_time, bp.dense(C)),
        ),
    }
    for match, net in wrong.items():
        with pytest.raises(ValueError, match=match) as caught:
            RULES[key](net, bp.cross_entropy)
        assert "\n" not in str(caught.value)
    assert words(RULES[key].over_time) == "spikes, streams, needs time"


def test_checks_go_to_the_net_that_a_rule_needs(x64):
    assert needs_time(functools.partial(bp.rules.rstdp, tau_eligibility=5.0))
    assert not needs_time(bp.rules.backprop)
    assert standard(bp.rules.stdp).batch.x.ndim == 3
    assert standard(bp.rules.backprop).batch.x.ndim == 2


def test_all_means_what_the_net_can_be(capsys):
    from bioplaus.cli.dispatch import _all

    assert not {"stdp", "rstdp"} & {*_all("mlp", "digits")}
    assert "left out: stdp: it learns in nets over time alone" in capsys.readouterr().out
    assert {"stdp", "rstdp"} <= {*_all(None, "spoken-digits")}


def test_convolutions(x64):
    """Weights of all positions learn from the traces there; streams of rstdp refuse them."""
    shape = (3, T, 5, 5, 2)
    x = jnp.asarray(np.random.default_rng(0).random(shape) < 0.5, float)
    conv = bp.over_time(bp.conv(3, 3, bp.lif(), weights=WIDE))
    net = (conv, bp.after(lambda h: h.mean(1).reshape(3, -1), bp.dense(C)))
    batch = bp.Batch(x, jnp.eye(C)[jnp.arange(3) % C])
    for check in on_net("rstdp", bp.rules.rstdp, posed(net, bp.cross_entropy, batch)):
        assert check.passed, check
    answers = bp.over_time(bp.flattened(bp.dense(C, bp.leaky())))
    rule = bp.rules.rstdp((conv, answers), bp.at_each_moment(bp.cross_entropy))
    params = bp.init((conv, answers), KEY, x)
    batch = batch._replace(y=jnp.broadcast_to(batch.y[:, None], (3, T, C)))
    assert rule.stream is not None
    with pytest.raises(ValueError, match="do not end in the shape of their units"):
        jax.eval_shape(rule.stream.init, KEY, params, batch)


def inhibited(wrap):
    """A recurrent layer whose own synapses are wrapped, under another layer."""
    inhibit = wrap(bp.dense(4, weights=lambda key, shape, dtype: -0.3 * jnp.ones(shape, dtype)))
    above = bp.after(bp.mean_over_time, bp.dense(C, weights=WIDE))
    second = bp.over_time(wrap(bp.dense(5, bp.lif(), weights=WIDE)))
    return (bp.recurrent(bp.dense(4, bp.lif(), weights=WIDE), inhibit), second, above)


@pytest.mark.parametrize("key", ["bp", "fa", "eprop", "stdp"])
def test_fixed_layers_do_not_learn_and_let_errors_pass(key):
    """The other layers learn as if it were not fixed."""
    factory = bp.rules.RULES[key]
    _, free = gradient(factory, inhibited(lambda layer: layer))
    _, held = gradient(factory, inhibited(bp.fixed))
    for a, b in ((free[0]["in"], held[0]["in"]), (free[2], held[2])):
        assert all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))
        assert any(np.any(x) for x in jax.tree.leaves(a))
    for a, b in ((free[0]["back"], held[0]["back"]), (free[1], held[1])):
        assert np.any(a["w"])
        assert not any(np.any(x) for x in jax.tree.leaves(b))


def test_fixed_stops_derivatives_and_keeps_noise():
    """Also where a rule differentiates the net itself; `off` and `at` stay those of the layer."""
    noisy = bp.synaptic_release(bp.dense(4), 0.5)
    layer = bp.fixed(noisy)
    params = layer.init(KEY, X[:, 0])

    def current(p, layer=layer):
        return layer.synapse(p, (), X[:, 0], KEY)[1].sum()

    assert not np.any(jax.grad(current)(params)["w"])
    assert np.any(jax.grad(functools.partial(current, layer=noisy))(params)["w"])  # control
    assert current(params) == current(params, noisy)
    assert layer.off is not None
    assert layer.off.synapse(params, (), X[:, 0], KEY)[1].shape == (B, 4)
    at = bp.fixed(bp.short_term(bp.dense(4))).at
    assert at is not None
    assert at(2.0).rest is not None
    assert bp.fixed(bp.dense(4)).affine
    with pytest.raises(ValueError, match="fixed: the layer runs over time already"):
        bp.fixed(NETS["LIF"][0])


def test_dopamine_is_the_third_factor():
    """Rewarded examples by their error of prediction; an unmodulated rule learns the same at 1."""
    net = net_of(bp.lif())
    modulated = modulate(bp.rules.rstdp, dopamine(shape=signed, kappa=0.5))
    params = bp.init(net, KEY, X)
    rule = modulated(net, bp.cross_entropy)
    state = rule.init(KEY, params, BATCH)
    grads, after, info = jax.jit(rule.grad)(params, state, BATCH, KEY)
    reward = info["signals"].correct  # minus an expectation of 0
    _, want = gradient(bp.rules.rstdp, net, gate=reward)
    _, plain = gradient(bp.rules.rstdp, net)
    close = functools.partial(np.allclose, atol=1e-6)
    assert 0 < reward.mean() < 1
    assert close(grads[0]["w"], want[0]["w"])
    assert not close(grads[0]["w"], plain[0]["w"])
    assert after.modulator.expected == pytest.approx(0.5 * reward.mean())


def test_homeostasis_evens_out_who_fires():
    """Units that fire more than others become less excitable, call by call."""
    draw = np.random.default_rng(0)
    wide = jnp.asarray(np.linspace(0.2, 1.0, 6) * draw.random((5, 6)))
    hidden = bp.over_time(bp.dense(6, bp.lif(), weights=lambda *_: wide))
    net = (hidden, bp.after(bp.mean_over_time, bp.dense(C)))
    params = bp.init(net, KEY, X)
    rule = bp.rules.stdp(net, bp.cross_entropy, theta_plus=0.1, tau_theta=200.0)
    start = rule.init(KEY, params, BATCH)

    def call(state, _):
        return rule.grad(params, state, BATCH, KEY)[1], ()

    state = jax.jit(lambda s: jax.lax.scan(call, s, None, 60)[0])(start)
    gain = [bp.Gain(1 / (1 + s.theta[0][None, None])) for s in (start, state)]
    before, after = (
        bp.forward(bp.with_gain(net, (g, bp.Gain())), params, X, KEY).outputs[0].mean((0, 1))
        for g in gain
    )
    assert (state.theta[0] >= 0).all()
    assert after.std() < 0.7 * before.std()
    assert after.mean() > 0.02


def test_a_unit_has_one_current():
    """Neurons of two compartments have two, of which a spike says nothing."""
    hidden = bp.over_time(bp.basal(bp.dense(4, bp.two_compartment())))
    net = (hidden, bp.after(bp.mean_over_time, bp.dense(C)))
    with pytest.raises(ValueError, match=r"layer 0 has currents \(4, 2\) and outputs \(4,\)"):
        gradient(bp.rules.stdp, net)


@pytest.mark.parametrize("key", RULES)
def test_costs(key):
    """The update is two pullbacks of each hidden layer, at all moments, and one of the readout."""
    net = net_of(bp.lif(), recurrent=True, sizes=(6,))
    phases = bp.measure.cost(RULES[key](net, bp.cross_entropy), net, BATCH).phases
    hidden, readout = T * (5 * 6 + 6 * 6), 6 * C
    assert phases["forward"].macs == hidden + readout
    assert phases["credit"].macs == 0
    assert phases["update"].macs == 2 * hidden + readout


@pytest.mark.parametrize("key", RULES)
def test_runs_on_streams(key):
    """`bp.online`, in pieces of 2 moments: theta is kept, and a reset row has no older traces."""
    net = net_of(bp.lif(), pool=None)
    rule = RULES[key](net, bp.at_each_moment(bp.cross_entropy), theta_plus=0.1)
    moments = jnp.broadcast_to(Y[:, None], (B, T, C))
    init, step = bp.online(net, rule, optax.sgd(0.0))
    state = init(KEY, bp.Batch(X[:, :2], moments[:, :2]))
    state, info = step(state, bp.Batch(X[:, :2], moments[:, :2]))
    assert info["output"].shape == (B, 2, C)
    assert np.any(state.rule.learned.theta[0])
    reset = jnp.arange(B) == 0
    traces = (
        step(state, bp.Batch(0 * X[:, 2:4], moments[:, 2:4]), reset)[0].rule.traces[0][0].traces
    )
    assert not np.any(traces.r1[0][0])
    assert np.any(traces.r1[0][1:])
