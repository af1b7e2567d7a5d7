"""What wraps neurons and layers acts in each place, or says that the layer of one moment is due.

The places: a layer of one moment, `over_time`, and the two parts of `recurrent`. Programs run
without jit, as they are tiny and many.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import bioplaus as bp
from bioplaus.identities.common import relative
from bioplaus.net import drive, layer_key

KEY = jax.random.key(0)
X = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 4)), jnp.float32)
N = 4
BARE = bp.dense(N, bp.tanh())
BACK = bp.dense(N)

LAYERS = {
    "after": partial(bp.after, lambda x: 2 * x),
    "flattened": lambda layer: bp.flattened(bp.after(lambda x: x + 1, layer)),
    "group_normed": partial(bp.group_normed, 2),
    "synaptic_release": partial(bp.synaptic_release, p=0.5),
}
EACH = partial(bp.synaptic_release, p=0.5, each_moment=True)
NEURONS: dict[str, Any] = {
    "gaussian": partial(bp.gaussian, sigma=0.3),
    "multiplicative": partial(bp.multiplicative, sigma=0.5),
    "poisson": partial(bp.poisson, window=5.0),
    "gaussian_current": partial(bp.gaussian_current, sigma=0.3),
}


@pytest.fixture(autouse=True)
def without_jit():
    with jax.disable_jit():
        yield


def over(layer, back=None):
    """The net of one layer over time; recurrent where `back` is given."""
    return (bp.over_time(layer) if back is None else bp.recurrent(layer, back),)


def traced(net, x=X, params=None):
    params = bp.init(net, KEY, x) if params is None else params
    return bp.forward(net, params, x, KEY), params


def gap(a, b):
    return float(jnp.abs(a - b).max())


@pytest.mark.parametrize("name", LAYERS)
def test_wrapped_synapses_act_in_each_place(name):
    wrap = LAYERS[name]
    one = (wrap(BARE),)
    moments = jnp.stack([traced(one, X[:, t])[0].output for t in range(3)], 1)
    assert gap(moments[:, 0], traced((BARE,), X[:, 0])[0].output) > 1e-2
    assert gap(traced(over(wrap(BARE)))[0].output, moments) < 1e-6
    loop, _ = traced(over(wrap(BARE), BACK))
    # the first moment has heard nothing; later ones differ by what the layer hears
    bare, _ = traced(over(BARE, BACK))
    assert gap(loop.output, bare.output) > 1e-2
    trace, params = traced(over(BARE, wrap(BACK)))
    assert gap(trace.output[:, 1:], bare.output[:, 1:]) > 1e-2
    if name != "synaptic_release":
        own = trace.currents[0] - drive(over(BARE)[0], params[0]["in"], X, layer_key(KEY, 0))
        heard = trace.heard[0]
        want = [
            drive(wrap(BACK), params[0]["back"], heard[:, t], layer_key(KEY, 0)) for t in range(3)
        ]
        assert gap(own, jnp.stack(want, 1)) < 1e-6


def test_pooled_acts_in_layers_that_see_images():
    layer = bp.pooled(2, bp.flattened(BARE))
    images = jnp.asarray(np.random.default_rng(1).standard_normal((2, 3, 4, 4, 1)), jnp.float32)
    want = jnp.stack([traced((layer,), images[:, t])[0].output for t in range(3)], 1)
    assert gap(traced(over(layer), images)[0].output, want) < 1e-6
    assert gap(traced(over(layer, BACK), images)[0].output[:, 1:], want[:, 1:]) > 1e-3
    with pytest.raises(ValueError, match=r"pooled: the input is \(2, 4\), expected images"):
        traced(over(layer, bp.pooled(2, BACK)), images)


@pytest.mark.parametrize("name", NEURONS)
def test_noise_of_neurons_acts_in_each_place(name):
    noisy, same = bp.dense(N, NEURONS[name](bp.tanh())), jnp.broadcast_to(X[:, :1], X.shape)
    assert gap(traced((noisy,), X[:, 0])[0].output, traced((BARE,), X[:, 0])[0].output) > 1e-3
    for back in (None, BACK):
        output = traced(over(noisy, back), same)[0].output
        quiet = traced(over(BARE, back), same)[0].output
        assert gap(output[:, 0], quiet[:, 0]) > 1e-3
        noise = output - quiet
        assert gap(noise[:, 0], noise[:, 1]) > 1e-3  # drawn at each moment
        silent = bp.noise_mode(over(noisy, back), "off")
        assert gap(traced(silent, same)[0].output, quiet) == 0
        if name != "gaussian_current":
            mean = bp.noise_mode(over(noisy, back), "mean")
            assert gap(traced(mean, same)[0].output, quiet) == 0
    with pytest.raises(ValueError, match="the neurons of `back` are not used"):
        over(BARE, noisy)


def test_the_mean_of_a_noisy_current_moves_the_state():
    """A leaky integrator is linear: its mean is the neuron without noise, at every moment."""
    noisy, quiet = (bp.dense(N, n) for n in (bp.gaussian_current(bp.leaky(), 0.3), bp.leaky()))
    mean = traced(bp.noise_mode(over(noisy), "mean"))[0].output
    assert gap(mean, traced(over(quiet))[0].output) < 1e-6
    assert gap(mean, traced(over(noisy))[0].output) > 1e-3


@pytest.mark.parametrize("mode", ["off", "mean"])
def test_noise_modes_reach_synapses_in_each_place(mode):
    for wrap in (LAYERS["synaptic_release"], EACH):
        for layer, back in ((wrap(BARE), None), (wrap(BARE), BACK), (BARE, wrap(BACK))):
            plain = over(BARE, back and BACK)
            net = over(layer, back)
            assert gap(traced(net)[0].output, traced(plain)[0].output) > 1e-3
            silent = traced(bp.noise_mode(net, mode))[0]
            assert gap(silent.output, traced(plain)[0].output) == 0


def test_gains_act_on_the_neurons_in_each_place():
    gain = bp.Gain(1.5, 0.2, 0.5)
    at = X[:, 0]
    for net, x in (((BARE,), at), (over(BARE), X), (over(BARE, BACK), X)):
        trace, params = traced(bp.with_gain(net, (gain,)), x)
        assert gap(trace.output, 0.5 * jnp.tanh(1.5 * trace.currents[0] + 0.2)) < 1e-6
        assert gap(trace.output, traced(net, x, params)[0].output) > 1e-2


def test_release_is_drawn_once_a_sequence_or_at_each_moment():
    same = jnp.broadcast_to(X[:, :1], X.shape)
    for wrap, varies in ((LAYERS["synaptic_release"], False), (EACH, True)):
        current = traced(over(wrap(BARE)), same)[0].currents[0]
        assert (gap(current[:, 0], current[:, 1]) > 1e-2) == varies
        assert (gap(current[:, 1], current[:, 2]) > 1e-2) == varies
        trace, _ = traced(over(bp.dense(N, bp.rate(lambda a: 1 + 0 * a)), wrap(BACK)), same)
        own = trace.currents[0][:, 1:]  # from the second moment on it hears the same
        assert (gap(own[:, 0], own[:, 1]) > 1e-2) == varies


def test_release_at_each_moment_in_pieces_is_the_whole():
    net = over(EACH(bp.dense(N, bp.leaky())), EACH(BACK))
    whole, params = traced(net)
    pasts, pieces = None, []
    for start, stop in ((0, 1), (1, 3)):
        pasts, trace = bp.advance(net, params, pasts, X[:, start:stop], KEY)
        pieces.append(trace.output)
    assert gap(jnp.concatenate(pieces, 1), whole.output) < 1e-6
    forgotten = bp.advance(net, params, None, X[:, 1:], KEY)[1].output
    assert gap(forgotten, whole.output[:, 1:]) > 1e-3


class Block(nnx.Module):
    """Two products with a weight, the second after a tanh."""

    def __init__(self, rngs):
        self.a, self.b = nnx.Linear(N, 3, rngs=rngs), nnx.Linear(3, N, rngs=rngs)

    def __call__(self, x):
        return self.b(jnp.tanh(self.a(x)))


@pytest.mark.parametrize("place", ["over_time", "recurrent.in", "recurrent.back"])
@pytest.mark.parametrize("kind", ["flax", "release at each moment"])
def test_backprop_through_what_is_wrapped_is_that_of_autodiff(place, kind):
    """Of a rate net the derivative of the loss by JAX, and feedback alignment at B = W."""
    (layer,) = bp.from_flax(Block, whole=True) if kind == "flax" else (EACH(BACK),)
    first = layer._replace(neuron=bp.tanh())
    one = {
        "over_time": bp.over_time(first),
        "recurrent.in": bp.recurrent(first, BACK),
        "recurrent.back": bp.recurrent(BARE, layer),
    }[place]
    net = (one, bp.after(bp.mean_over_time, bp.dense(3)))
    params = bp.init(net, KEY, X)
    batch = bp.Batch(X, jnp.eye(3)[:2])

    def loss(params):
        output = bp.forward(net, params, batch.x, KEY).output
        return bp.cross_entropy(output, batch.y).mean()

    rule, fa = (f(net, bp.cross_entropy) for f in (bp.rules.backprop, bp.rules.feedback_alignment))
    state = fa.init(KEY, params, batch)
    aligned = state._replace(
        feedback=tuple(p if b else () for p, b in zip(params, state.feedback, strict=True))
    )

    @jax.jit
    def gradients(params):
        grads = rule.grad(params, (), batch, KEY)[0]
        fed_back = [fa.grad(params, s, batch, KEY)[0] for s in (aligned, state)]
        return grads, jax.grad(loss)(params), *fed_back

    got, want, at_w, other = gradients(params)
    assert relative(got, want) < 1e-4
    assert relative(at_w, want) < 1e-4
    assert relative(other, want) > 1e-2


@pytest.mark.parametrize(
    "wrapper",
    [*LAYERS.values(), EACH, partial(bp.pooled, 2)],
    ids=[*LAYERS, "released at each moment", "pooled"],
)
@pytest.mark.parametrize("lifted", [*over(BARE), *over(BARE, BACK)], ids=["over_time", "recurrent"])
def test_what_wraps_layers_refuses_layers_over_time(wrapper, lifted):
    with pytest.raises(ValueError, match=r"give it the layer inside of bp\.over_time"):
        wrapper(lifted)


@pytest.mark.parametrize("name", NEURONS)
def test_what_wraps_neurons_refuses_layers(name):
    with pytest.raises(ValueError, match=f"{name}: got Layer, expected a neuron"):
        NEURONS[name](over(BARE)[0])
