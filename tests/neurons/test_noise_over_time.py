"""Noise over time: its moments at any length of a moment, the rates it makes, and its sample.

Moments of a fixed sample are within 4 standard errors of the closed form.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf

import bioplaus as bp
from bioplaus.net import fire, play
from bioplaus.neurons import siegert
from bioplaus.neurons.noise_over_time import CONTINUITY
from bioplaus.neurons.spiking import in_steps

KEY = jax.random.key(5)
TAU, SIGMA, UNITS = 10.0, 0.6, 40_000


def variance_error(sample, variance):
    """Distance of the sample variance of normal numbers from the truth, in standard errors."""
    return (sample.var() / variance - 1) / math.sqrt(2 / sample.size)


def over(neuron, dt, current):
    layer = bp.over_time(bp.dense(current.shape[-1], neuron), dt=dt)
    return np.asarray(jax.jit(lambda a: fire(layer, a, KEY))(current)[0], np.float64)


@pytest.mark.parametrize("dt", [1.0, 5.0])
def test_an_ornstein_uhlenbeck_current_is_the_same_at_any_step(dt):
    """Variance sigma^2 / 2 (1 - exp(-2 t / tau)) from rest, and correlation exp(-s / tau)."""
    silent = jnp.zeros((1, round(40 / dt), UNITS))
    eta = over(bp.ornstein_uhlenbeck(bp.identity(), SIGMA, TAU), dt, silent)
    at = {t: eta[round(t / dt) - 1] for t in (5, 30, 40)}
    for t, sample in at.items():
        true = SIGMA**2 / 2 * (1 - math.exp(-2 * t / TAU))
        assert abs(variance_error(sample, true)) < 4
        assert abs(variance_error(sample, SIGMA**2)) > 4
        assert abs(sample.mean()) < 4 * math.sqrt(true / UNITS)
    correlation = np.corrcoef(at[30], at[40])[0, 1]
    assert abs(correlation - math.exp(-1)) < 4 / math.sqrt(UNITS)
    if dt == 5:  # negative control: Euler's steps would have another variance
        euler = SIGMA**2 * dt / TAU / (1 - (1 - dt / TAU) ** 2)
        assert abs(variance_error(at[40], euler)) > 4


@pytest.mark.parametrize("dt", [1.0, 5.0])
def test_white_noise_makes_a_membrane_an_ornstein_uhlenbeck_process(dt):
    """Of a LIF neuron without threshold: the state v after 40 ms, 4 tau, and 30 ms."""
    layer = bp.over_time(
        bp.dense(UNITS, bp.membrane_noise(bp.lif(TAU, threshold=1e6), SIGMA, TAU)), dt=dt
    )
    assert layer.time
    params = {"w": jnp.zeros((1, UNITS)), "b": jnp.full(UNITS, 0.5 * (1 - math.exp(-dt / TAU)))}
    half = play(layer, params, None, jnp.zeros((1, round(30 / dt), 1)), KEY).past
    whole = play(layer, params, half, jnp.zeros((1, round(10 / dt), 1)), KEY).past
    for t, past in ((30, half), (40, whole)):
        v = np.asarray(past.neurons[0], np.float64)
        assert abs(variance_error(v, SIGMA**2 / 2 * (1 - math.exp(-2 * t / TAU)))) < 4
        assert abs(variance_error(v, SIGMA**2)) > 4
        mean = 0.5 * (1 - math.exp(-t / TAU))
        assert abs(v.mean() - mean) < 4 * SIGMA / math.sqrt(2 * UNITS)
    correlation = np.corrcoef(half.neurons[0], whole.neurons[0])[0, 1]
    assert abs(correlation - math.exp(-1)) < 4 / math.sqrt(UNITS)


MU, NOISE = np.array([0.8, 1.2, 1.0]), np.array([0.3, 0.3, 0.6])


def test_siegert(x64):
    """Known rates, an integral by another method, its derivative, and the limits of no noise."""
    rates = siegert(MU, NOISE, tau=20.0, refractory=2.0)
    np.testing.assert_allclose(np.asarray(1000 * rates), [12.512, 30.880, 30.005], atol=5e-4)
    for mu, sigma, rate in zip(MU, NOISE, rates, strict=True):
        integral = quad(lambda u: np.exp(u**2) * (1 + erf(u)), -mu / sigma, (1 - mu) / sigma)[0]
        np.testing.assert_allclose(
            float(rate), 1 / (2 + 20 * math.sqrt(math.pi) * integral), rtol=1e-9
        )

    @jax.jit
    def rate_at(mu):
        return siegert(mu, 0.3, refractory=2.0)

    slope = (rate_at(0.8 + 1e-6) - rate_at(0.8 - 1e-6)) / 2e-6
    np.testing.assert_allclose(jax.grad(rate_at)(0.8), slope, rtol=1e-6)
    np.testing.assert_allclose(siegert(1.5, 0.01), 1 / (20 * math.log(3)), rtol=1e-3)
    far = jnp.array([-1e4, -50.0], jnp.float32)
    assert (siegert(far, 0.1) < 1e-20).all()
    assert jnp.isfinite(jax.grad(lambda m: siegert(m, 0.1).sum())(far)).all()


def test_diffusive_lif_fires_at_siegerts_rate_once_its_threshold_is_corrected():
    """In moments of 1 ms the naive error is -14.4, -8.2 and -13.4 %; corrected it is below 1 %."""
    n, burn = 1200, 100
    mu, sigma = (np.repeat(a, n) for a in (MU, NOISE))
    current = jnp.broadcast_to(mu * -math.expm1(-1 / 20), (1, burn + 800, 3 * n))
    true = siegert(MU, NOISE, tau=20.0, refractory=2.0)

    def error(**keywords):
        neuron = bp.diffusive_lif(20.0, sigma, refractory=2.0, **keywords)
        return over(neuron, 1.0, current)[burn:].reshape(-1, 3, n).mean((0, 2)) / true - 1

    np.testing.assert_allclose(error(corrected=False), [-0.144, -0.082, -0.134], atol=0.015)
    np.testing.assert_allclose(error(), 0, atol=0.015)
    np.testing.assert_allclose(CONTINUITY, 1.4603545088095868 / math.sqrt(2 * math.pi))


def test_the_mean_of_diffusive_lif_is_siegerts_rate():
    net = (bp.over_time(bp.dense(3, bp.diffusive_lif(20.0, 0.3, refractory=2.0)), dt=0.5),)
    current = jnp.broadcast_to(MU * -math.expm1(-0.5 / 20), (1, 2, 3))
    mean = fire(bp.noise_mode(net, "mean")[0], current, KEY)[0]
    np.testing.assert_allclose(mean[1], 0.5 * siegert(MU, 0.3, refractory=2.0), rtol=1e-4)


def held(u, z, theta, a):
    """A reset to 0 at every moment, so that the potential is the current."""
    return 0 * u


@pytest.mark.parametrize("dt", [0.5, 2.0])
def test_escape_spikes_have_the_rate_of_the_potential_and_geometric_intervals(dt):
    levels = np.array([0.6, 1.0, 1.3])
    neuron = bp.escape(rate=0.1, steepness=5.0, reset=held)
    z = over(neuron, dt, jnp.broadcast_to(np.repeat(levels, 4000), (1, 60, 12_000)))
    z = z.reshape(60, 3, 4000)
    p = 1 - np.exp(-0.1 * dt * np.exp(5 * (levels - 1)))
    error = np.sqrt(p * (1 - p) / (60 * 4000))
    assert set(np.unique(z)) == {0.0, 1.0}
    assert (np.abs(z.mean((0, 2)) - p) < 4 * error).all()
    assert (np.abs(z.mean((0, 2)) - np.minimum(1, p / dt)) > 4 * error).all()  # of moments of 1 ms
    # moments are independent: the intervals are geometric
    pairs = (z[1:] * z[:-1]).mean((0, 2))
    assert (np.abs(pairs - p**2) < 5 * np.sqrt(p**2 / (60 * 4000)) + 1e-3).all()


def test_the_derivative_of_an_escape_is_that_of_its_probability(x64):
    neuron = in_steps(bp.escape(rate=0.1, steepness=5.0, threshold=2.0), 2.0)
    current = jnp.array([[-50.0, 0.4, 1.9, 2.1, 3.0, 1e4]])
    (v, z), (_, slope) = jax.jvp(
        lambda i: neuron.step(jnp.zeros((1, 6)), i, KEY), (current,), (jnp.ones((1, 6)),)
    )
    rho = 0.1 * 2 * np.exp(np.minimum(2.5 * (current - 2), 20))
    np.testing.assert_allclose(slope[:, :5], (np.exp(-rho) * rho * 2.5)[:, :5], rtol=1e-12)
    assert slope[0, 5] == 0  # no NaN where it fires for certain
    assert (z[0, 0], z[0, 5]) == (0, 1)
    np.testing.assert_allclose(v, current - 2 * z)


def net_of(sigma=0.4):
    """A layer of each noise."""
    return (
        bp.over_time(bp.dense(5, bp.ornstein_uhlenbeck(bp.lif(5.0), sigma, 3.0))),
        bp.recurrent(bp.dense(4, bp.membrane_noise(bp.alif(5.0), sigma, 5.0)), bp.dense(4)),
        bp.over_time(bp.dense(4, bp.escape(5.0))),
        bp.over_time(bp.dense(4, bp.diffusive_lif(5.0, max(sigma, 0.1), refractory=2.0))),
        bp.over_time(bp.dense(3, bp.ornstein_uhlenbeck(bp.leaky(5.0), sigma))),
    )


@pytest.fixture
def problem(x64):
    x = jax.random.normal(KEY, (4, 6, 3))
    params = jax.tree.map(lambda w: 5 * w + 0.2, bp.init(net_of(), KEY, x))
    return params, bp.Batch(x, jax.nn.one_hot(jnp.arange(4) % 3, 3)[:, None].repeat(6, 1))


def test_pieces_draw_the_noise_of_the_whole(problem):
    params, batch = problem
    net = net_of()
    advance = jax.jit(lambda pasts, x, key: bp.advance(net, params, pasts, x, key))
    whole = advance(None, batch.x, KEY)[1]
    pasts, pieces = None, []
    for piece in (batch.x[:, :3], batch.x[:, 3:]):
        pasts, trace = advance(pasts, piece, KEY)
        pieces.append(trace.outputs)
    another = advance(None, batch.x, jax.random.key(9))[1].outputs
    for l, outputs in enumerate(zip(*pieces, strict=True)):
        np.testing.assert_array_equal(jnp.concatenate(outputs, 1), whole.outputs[l])
        assert not np.array_equal(another[l], whole.outputs[l])  # control: the layer is noisy
        assert len(np.unique(whole.outputs[l])) > 1  # and not silent


def test_backprop_sees_the_sample_of_the_forward_pass(problem):
    params, batch = problem
    net, loss = net_of(), bp.at_each_moment(bp.cross_entropy)
    grads = jax.jit(bp.rules.backprop(net, loss).grad)(params, (), batch, KEY)[0]

    @jax.jit
    def gradient(key):
        return jax.grad(lambda p: loss(bp.forward(net, p, batch.x, key).output, batch.y).mean())(
            params
        )

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14), grads, gradient(KEY)
    )
    assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads))
    other = gradient(jax.random.key(4))  # negative control: another sample
    assert all(
        jnp.abs(a - b).max() > 1e-6
        for a, b in zip(jax.tree.leaves(grads), jax.tree.leaves(other), strict=True)
    )


def test_without_noise_the_neurons_are_those_inside(problem):
    """sigma = 0 and the mode "off" are bit-identical to no noise."""
    params, batch = problem
    quiet = (
        bp.over_time(bp.dense(5, bp.lif(5.0))),
        bp.recurrent(bp.dense(4, bp.alif(5.0)), bp.dense(4)),
        bp.over_time(bp.dense(4, bp.lif(5.0))),
        bp.over_time(bp.dense(4, bp.lif(5.0, refractory=2.0, reset=bp.neurons.RESETS["to_zero"]))),
        bp.over_time(bp.dense(3, bp.leaky(5.0))),
    )
    nets = quiet, bp.noise_mode(net_of(), "off"), net_of(0.0)[:2], net_of()[:1]
    want, off, zero, noisy = jax.jit(
        lambda: tuple(bp.forward(n, params[: len(n)], batch.x, KEY).outputs for n in nets)
    )()
    for a, b in zip((*off, *zero), (*want, *want[:2]), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(noisy[0], want[0])


def test_means_are_those_of_the_stationary_noise_and_of_mean_fields():
    """Around tanh the mean is known; an escape sends its probability, and is reset by as much."""
    x = jnp.linspace(-1, 1.2, 5)[None, None].repeat(2, 1)
    noisy = bp.over_time(bp.dense(5, bp.ornstein_uhlenbeck(bp.tanh(), SIGMA)))
    once = bp.dense(5, bp.gaussian_current(bp.tanh(), SIGMA / math.sqrt(2)))
    mean, same = (bp.noise_mode((layer,), "mean")[0] for layer in (noisy, once))
    np.testing.assert_allclose(fire(mean, x, KEY)[0, 1], fire(same, x[0], KEY)[0], rtol=1e-6)
    (field,) = bp.noise_mode((bp.over_time(bp.dense(5, bp.escape(TAU))),), "mean")
    p = [1 - np.exp(-0.1 * np.exp(5 * (x[0, 0] - 1)))]
    u = math.exp(-1 / TAU) * (x[0, 0] - p[0]) + x[0, 0]
    p.append(1 - np.exp(-0.1 * np.exp(5 * (u - 1))))
    np.testing.assert_allclose(fire(field, x, KEY)[0], np.stack(p), rtol=1e-5, atol=1e-6)


def test_the_siegert_neuron_trains_with_the_rates_of_the_formula(x64):
    """Its output is T r(a); the credit of `bp` is the derivative of that, by differences."""
    net = (bp.dense(3, bp.siegert_rate(0.4, window=80.0, refractory=2.0)), bp.dense(2))
    rng = np.random.default_rng(1)
    shapes = ((4, 3), (3,), (3, 2), (2,))
    w, b, v, c = (jnp.asarray(rng.normal(0.5, 0.5, shape)) for shape in shapes)
    params = ({"w": w, "b": b}, {"w": v, "b": c})
    batch = bp.Batch(jnp.asarray(rng.random((5, 4))), jax.nn.one_hot(jnp.arange(5) % 2, 2))
    trace = bp.forward(net, params, batch.x, KEY)
    rates = siegert(trace.currents[0], 0.4, tau=20.0, refractory=2.0)
    np.testing.assert_allclose(trace.outputs[0], 80 * rates, rtol=1e-12)
    grads = bp.rules.RULES["bp"](net, bp.mse).grad(params, (), batch, KEY)[0]

    @jax.jit
    def loss(shift):
        moved = ({"w": w.at[1, 2].add(shift), "b": b}, params[1])
        return bp.mse(bp.forward(net, moved, batch.x, KEY).output, batch.y).mean()

    slope = (loss(1e-6) - loss(-1e-6)) / 2e-6
    np.testing.assert_allclose(grads[0]["w"][1, 2], slope, rtol=1e-5)
    assert abs(grads[0]["w"][1, 1] / slope - 1) > 1e-2
