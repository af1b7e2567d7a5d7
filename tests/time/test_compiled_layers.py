"""The programs of nets over time: a signal on its way back, what is kept of each moment, traces."""

import jax
import jax.numpy as jnp
import optax
import pytest

import bioplaus as bp
from bioplaus.neurons import two_compartment

KEY = jax.random.key(0)
B, T, N = 4, 7, 5
WIDE = jax.nn.initializers.normal(1.0)
LAST = bp.after(bp.mean_over_time, bp.dense(3))


def dense(n, neuron=None):
    return bp.dense(n, neuron or bp.identity(), weights=WIDE)


def gained(net, shape):
    gains = [bp.Gain(jax.random.uniform(KEY, shape) + 0.5, 0.1, 2.0), bp.Gain()]
    return bp.with_gain(net, gains)


LIF = bp.lif(tau=5.0, threshold=0.5, detached=False)
NETS = {
    "refractory": (bp.over_time(dense(N, bp.lif(refractory=2.0))), LAST),
    "gains of units": gained((bp.over_time(dense(N, LIF)), LAST), (N,)),
    "gains of moments": gained((bp.over_time(dense(N, LIF)), LAST), (B, T, N)),
    "noise": (bp.over_time(dense(N, bp.gaussian_current(LIF, 0.3)), unroll=3), LAST),
    "synaptic, recurrent": (bp.recurrent(dense(N, bp.synaptic(LIF)), dense(N)), LAST),
    "gains, recurrent": gained((bp.recurrent(dense(N, LIF), dense(N)), LAST), (B, T, N)),
    "outputs of another shape": (bp.over_time(bp.basal(dense(N, two_compartment()))), LAST),
}


def sample():
    x = jax.random.normal(jax.random.key(1), (B, T, 3))
    return x, jax.nn.one_hot(jnp.arange(B) % 3, 3, dtype=x.dtype)


def gradients(net, x, y):
    """By the rule, and by `jax.grad` of the forward pass."""
    params = bp.init(net, KEY, x)
    rule = bp.rules.backprop(net, bp.cross_entropy)

    def loss(params):
        return bp.cross_entropy(bp.forward(net, params, x, KEY).output, y).mean()

    return rule.grad(params, (), bp.Batch(x, y), KEY)[0], jax.grad(loss)(params)


def furthest(a, b) -> float:
    """The largest difference over the largest entry, of all arrays."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in pairs)


@pytest.mark.parametrize("name", NETS)
def test_a_signal_goes_back_as_autodiff_sends_it(name, x64):
    found, expected = gradients(NETS[name], *sample())
    assert furthest(found, expected) < 1e-12


@pytest.mark.parametrize("wrap", [bp.over_time, lambda l, **k: bp.recurrent(l, dense(N), **k)])
def test_a_horizon_cuts_both_alike(wrap, x64):
    """Negative control: the uncut gradient is another."""
    x, y = sample()
    cut, by_autodiff = gradients((wrap(dense(N, LIF), horizon=2), LAST), x, y)
    whole, _ = gradients((wrap(dense(N, LIF)), LAST), x, y)
    assert furthest(cut, by_autodiff) < 1e-12
    assert furthest(cut, whole) > 1e-3


def test_activities_are_kept_of_each_moment_and_no_weights():
    """Else memory would grow with T times the weights."""
    net = (bp.recurrent(dense(N, LIF), dense(N)), LAST)
    x, y = sample()
    params = bp.init(net, KEY, x)
    rule = bp.rules.backprop(net, bp.cross_entropy)
    program = str(jax.make_jaxpr(lambda p: rule.grad(p, (), bp.Batch(x, y), KEY)[0])(params))
    assert f"[{T},{B},{N}]" in program
    assert f"[{T},{N},{N}]" not in program
    # negative control: weights that follow the moments are seen
    each = jax.make_jaxpr(lambda w: jax.lax.scan(lambda w, _: (w, w), w, None, T)[1])(
        jnp.ones((N, N))
    )
    assert f"[{T},{N},{N}]" in str(each)


def test_a_run_traces_the_rule_once():
    net = (bp.recurrent(dense(N, LIF), dense(N)), LAST)
    rule, calls = bp.rules.backprop(net, bp.cross_entropy), []

    def grad(*args, **kwargs):
        calls.append(args)
        return rule.grad(*args, **kwargs)

    data = bp.Batch(*sample())
    run = bp.make_train(net, rule._replace(grad=grad), optax.sgd(0.1), data, batch_size=2)
    state = run.init(KEY)
    calls.clear()
    for _ in range(3):
        state, _ = run.advance(state, 4)
    assert len(calls) == 1
