"""Disturbances against moments in closed form, and counts and roundings worked by hand.

Severity 0 must not change a bit.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus import net as nets
from bioplaus.layers import conv, dense, flattened, mlp
from bioplaus.measure.robustness import CURVES
from bioplaus.measure.robustness.synapses import (
    dynamic_noise,
    log_normal_noise,
    multiplicative_noise,
)
from bioplaus.measure.robustness.units import levels, order, utility
from bioplaus.neurons import relu

pytestmark = pytest.mark.thorough

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
NET = mlp([12, 20, 20, 5])
X = jnp.asarray(RNG.normal(size=(30, 12)), jnp.float32)
PARAMS = jax.jit(lambda: nets.init(NET, KEY, X))()
W = jnp.asarray(RNG.normal(size=(40, 25)), jnp.float32)
IMAGES = X.reshape(30, 3, 4, 1)
DEEPER = tuple(f"lesion_layer_{l}" for l in range(3, 9))  # layers that NET has not
OF_SPIKES = (
    "spike_jitter",
    "spike_deletion",
    "hidden_spike_deletion",
)  # of nets over time, in tests/time


def test_every_disturbance_starts_at_the_net_itself():
    """Bit for bit at 0, rising severities, and another answer at the last."""

    @jax.jit
    def answers(params):
        found = {}
        for name, d in CURVES.items():
            if name in (*DEEPER, *OF_SPIKES):
                continue
            at = d.perturb(NET, params, IMAGES, KEY)
            found[name] = [
                nets.forward(n, p, x, KEY).output
                for n, p, x in (at(jnp.float32(s)) for s in (0.0, d.severities[-1]))
            ]
        return nets.forward(NET, params, IMAGES, KEY).output, found

    clean, found = answers(PARAMS)
    for name, (same, other) in found.items():
        np.testing.assert_array_equal(same, clean, err_msg=name)
        assert jnp.abs(other - clean).max() > 0.01, name
    for d in CURVES.values():
        assert d.severities[0] == 0
        assert (np.diff(d.severities) > 0).all()
        assert d.unit


@pytest.fixture(scope="module")
def faults():
    """name -> W at severity 0.3, of a net of one matrix with 100 inputs and 50 units."""
    net, x = (dense(50),), jnp.zeros((1, 100))
    params = nets.init(net, KEY, x)
    names = ("synapse_lesion", "pruning", "stuck_at_most", "sign_flip")
    found = {
        n: np.asarray(CURVES[n].perturb(net, params, x, KEY)(jnp.float32(0.3))[1][0]["w"])
        for n in names
    }
    return np.asarray(params[0]["w"]), found


def test_faults_hit_the_fraction(faults):
    w, found = faults
    error = 3 * np.sqrt(0.3 * 0.7 / w.size)
    for name, value in (
        ("synapse_lesion", 0 * w),
        ("stuck_at_most", 0 * w + np.abs(w).max()),
        ("sign_flip", -w),
    ):
        hit = found[name] == value
        assert abs(hit.mean() - 0.3) < error, name
        np.testing.assert_array_equal(found[name][~hit], w[~hit])
    pruned = found["pruning"] == 0
    assert pruned.mean() == 0.3
    assert np.abs(w[pruned]).max() < np.abs(w[~pruned]).min()
    # random synapses are not the smallest
    assert np.abs(w[found["synapse_lesion"] == 0]).max() > np.abs(w[~pruned]).min()


def _moments(values, mean, variance):
    n = len(values)
    spread = (values - mean) ** 2
    assert np.abs((values.mean(0) - mean) / np.sqrt(variance / n)).max() < 5  # of a hundred
    z = (spread.mean(0) - variance) / (spread.std(0) / np.sqrt(n))
    assert abs(z.mean()) < 3 / np.sqrt(z.size)
    return z


@pytest.mark.parametrize(
    ("noise", "variance"), [(multiplicative_noise, 0.4**2), (log_normal_noise, np.exp(0.4**2) - 1)]
)
def test_moments_of_static_noise(noise, variance):
    net, x = (dense(10),), jnp.zeros((1, 10))
    w = jnp.asarray(RNG.uniform(0.5, 1.5, (10, 10)), jnp.float32)
    params = ({"w": w, "b": jnp.ones(10)},)
    draw = lambda key: noise(net, params, x, key)(jnp.float32(0.4))[1][0]  # noqa: E731
    got = jax.tree.map(np.asarray, jax.jit(jax.vmap(draw))(jax.random.split(KEY, 20_000)))
    _moments(got["w"], np.asarray(w), variance * np.asarray(w) ** 2)
    np.testing.assert_array_equal(got["b"], 1)
    other = (np.exp(0.4**2) - 1) if noise is multiplicative_noise else 0.4**2
    z = (got["w"].var(0) / np.asarray(w) ** 2).mean()
    assert abs(z - variance) < 0.3 * abs(z - other)


def test_dynamic_noise_is_fresh_in_every_example():
    """Dynamic noise is independent over examples, where static noise is the same for all.

    The current has the variance sigma^2 sum_i (w_i x_i)^2.
    """
    params = ({"w": W, "b": jnp.ones(25)},)
    row = jnp.asarray(RNG.normal(size=40), jnp.float32)
    x = jnp.tile(row, (8000, 1))
    noisy = dynamic_noise((dense(25),), params, x, KEY)(jnp.float32(0.2))[0]
    got = np.asarray(nets.forward(noisy, params, x, KEY).currents[0])
    _moments(got, np.asarray(row @ W + 1), 0.04 * np.asarray((row**2) @ (W**2)))
    assert np.abs(np.corrcoef(got.T) - np.eye(25)).max() < 5 / np.sqrt(8000)
    static = multiplicative_noise((dense(25),), params, x, KEY)(jnp.float32(0.2))[1]
    assert np.ptp(np.asarray(x @ static[0]["w"]), axis=0).max() < 1e-4


def test_rounding_error_of_quantisation(x64):
    """b bits: 2 K + 1 levels, K = 2^(b - 1) - 1; the error is uniform, of variance width^2 / 12."""
    w = jnp.asarray(RNG.uniform(-1, 1, 20_000))
    w = w / jnp.abs(w).max()
    for bits in (8, 4, 2):
        count = 2 ** (bits - 1) - 1
        got = np.asarray(levels(w, jnp.ones(()), jnp.abs(w).mean(), jnp.asarray(2.0 ** (1 - bits))))
        np.testing.assert_allclose(np.unique(got), np.arange(-count, count + 1) / count, atol=1e-12)
        error = (got - np.asarray(w)) ** 2
        assert abs(error.mean() - 1 / count**2 / 12) < 3 * error.std() / np.sqrt(w.size)
        assert abs(error.mean() - 1 / (count + 1) ** 2 / 12) > 3 * error.std() / np.sqrt(w.size)
    one = np.asarray(levels(w, jnp.ones(()), jnp.abs(w).mean(), jnp.asarray(1.0)))
    np.testing.assert_allclose(np.unique(one), [-np.abs(w).mean(), np.abs(w).mean()])
    np.testing.assert_array_equal(
        levels(0 * w, jnp.zeros(()), jnp.zeros(()), jnp.asarray(0.5)), 0 * w
    )


def test_a_channel_has_its_own_range():
    params = ({"w": W * jnp.logspace(-2, 0, 25), "b": jnp.zeros(25)},)
    step = jnp.float32(2**-3)
    error = []
    for name in ("weight_quantisation", "channel_quantisation"):
        got = CURVES[name].perturb((dense(25),), params, X, KEY)(step)[1][0]["w"]
        error.append(
            np.abs(np.asarray(got - params[0]["w"]))[:, 0].max()
            / np.abs(np.asarray(params[0]["w"]))[:, 0].max()
        )
    assert error[0] > 0.9
    assert error[1] < 1 / 14 + 1e-3  # half a level of 7 to either side


def test_activations_take_few_levels():
    net, params, x = CURVES["activation_quantisation"].perturb(NET, PARAMS, X, KEY)(
        jnp.float32(2**-2)
    )
    hidden = np.asarray(nets.forward(net, params, x, KEY).inputs[1])
    assert len(np.unique(hidden.round(5))) == 7  # 3 bits
    slope = jax.grad(lambda x: nets.forward(net, params, x, KEY).output.sum())(x)
    assert jnp.abs(slope).max() > 1e-3  # that of a staircase would be 0


def test_utility_by_hand():
    """Utility is sum_k |w_jk| mean |h_j|; a targeted lesion takes the units of largest utility."""
    draw = lambda *shape: jnp.asarray(RNG.normal(size=shape), jnp.float32)  # noqa: E731
    net = (conv(2, 3, relu()), conv(2, 2, relu()), flattened(dense(4)))
    params = tuple(
        {"w": draw(*w), "b": jnp.zeros(w[-1])} for w in ((3, 3, 1, 2), (2, 2, 2, 2), (8, 4))
    )
    trace, got = jax.jit(
        lambda x: (nets.forward(net, params, x, KEY), utility(net, params, x, KEY))
    )(draw(6, 5, 5, 1))
    mean = [np.abs(h).mean(0) for h in trace.inputs]
    w = [np.abs(p["w"]) for p in params]
    np.testing.assert_allclose(got[1], w[2].sum(1).reshape(2, 2, 2) * mean[2], rtol=1e-5)
    # a corner: one place of the kernel
    np.testing.assert_allclose(got[0][0, 0], w[1][0, 0].sum(-1) * mean[1][0, 0], rtol=1e-5)
    np.testing.assert_allclose(got[0][1, 1], w[1].sum((0, 1, 3)) * mean[1][1, 1], rtol=1e-5)


def test_targeted_lesion_takes_the_most_useful():
    lesioned = CURVES["targeted_lesion"].perturb(NET, PARAMS, X, KEY)(jnp.float32(0.3))[0]
    hidden = np.asarray(nets.forward(lesioned, PARAMS, X, KEY).inputs[1])
    use = np.abs(PARAMS[1]["w"]).sum(1) * np.abs(nets.forward(NET, PARAMS, X, KEY).inputs[1]).mean(
        0
    )
    assert set(np.flatnonzero((hidden == 0).all(0))) == set(np.argsort(-use)[:6])


def test_order_averages_ties():
    np.testing.assert_allclose(
        order(jnp.array([[3.0, 1.0], [2.0, 2.0]])), [[0.875, 0.125], [0.375, 0.625]]
    )


def test_a_lesion_of_one_layer_leaves_the_others():
    """The units that the lesion of all layers takes there, at the same key."""
    every, one = (
        CURVES[n].perturb(NET, PARAMS, X, KEY)(jnp.float32(0.3))[0]
        for n in ("lesion", "lesion_layer_2")
    )
    clean, all_, alone = (nets.forward(n, PARAMS, X, KEY).inputs for n in (NET, every, one))
    np.testing.assert_array_equal(alone[1], clean[1])
    np.testing.assert_array_equal(np.asarray(alone[2] == 0).all(0), np.asarray(all_[2] == 0).all(0))
    assert 0 < np.asarray(alone[2] == 0).all(0).mean() < 1
    for name in DEEPER:
        with pytest.raises(ValueError, match="the net has 2 hidden layers"):
            CURVES[name].perturb(NET, PARAMS, X, KEY)


SHIFTS = {n: jax.jit(lambda x, s, d=d: d.perturb((), (), x, KEY)(s)[2]) for n, d in CURVES.items()}


def _shifted(name, x, s):
    return np.asarray(SHIFTS[name](jnp.asarray(x, jnp.float32), jnp.float32(s)))


def test_shifts_by_hand():
    """Rotation, band filters, inversion and permuted pixels give the images worked out by hand."""
    x = RNG.uniform(0, 1, (3, 6, 6, 2)).astype(np.float32)
    np.testing.assert_allclose(_shifted("rotation", x, 90.0), np.rot90(x, 1, (1, 2)), atol=1e-5)
    assert np.abs(_shifted("rotation", x, 90.0) - np.rot90(x, -1, (1, 2))).max() > 0.1
    grid = np.arange(8)
    slow, fast = (
        0.5 * np.cos(2 * np.pi * f * grid / 8)[None, :, None, None] * np.ones((1, 8, 8, 1))
        for f in (1, 4)
    )
    # f_max is 0.5 sqrt(2)
    np.testing.assert_allclose(_shifted("low_pass", 1 + slow + fast, 0.5), 1 + slow, atol=1e-5)
    np.testing.assert_allclose(_shifted("high_pass", 1 + slow + fast, 0.5), 1 + fast, atol=1e-5)
    np.testing.assert_allclose(_shifted("inversion", x, 1.0), x.min() + x.max() - x, atol=1e-6)
    assert np.ptp(_shifted("inversion", x, 0.5)) < 1e-6
    for s in (0.4, 1.0):
        y = _shifted("permuted_pixels", x, s)
        same = (y == x).all((0, 3))
        assert abs(same.mean() - (1 - s)) < 0.3
        before, after = (np.sort(a.reshape(3, 36, 2), 1) for a in (x, y))
        np.testing.assert_array_equal(before, after)
        where = [
            [np.flatnonzero((x[i] == v).all(-1))[0] for v in y[i].reshape(36, 2)] for i in range(3)
        ]
        assert where[0] == where[1] == where[2]  # the same move in every image, channels together
    for name in ("rotation", "low_pass", "high_pass"):
        with pytest.raises(ValueError, match=f"{name}: needs images"):
            _shifted(name, x[:, 0, 0], 0.5)
