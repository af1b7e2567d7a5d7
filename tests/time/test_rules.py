"""What each rule does on nets over time: it runs or refuses, as it declares; and what is mended.

Most of it needs shapes alone. What needs values is compiled for many rules in one program.
"""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sequence_nets import ALL, KEY, NETS, WIDE, B, C, T, X, Y, gradient, net_of, shapes

import bioplaus as bp
from bioplaus.layers import settling
from bioplaus.pools import of_sequence, to_moments
from bioplaus.rules import RULES
from bioplaus.support import over_time_of, words

ENERGY = "ep pep nep hep chl cpl dendritic_microcircuit".split()
INVERSES = "tp dtp drl ldrl".split()
HEBBIAN = "hebb oja sanger bcm softhebb krotov".split()
OWN_INPUTS = [*ENERGY, *INVERSES, *HEBBIAN, *"pc zil fpa epc ipc wm burstprop pepita dfc".split()]
SPIKES_ALONE = "stdp rstdp".split()
REFUSED = {
    "LIF": {*ENERGY, *INVERSES, "ipc", "wm", "pepita", "dfc"},
    "leaky": {*ENERGY, *INVERSES, *SPIKES_ALONE, "pepita", "dfc"},
    "tanh": {*SPIKES_ALONE, "dfc"},
    "recurrent tanh": {*OWN_INPUTS, *SPIKES_ALONE},
    "recurrent LIF": {*OWN_INPUTS},
}


def outcome(rule, net, batch, key=KEY):
    """Shapes of gradients, state and answer."""

    def run():
        params = bp.init(net, key, batch.x)
        state = rule.init(key, params, batch)
        grads, after, info = rule.grad(params, state, batch, key)
        return params, grads, state, after, info, rule.predict(params, after, batch.x, key)

    return jax.eval_shape(run)


def longer(rule, net):
    """The state of a rule on sequences twice as long: it keeps the shapes of one moment."""
    batch = bp.Batch(jnp.concatenate([X, X], 1), Y)
    return jax.eval_shape(lambda: rule.init(KEY, bp.init(net, KEY, batch.x), batch))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow if n in ("leaky", "recurrent tanh") else ())
        for n in NETS
    ],
)
@pytest.mark.parametrize("key", ALL)
def test_runs_or_refuses(key, name):
    """A refusal comes from the factory, in one line that names the layer; it is the table's."""
    net, factory = NETS[name], ALL[key]
    if key in REFUSED[name]:
        with pytest.raises(ValueError, match=f"{factory.__name__}: layer 0 .* refuses: ") as caught:
            factory(net, bp.cross_entropy)
        assert "\n" not in str(caught.value)
        return
    params, grads, state, after, info, answer = outcome(
        factory(net, bp.cross_entropy), net, bp.Batch(X, Y)
    )
    assert shapes(grads) == shapes(params)
    assert shapes(after) == shapes(state)
    assert answer.shape == (B, C)
    assert {s.shape for s in info["signals"]} == {(B,)}
    if key != "ipc":  # its activities belong to examples
        assert shapes(longer(factory(net, bp.cross_entropy), net)) == shapes(state)


def test_every_rule_declares():
    assert all(over_time_of(factory) is not None for factory in ALL.values())
    assert over_time_of(functools.partial(RULES["fa"], scale=0.5)) == bp.OverTime()
    assert words(over_time_of(RULES["dfc"])) == "no"
    assert words(over_time_of(RULES["ep"])) == "rates without memory, no recurrent layers"
    assert words(over_time_of(RULES["fa"])) == "spikes and rates"


def test_undeclared_rules_are_let_through():
    own = bp.learning_rule(lambda net, loss: RULES["bp"](net, loss))
    assert over_time_of(own) is None
    own(NETS["recurrent LIF"], bp.cross_entropy)


def test_a_direction_for_each_example_refuses_recurrent_layers():
    RULES["fg"](NETS["LIF"], bp.cross_entropy, shared=False)
    with pytest.raises(ValueError, match="shared = False"):
        RULES["fg"](NETS["recurrent LIF"], bp.cross_entropy, shared=False)


ONE_LABEL = {"phsic", "local_sim", "local_losses", "ff", "sigprop"}


@pytest.mark.parametrize("key", [k for k in ALL if k != "dfc"])
def test_an_answer_at_each_moment(key):
    """Rules that compare whole examples refuse it; others take labels of moments."""
    net = net_of(bp.lif() if key in SPIKES_ALONE else bp.tanh(), pool=None)
    loss = bp.at_each_moment(bp.cross_entropy)
    if key in ONE_LABEL:
        with pytest.raises(ValueError, match="at_each_moment is refused"):
            ALL[key](net, loss)
        return
    asked = jnp.arange(T) > 2
    batch = bp.Batch(X, jnp.arange(B) % C, (), jnp.broadcast_to(asked, (B, T)))
    params, grads, _, _, _, answer = outcome(ALL[key](net, loss), net, batch)
    assert shapes(grads) == shapes(params)
    assert answer.shape == (B, C)


def same_for_all_examples(key, shape, dtype):
    """Noise that does not depend on the example, so that a batch may be split."""
    return jnp.broadcast_to(jax.random.normal(key, shape[1:], dtype), shape)


NOISE = {"sample": same_for_all_examples}
SEPARABLE = {key: {} for key in "fa dfa drtp pc burstprop hebb sigprop".split()}
SEPARABLE |= {"local_pred": {}, "fg": {}, "np": NOISE, "rstdp": {}}


@pytest.mark.parametrize(
    "keys", [("fa", "sigprop"), pytest.param(tuple(SEPARABLE), marks=pytest.mark.slow)], ids=len
)
def test_as_many_moments_as_examples_and_units(keys):
    """T = B = n confuses nothing: a batch learns what its two halves, of another shape, do."""
    n = 4
    net = net_of(bp.lif(), sizes=(n,))
    few = {key: SEPARABLE[key] for key in keys}
    x = (jax.random.uniform(KEY, (n, n, n)) < 0.6).astype(jnp.float32)
    y = jax.nn.one_hot(jnp.arange(n) % C, C)

    def all_of(x, y):
        return {k: gradient(k, net, bp.Batch(x, y), **hyper) for k, hyper in few.items()}

    whole = jax.jit(all_of)(x, y)
    halves = jax.jit(jax.vmap(all_of))(x.reshape(2, 2, n, n), y.reshape(2, 2, C))
    for key in few:
        pairs = [*zip(jax.tree.leaves(whole[key]), jax.tree.leaves(halves[key]), strict=True)]
        for a, b in pairs:
            assert np.allclose(a, b.mean(0), atol=2e-5 * max(1, abs(a).max())), key
        assert not all(np.allclose(b[0], b[1], atol=1e-4) for _, b in pairs), key  # control


@pytest.mark.parametrize("pool", [bp.mean_over_time, bp.last_moment])
def test_a_direct_error_reaches_the_moments_of_its_pool(pool, x64):
    """Direct feedback alignment at B = W_2 W_3 is backprop of linear layers; at another B not."""
    dense = functools.partial(bp.dense, weights=WIDE)
    net = (bp.over_time(dense(5)), bp.over_time(dense(4)), bp.after(pool, dense(C)))
    batch = bp.Batch(X.astype(float), Y.astype(float))
    params = bp.init(net, KEY, batch.x)
    dfa, bp_ = (RULES[k](net, bp.cross_entropy) for k in ("dfa", "bp"))
    state = dfa.init(KEY, params, batch)
    assert [b.shape for b in state.feedback] == [(C, 5), (C, 4)]
    aligned = state._replace(feedback=((params[1]["w"] @ params[2]["w"]).T, params[2]["w"].T))
    want = jax.jit(bp_.grad)(params, (), batch, KEY)[0]
    for s, equal in ((aligned, True), (state, False)):
        got = jax.jit(dfa.grad)(params, s, batch, KEY)[0]
        assert np.allclose(got[0]["w"], want[0]["w"], atol=1e-12) == equal


def test_a_map_that_is_no_pool_is_refused_where_moments_matter():
    net = net_of(bp.lif(), pool=lambda h: h.sum(1))
    outcome(RULES["fa"](net, bp.cross_entropy), net, bp.Batch(X, Y))
    with pytest.raises(ValueError, match="pools_moments"):
        outcome(RULES["dfa"](net, bp.cross_entropy), net, bp.Batch(X, Y))
    marked = net_of(bp.lif(), pool=functools.partial(bp.pools_moments(jnp.sum), axis=1))
    outcome(RULES["dfa"](marked, bp.cross_entropy), marked, bp.Batch(X, Y))
    h, signal = jnp.ones((B, T, 6)), jnp.ones((B, 6))
    assert of_sequence(marked, marked[0], h).shape == (B, 6)
    assert (to_moments(marked, marked[0], h, signal) == 1).all()
    mean = NETS["LIF"]
    assert np.allclose(to_moments(mean, mean[0], h, signal), 1 / T)


def test_the_label_stands_at_all_moments():
    """Forward-forward and signal propagation see labels at each moment, and so a shorter piece."""
    net = net_of(bp.lif())
    rule = RULES["ff"](net, bp.cross_entropy, strength=2.0)
    params = bp.init(net, KEY, X)
    blank = X.at[:, :, :C].set(7.0)  # what the label overwrites
    run = jax.jit(lambda x: rule.grad(params, (), bp.Batch(x, Y), KEY)[0])
    for a, b in zip(jax.tree.leaves(run(X)), jax.tree.leaves(run(blank)), strict=True):
        assert np.array_equal(a, b)
    other = jax.tree.leaves(run(X.at[:, :, C].set(7.0)))  # control: a feature that is no label
    assert not np.array_equal(jax.tree.leaves(run(X))[0], other[0])


def test_homeostasis_holds_the_rate_of_neurons_that_fire():
    """Units that never fire become more excitable, and units that always fire less."""
    net = NETS["LIF"]

    @jax.jit
    def biases(offset):
        params = tuple({**p, "b": p["b"] + offset} for p in bp.init(net, KEY, X))
        rule = RULES["bcm"](net, bp.cross_entropy)
        state = rule.init(KEY, params, bp.Batch(X, Y))
        return rule.grad(params, state, bp.Batch(X, Y), KEY)[0][0]["b"]

    assert (biases(-9.0) < 0).all()  # gradients are descended
    assert (biases(9.0) > 0).all()


@pytest.mark.slow
def test_equilibria_give_the_gradient_without_memory_and_not_with_it():
    """Why equilibrium propagation refuses leaky integrators: there it would be wrong."""
    batch = bp.Batch(X.astype(float) - 0.5, Y)
    undeclared = bp.learning_rule(inspect.unwrap(RULES["ep"]))
    for name, right in (("tanh", True), ("leaky", False)):
        checks = bp.verify(undeclared, net_of(getattr(bp, name)(), weights=settling), batch)
        (gradient_of_predict,) = (c for c in checks if "jax.grad of the loss" in c.name)
        assert gradient_of_predict.passed == right
