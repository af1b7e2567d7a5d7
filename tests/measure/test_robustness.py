"""Robustness against limits, moments in closed form, and accuracies worked by hand.

The limits are no disturbance and a disturbance that destroys everything.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus import net as nets
from bioplaus.layers import conv, dense, flattened, mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.accuracy import accuracy, correct, evaluate
from bioplaus.measure.robustness import CURVES, curve
from bioplaus.measure.robustness.synapses import weight_sample
from bioplaus.measure.robustness.units import lesioned, unit_sample
from bioplaus.neurons import gaussian, relu, tanh
from bioplaus.rules import RULES
from bioplaus.types import Batch

pytestmark = pytest.mark.thorough

KEY = jax.random.key(0)
NET = mlp([12, 30, 30, 5])
X = jnp.asarray(np.random.default_rng(0).normal(size=(50, 12)), jnp.float32)
PARAMS = jax.jit(lambda: nets.init(NET, KEY, X))()
RANGE = (float(X.min()), float(X.max()))
# the net is right on all of it
BATCH = Batch(X, jax.nn.one_hot(nets.forward(NET, PARAMS, X, KEY).output.argmax(-1), 5))


_forward = jax.jit(nets.forward, static_argnums=0)
_units = jax.jit(unit_sample, static_argnums=0)


def _rebuild(name, **hyper):
    return lambda net: RULES[name](net, cross_entropy, **hyper).predict


def test_accuracy_by_hand():
    outputs = jnp.array([[3.0, 1.0], [0.0, 1.0], [jnp.nan, 0.0], [2.0, jnp.inf]])
    y = jnp.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    # NaN is wrong, though argmax calls it class 0
    np.testing.assert_array_equal(correct(outputs, y), [1, 0, 0, 1])
    assert accuracy(outputs, y) == 0.5
    assert jnp.isnan(accuracy(jnp.full((4, 2), jnp.nan), y))


def test_evaluate_in_chunks():
    y = BATCH.y.at[:7].set(jnp.roll(BATCH.y[:7], 1, -1))

    def predict(x, key):
        assert x.shape[0] in (50, 16, 2)
        return _forward(NET, PARAMS, x, key).output

    for size in (None, 50, 16):
        np.testing.assert_allclose(
            evaluate(predict, Batch(X, y), KEY, size=size), 43 / 50, rtol=1e-6
        )
    with pytest.raises(ValueError, match="chunks of 0"):
        evaluate(predict, BATCH, KEY, size=0)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("input_noise", "bp"),
        ("weight_noise", "bp"),
        ("lesion", "bp"),
        ("lesion", "ep"),
        ("dynamic_noise", "ep"),
    ],
)
def test_curves_start_clean_and_fall(name, rule):
    rebuild = _rebuild(rule)
    clean = accuracy(rebuild(NET)(PARAMS, (), X, KEY), BATCH.y)
    got = jax.jit(
        lambda key: curve(rebuild, CURVES[name], NET, PARAMS, (), BATCH, key, draws=5, bounds=RANGE)
    )(KEY)
    assert got.shape == (len(CURVES[name].severities),)
    assert clean > 0.5
    np.testing.assert_allclose(got[0], clean, rtol=1e-6)
    assert got[-1] < clean - 0.2


@pytest.mark.parametrize("name", ["lesion", "weight_noise"])
def test_curves_vmap_over_seeds_with_the_same_disturbance(name):
    other = jax.tree.map(lambda w: -w, PARAMS)
    both = jax.tree.map(lambda *w: jnp.stack(w), PARAMS, other)
    alone = jax.jit(lambda p: curve(_rebuild("bp"), CURVES[name], NET, p, (), BATCH, KEY, draws=2))
    got = jax.jit(jax.vmap(alone))(both)
    for i, p in enumerate((PARAMS, other)):
        np.testing.assert_allclose(got[i], alone(p), atol=0.011)


def test_no_disturbance_is_bit_identical():
    clean = _forward(NET, PARAMS, X, KEY).output
    rank, noise = _units(NET, PARAMS, X, KEY), weight_sample(PARAMS, KEY)
    np.testing.assert_array_equal(_forward(lesioned(NET, rank, 0.0), PARAMS, X, KEY).output, clean)
    np.testing.assert_array_equal(
        _forward(lesioned(NET, rank, 0.0, compensate=True), PARAMS, X, KEY).output, clean
    )
    for sigma, same in ((0.0, True), (1e-3, False)):
        noisy = jax.tree.map(lambda w, n, sigma=sigma: w + sigma * n, PARAMS, noise)
        assert bool((_forward(NET, noisy, X, KEY).output == clean).all()) == same
    assert not (_forward(lesioned(NET, rank, 0.1), PARAMS, X, KEY).output == clean).all()


@pytest.mark.parametrize("rule", ["bp", "pc", "ep"])
def test_total_lesion_cuts_the_input_off(rule):
    rank = _units(NET, PARAMS, X, KEY)
    for fraction, same in ((1.0, True), (0.9, False)):
        output = np.asarray(
            jax.jit(_rebuild(rule)(lesioned(NET, rank, fraction)))(PARAMS, (), X, KEY)
        )
        assert bool((output == output[0]).all()) == same


def test_lesion_silences_the_units_below_the_fraction():
    net = (conv(3, 3, relu()), flattened(dense(40, relu())), dense(4))
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(6, 8, 8, 2)), jnp.float32)
    params = jax.jit(lambda: nets.init(net, KEY, x))()
    rank = _units(net, params, x, KEY)
    assert [r.shape for r in rank] == [(6, 6, 3), (40,)]
    before = _forward(net, params, x, KEY)
    after = _forward(lesioned(net, rank, 0.3), params, x, KEY)
    rank = [np.asarray(r) for r in rank]
    hidden = np.asarray(after.inputs[1])
    np.testing.assert_array_equal(hidden, np.where(rank[0] < 0.3, 0.0, before.inputs[1]))
    assert (hidden != 0).any()
    np.testing.assert_array_equal(np.asarray(after.inputs[2])[:, rank[1] < 0.3], 0.0)
    assert 0.1 < (rank[0] < 0.3).mean() < 0.5


def test_compensated_lesion_of_a_linear_readout(x64):
    """y = sum_i w_i h_i keeps its mean and has the variance f / (1 - f) sum_i (w_i h_i)^2."""
    net = mlp([3, 20, 1])
    x = jnp.ones((1, 3))
    params = jax.jit(lambda: nets.init(net, KEY, x))()
    terms = np.asarray(_forward(net, params, x, KEY).inputs[1][0] * params[1]["w"][:, 0])
    assert np.abs(terms).max() > 0.01

    def read(fraction, key):
        rank = unit_sample(net, params, x, key)
        cut = [lesioned(net, rank, fraction, compensate=c) for c in (True, False)]
        return [nets.forward(n, params, x, key).output[0, 0] for n in cut]

    n, sample = 20000, jax.jit(jax.vmap(read, (None, 0)))
    for f in (0.3, 0.7):
        y, plain = (np.asarray(v) for v in sample(f, jax.random.split(KEY, n)))
        variance = f / (1 - f) * (terms**2).sum()
        assert abs(y.mean() - terms.sum()) < 3 * np.sqrt(variance / n)
        squares = (y - terms.sum()) ** 2
        assert abs(squares.mean() - variance) < 3 * squares.std() / np.sqrt(n)
        # without compensation: f (1 - f) of it
        assert abs(plain.var() - variance) > 10 * squares.std() / np.sqrt(n)


def test_moments_of_weight_noise():
    params = (
        {"w": jnp.arange(-1000.0, 1000.0).reshape(50, 40), "b": jnp.ones(40)},
        {"w": jnp.full((40, 25), 3.0), "b": jnp.ones(25)},
    )
    noise = jax.tree.map(
        np.asarray, jax.jit(jax.vmap(lambda k: weight_sample(params, k)))(jax.random.split(KEY, 50))
    )
    for p, n in zip(params, noise, strict=True):
        xi = n["w"] / np.sqrt((np.asarray(p["w"]) ** 2).mean())
        assert abs(xi.mean()) < 3 / np.sqrt(xi.size)
        assert abs(xi.var() - 1) < 3 * np.sqrt(2 / xi.size)
        np.testing.assert_array_equal(n["b"], 0.0)
    a, b = noise[0]["w"].reshape(50, -1)[:, :1000], noise[1]["w"].reshape(50, -1)
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 3 / np.sqrt(a.size)


def test_input_noise_accuracy_in_closed_form():
    """A threshold at distance d from every x: accuracy Phi(d / sigma)."""
    from scipy.stats import norm

    def rebuild(net):
        del net
        return lambda params, state, x, key, context: jnp.concatenate([x, -x], -1)

    batch = Batch(jnp.full((4000, 1), 0.3), jnp.tile(jnp.array([1.0, 0.0]), (4000, 1)))
    got = curve(
        rebuild, CURVES["input_noise"], (), (), (), batch, KEY, severities=(0.0, 0.3, 1.0), draws=2
    )
    np.testing.assert_allclose(got, norm.cdf([np.inf, 1.0, 0.3]), atol=3 * 0.5 / np.sqrt(8000))


def test_input_noise_is_a_fraction_of_the_range_of_the_inputs():
    """Inputs and bounds times 255, with weights over 255, give the same accuracy under noise.

    Without the bounds such inputs are refused.
    """
    run = partial(curve, _rebuild("bp"), CURVES["input_noise"], NET, key=KEY, draws=3)
    small = (jax.tree.map(lambda w: w / 255, PARAMS[0]) | {"b": PARAMS[0]["b"]}, *PARAMS[1:])
    large = BATCH._replace(x=255 * X)
    got = run(small, (), large, bounds=(255 * RANGE[0], 255 * RANGE[1]))
    want = run(PARAMS, (), BATCH, bounds=RANGE)
    # by rounding, an example at the boundary
    np.testing.assert_allclose(got, want, atol=1.01 / 150)
    assert want[3] < want[0] - 0.1
    with pytest.raises(ValueError, match="outside its bounds"):
        run(small, (), large)


LESION = CURVES["lesion"]


def test_the_key_alone_sets_the_disturbance():
    a = curve(_rebuild("bp"), LESION, NET, PARAMS, (), BATCH, KEY, draws=5)
    np.testing.assert_array_equal(
        a, curve(_rebuild("pc", steps=3), LESION, NET, PARAMS, (), BATCH, KEY, draws=5)
    )
    assert (
        a != curve(_rebuild("bp"), LESION, NET, PARAMS, (), BATCH, jax.random.key(9), draws=5)
    ).any()
    # draws differ
    assert (
        jnp.abs(a - curve(_rebuild("bp"), LESION, NET, PARAMS, (), BATCH, KEY, draws=1)).max()
        > 1e-3
    )


def test_one_layer_has_nothing_to_lesion():
    net = (dense(5),)
    params = nets.init(net, KEY, X)
    assert (
        len(set(curve(_rebuild("bp"), LESION, net, params, (), BATCH, KEY, draws=2).tolist())) == 1
    )
    assert (
        len(
            set(
                curve(
                    _rebuild("bp"), CURVES["weight_noise"], net, params, (), BATCH, KEY, draws=2
                ).tolist()
            )
        )
        > 1
    )


def test_noisy_nets_and_nan_answers():
    net = mlp([12, 30, 30, 5], gaussian(tanh(), 0.3))
    got = curve(_rebuild("bp"), LESION, net, PARAMS, (), BATCH, KEY, draws=5)
    assert 0.3 < got[0] < 1.0
    broken = jax.tree.map(lambda w: w * jnp.nan, PARAMS)
    np.testing.assert_array_equal(
        curve(_rebuild("bp"), LESION, NET, broken, (), BATCH, KEY, draws=1), np.zeros(8)
    )
