"""Firing-rate regularisation: the gradient of each layer's own penalty, on top of any rule."""

import functools
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import bioplaus as bp
from bioplaus.net import layer_key, play
from bioplaus.rules.rate_regularised import RateInfo

KEY = jax.random.key(1)
TARGET, STRENGTH, DT = 0.03, 7.0, 2.0
BOTH = (bp.rules.backprop, bp.rules.feedback_alignment)


def net_of():
    return (
        bp.over_time(bp.dense(5, bp.lif(6.0)), dt=DT),
        bp.recurrent(bp.dense(4, bp.alif(6.0)), bp.dense(4), dt=DT),
        bp.over_time(bp.dense(3, bp.leaky(6.0)), dt=DT),
        bp.after(bp.mean_over_time, bp.dense(3)),
    )


@pytest.fixture
def problem(x64):
    x = jax.random.uniform(KEY, (4, 6, 3)).round()
    params = jax.tree.map(lambda w: 4 * w + 0.2, bp.init(net_of(), KEY, x))
    return params, bp.Batch(x, jax.nn.one_hot(jnp.arange(4) % 3, 3, dtype=x.dtype))


def penalty(params, x, cut=jax.lax.stop_gradient, target=TARGET):
    """The sum of the penalties of both spiking layers, each hearing inputs that are `cut`."""
    total = 0.0
    for l, layer in enumerate(net_of()[:2]):
        x = play(layer, params[l], None, cut(x), layer_key(KEY, l)).output
        total += STRENGTH / 2 * ((x.mean((0, 1)) / DT - target) ** 2).sum()
    return total


def changes(factory, params, batch, gate=None):
    """What the regularisation adds to a rule's grads, and the regularised rule's info."""
    net, found = net_of(), []
    for f in (factory, bp.rate_regularised(factory, TARGET, STRENGTH)):
        rule = f(net, bp.cross_entropy)
        state = rule.init(KEY, params, batch)
        found.append(jax.jit(lambda p, r=rule, s=state: r.grad(p, s, batch, KEY, gate))(params))
    return jax.tree.map(jnp.subtract, found[1][0], found[0][0]), found[1][2]


@pytest.mark.parametrize("factory", BOTH)
def test_each_layer_descends_its_own_penalty(problem, factory):
    params, batch = problem
    added, info = changes(factory, params, batch)

    @jax.jit
    def gradients(params):
        return (
            jax.grad(penalty)(params, batch.x),
            jax.grad(penalty)(params, batch.x, lambda x: x),
            jax.grad(penalty)(params, batch.x, target=0.2),
        )

    true, joint, other = gradients(params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14), added[:2], true[:2]
    )
    assert all(jnp.abs(g).max() > 1e-4 for g in jax.tree.leaves(true[:2]))
    # negative controls: the second layer's penalty does not reach the first; another target
    assert jnp.abs(joint[0]["w"] - added[0]["w"]).max() > 1e-4
    assert jnp.abs(other[1]["back"]["w"] - added[1]["back"]["w"]).max() > 1e-4
    # layers that do not fire learn as before
    assert all((g == 0).all() for g in jax.tree.leaves(added[2:]))
    outputs = bp.forward(net_of(), params, batch.x, KEY).outputs[:2]
    rate = np.concatenate([z.mean((0, 1)) for z in outputs]).mean() / DT
    np.testing.assert_allclose(info["rate"], rate)
    assert rate > 0


def test_gates_gate_it(problem):
    params, batch = problem
    closed, _ = changes(bp.rules.backprop, params, batch, 0.0)
    assert all((g == 0).all() for g in jax.tree.leaves(closed))
    gates = jnp.array([0.0, 1.0, 2.0, 0.5])
    gated, _ = changes(bp.rules.backprop, params, batch, lambda signals: gates + 0 * signals.loss)
    split, _ = changes(bp.rules.backprop, params, batch, (gates, None, None, None))
    whole, _ = changes(bp.rules.backprop, params, batch)
    np.testing.assert_allclose(gated[0]["w"], split[0]["w"])
    np.testing.assert_allclose(split[1]["in"]["w"], whole[1]["in"]["w"])
    assert jnp.abs(gated[0]["w"] - whole[0]["w"]).max() > 1e-4


def test_rates_go_to_the_target():
    """From above and from below, by the regularisation alone; without it they stay."""
    x = jax.random.bernoulli(KEY, 0.4, (16, 20, 6)).astype(jnp.float32)
    net = (bp.recurrent(bp.dense(8, bp.lif(10.0)), bp.dense(8)),)
    batch, params = bp.Batch(x, jnp.zeros((16, 20, 8))), bp.init(net, KEY, x)
    nothing = bp.at_each_moment(lambda output, y: 0 * output.sum(-1))
    tx = optax.adam(0.003)

    @jax.jit
    def rates(target, strength):
        """Mean rate before each step, and the rate of each unit after the last."""
        rule = bp.rate_regularised(bp.rules.backprop, target, strength)(net, nothing)

        def step(carry, _):
            params, opt = carry
            grads, _, info = rule.grad(params, (), batch, KEY)
            updates, opt = tx.update(grads, opt)
            return (optax.apply_updates(params, updates), opt), cast(RateInfo, info)["rate"]

        (last, _), means = jax.lax.scan(step, (params, tx.init(params)), None, length=200)
        return means, bp.forward(net, last, x, KEY).output.mean((0, 1))

    for target in (0.05, 0.15):
        means, units = rates(target, 1.0)
        assert abs(means[0] - target) > 0.03
        assert jnp.abs(units - target).max() < 0.015
    means, _ = rates(0.05, 0.0)
    assert means[-1] == means[0]


def test_a_net_without_spikes_learns_as_under_the_rule():
    x = jax.random.normal(KEY, (4, 3))
    batch, net = bp.Batch(x, jax.nn.one_hot(jnp.arange(4) % 3, 3)), bp.mlp([3, 5, 3])
    params = bp.init(net, KEY, x)
    plain, regularised = (
        f(net, bp.cross_entropy).grad(params, (), batch, KEY)
        for f in (bp.rules.backprop, bp.rate_regularised(bp.rules.backprop))
    )
    jax.tree.map(np.testing.assert_array_equal, plain, regularised)
    with pytest.raises(ValueError, match="rate_regularised: target: expected a number at least 0"):
        bp.rate_regularised(bp.rules.backprop, target=-1.0)


def test_the_second_forward_pass_is_merged_with_the_first(problem):
    """As many loops over time as the rule and the path back through the neurons need."""
    params, batch = problem

    def loops(factory):
        rule = factory(net_of(), bp.cross_entropy)
        compiled = jax.jit(rule.grad).lower(params, (), batch, KEY).compile()
        return str(compiled.as_text()).count(" while(")

    plain, regularised = loops(bp.rules.backprop), loops(bp.rate_regularised(bp.rules.backprop))
    assert plain < regularised <= plain + 4


def test_feedback_weights_that_learn_follow_the_rates_too(problem):
    """Kolen-Pollack: (W - B)_t = (1 - lr lambda)^t (W - B)_0, as without regularised rates."""
    params, batch = problem
    rate, decay, steps = 0.05, 0.4, 4
    tx = optax.adamw(rate, weight_decay=decay)
    kp = functools.partial(bp.rules.kolen_pollack, tx=tx)
    factory = bp.rate_regularised(kp, TARGET, STRENGTH)
    rule, alone = (f(net_of(), bp.cross_entropy) for f in (factory, kp))

    def gaps(params, feedback):
        pairs = [(w, b) for w, b in zip(params, feedback, strict=True) if b]
        return [jax.tree.map(jnp.subtract, w, b) for w, b in pairs]

    @functools.partial(jax.jit, static_argnums=0)
    def trained(apart):
        w, state, opt = params, rule.init(KEY, params, batch), tx.init(params)
        first = gaps(w, state.feedback)
        for _ in range(steps):
            grads, after, _ = rule.grad(w, state, batch, KEY)
            if apart:  # control: B learns from the rule alone
                after = alone.grad(w, state, batch, KEY)[1]
            updates, opt = tx.update(grads, opt, w)
            w, state = optax.apply_updates(w, updates), after
        return first, gaps(w, state.feedback)

    first, last = trained(False)
    shrunk = jax.tree.map(lambda a: (1 - rate * decay) ** steps * a, first)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), last, shrunk)
    other = trained(True)[1]
    away = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), other, shrunk)
    assert max(jax.tree.leaves(away)) > 1e-3
