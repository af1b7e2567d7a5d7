"""Encoders: statistics, inverses, derivatives, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus import encoders
from bioplaus.encoders import ENCODERS, in_front

KEY = jax.random.key(0)
B, N, T = 4, 6, 5
X = jax.random.uniform(jax.random.key(1), (B, N))
STEPS = 4_000

# --- Statistics, inverses


def in_steps(encoder, dt):
    assert encoder.at is not None
    return encoder.at(dt)


def spread(moments):
    """Mean and variance over the moments, and their z-scores as functions of what is expected."""
    return np.asarray(moments.mean(1), float), np.asarray(moments.var(1), float)


@pytest.mark.parametrize(
    ("encoder", "chance"),
    [
        (encoders.bernoulli(STEPS), lambda x: x),
        (encoders.bernoulli(STEPS, 0.3), lambda x: 0.3 * x),
        (encoders.poisson(STEPS, 200.0), lambda x: 1 - np.exp(-0.2 * x)),
        (in_steps(encoders.poisson(STEPS, 200.0), 5.0), lambda x: 1 - np.exp(-1.0 * x)),
    ],
    ids=["bernoulli", "bernoulli 0.3", "poisson", "poisson in 5 ms"],
)
def test_random_spikes_have_the_mean_and_variance(encoder, chance):
    moments = jax.jit(encoder.encode)(X, KEY)
    assert set(np.unique(moments).tolist()) == {0.0, 1.0}
    assert moments.shape == (B, STEPS, N)
    mean, variance = spread(moments)
    p = chance(np.asarray(X, float))
    error = np.sqrt(p * (1 - p) / STEPS)
    assert np.abs((mean - p) / error).max() < 4.5
    assert np.abs(mean - chance(0.7 * np.asarray(X, float))).max() > 4.5 * error.max()  # control
    assert np.abs(variance - p * (1 - p)).max() < 5 * error.max()
    # moments are independent: neighbours have no correlation
    a, b = (np.asarray(m, float) - mean[:, None] for m in (moments[:, :-1], moments[:, 1:]))
    assert np.abs((a[:, :] * b).mean(1) / (p * (1 - p))).max() < 5 / STEPS**0.5
    assert np.allclose(encoder.mean.encode(X, KEY), np.broadcast_to(p[:, None], moments.shape))


def test_poisson_counts_do_not_depend_on_the_time_step():
    """As dt -> 0 the count in 400 ms is Poisson: its variance is its mean, 40 at 100 Hz."""
    x, counts = jnp.ones((1, 4_000)), {}
    for dt in (1.0, 0.25):
        moments = in_steps(encoders.poisson(round(400 / dt)), dt).encode(x, KEY)
        counts[dt] = np.asarray(moments.sum(1), float)
    # one spike a moment at most: the rate is (1 - exp(-r dt)) / dt
    for dt, count in counts.items():
        assert abs(count.mean() - 400 / dt * (1 - np.exp(-0.1 * dt))) < 4.5 * (40 / 4_000) ** 0.5
    assert abs(counts[0.25].var() / counts[0.25].mean() - 1) < 0.12
    assert counts[1.0].mean() < counts[0.25].mean() - 1  # control


@pytest.mark.parametrize(
    "encoder", [encoders.constant(T), encoders.bernoulli(STEPS, 0.8), encoders.poisson(STEPS)]
)
def test_decode_of_values_and_rates(encoder):
    found = encoder.decode(encoder.encode(X, KEY))
    assert np.abs(found - X).max() < (1e-6 if encoder.mean is None else 0.12)
    assert np.abs(encoder.decode(encoder.encode(1 - X, KEY)) - X).max() > 0.2  # control


def test_latency_tells_the_value_to_half_a_moment():
    encoder = encoders.latency(steps=9)
    x = jnp.array([[0.0, 0.04, 0.2, 0.55, 0.94, 1.0, 1.7, -2.0]])
    moments = encoder.encode(x, KEY)
    assert moments.argmax(1)[0].tolist() == [0, 8, 6, 4, 0, 0, 0, 0]
    assert moments.sum(1)[0].tolist() == [0, 1, 1, 1, 1, 1, 1, 0]
    assert np.abs(encoder.decode(moments) - jnp.clip(x, 0, 1)).max() <= 0.5 / 8 + 1e-6
    assert np.abs(encoders.latency(3).decode(encoders.latency(3).encode(x, KEY)) - x).max() > 0.1


def test_rank_order_tells_the_order_and_no_more():
    encoder = encoders.rank_order(steps=N)
    moments = encoder.encode(X, KEY)
    assert (moments.sum((0, 2)) == B).all()  # one spike in each moment
    assert (jnp.argsort(encoder.decode(moments)) == jnp.argsort(X)).all()
    assert (encoder.encode(X**3, KEY) == moments).all()
    assert (encoders.latency(N).encode(X**3, KEY) != encoders.latency(N).encode(X, KEY)).any()
    few = encoders.rank_order(steps=2).encode(X.reshape(B, 2, 3), KEY)
    assert few.shape == (B, 2, 2, 3)
    assert (few.sum((2, 3)) == 3).all()
    quiet = encoder.encode(X.at[:, 0].set(0.0).at[:, 1].set(-1.0), KEY)
    assert (quiet[..., :2] == 0).all()
    assert quiet[..., 2:].sum() == 4 * B


def test_delta_follows_the_sequence_within_its_threshold():
    encoder, theta = encoders.delta(0.1), 0.1
    steps = jax.random.uniform(KEY, (B, 30, N), minval=-theta, maxval=theta)
    x = jnp.cumsum(steps, 1)
    moments = encoder.encode(x, KEY)
    assert moments.shape == (B, 30, 2 * N)
    assert set(np.unique(moments).tolist()) == {0.0, 1.0}
    assert not (moments[..., :N] * moments[..., N:]).any()
    change = x - x[:, :1]
    assert np.abs(encoder.decode(moments) - change).max() <= theta + 1e-6
    assert np.abs(encoder.decode(encoder.encode(3 * x, KEY)) - 3 * change).max() > 2 * theta
    flat = encoder.encode(jnp.full((1, 5, 2), 7.0), KEY)
    assert not flat.any()


def test_rows_are_those_of_the_image():
    images = jax.random.normal(KEY, (B, 3, 4, 2))
    assert (encoders.rows().encode(images, KEY) == images.reshape(B, 3, 8)).all()
    gray = images[..., 0]
    assert (encoders.rows().encode(gray, KEY)[:, 1] == gray[:, 1]).all()
    flat = gray.reshape(B, 12)
    assert (encoders.rows(3, 4).encode(flat, KEY) == gray).all()
    assert (encoders.rows(12, 1).encode(images[..., :1], KEY)[..., 0] == flat).all()
    assert (encoders.rows(4, 3).encode(flat, KEY)[:, 1] != gray[:, 1, :3]).any()  # control


# --- Derivatives

DERIVATIVES = {
    # name: (encoder, derivative of moment t by x)
    "constant": (encoders.constant(T), lambda x, t, z: np.ones_like(x)),
    "bernoulli": (encoders.bernoulli(T, 0.7), lambda x, t, z: np.full_like(x, 0.7)),
    "poisson": (encoders.poisson(T, 300.0), lambda x, t, z: 0.3 * np.exp(-0.3 * x)),
    "latency": (
        encoders.latency(T),
        lambda x, t, z: 4 * np.sign(t - 4 * (1 - x)) * (np.abs(t - 4 * (1 - x)) < 1) * -1.0,
    ),
    "rank_order": (encoders.rank_order(T), lambda x, t, z: z),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_by_the_input(name):
    """Spikes as without derivatives; the derivative in closed form, in both modes."""
    encoder, closed = DERIVATIVES[name]
    x = np.asarray(X, float)
    encode = lambda x: encoder.encode(x, KEY)  # noqa: E731
    z, pushed = jax.jvp(encode, (X,), (jnp.ones_like(X),))
    assert (z == encoder.encode(X, KEY)).all()
    want = np.stack([closed(x, t, np.asarray(z[:, t], float)) for t in range(T)], 1)
    assert np.allclose(pushed, want, atol=1e-5)
    signal = jax.random.normal(KEY, z.shape)
    assert np.allclose(jax.vjp(encode, X)[1](signal)[0], (want * signal).sum(1), atol=1e-4)
    assert np.abs(want).max() > 0.1


def test_latency_moves_towards_where_the_spike_should_be():
    """A larger x moves the spike to an earlier moment: so says the derivative."""
    later_is_worse = jnp.arange(9.0)[None, :, None]
    cost = lambda x: (encoders.latency(9).encode(x, KEY) * later_is_worse).sum()  # noqa: E731
    assert np.allclose(jax.grad(cost)(jnp.array([[0.3, 0.55, 0.9]])), -8.0, atol=1e-4)


def test_derivative_of_changes():
    x = jnp.array([[[0.0], [0.3], [0.1]]])
    signal = jnp.array([[[1.0, 9.0], [2.0, 3.0], [5.0, 7.0]]])
    below = jax.vjp(lambda x: encoders.delta(0.1).encode(x, KEY), x)[1](signal)[0]
    # on at the rise: 2 / theta (x_2 - x_1); off at the fall: 7 / theta (x_2 - x_3)
    assert np.allclose(below[0, :, 0], [-20, 20 + 70, -70], atol=1e-4)


def test_derivative_at_and_beyond_the_ends():
    x = jnp.array([[-0.5, 0.0, 1.0, 1.5]])
    slope = jax.grad(lambda x: encoders.bernoulli(T).encode(x, KEY).sum())(x)
    assert slope[0].tolist() == [0, T, T, 0]


# --- Refusals

LAYER = bp.dense(3, bp.lif())
NET = (bp.over_time(LAYER),)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: encoders.bernoulli(0), "steps: expected a whole number"),
        (lambda: encoders.bernoulli(3, 1.5), "probability: expected"),
        (lambda: encoders.poisson(3, -1.0), "rate: expected"),
        (lambda: encoders.latency(1), "steps: expected"),
        (lambda: encoders.delta(0.0), "threshold: expected"),
        (lambda: encoders.rows(3), "one of height and width"),
        (lambda: encoders.rows().encode(X, KEY), "expected images"),
        (lambda: encoders.rows(2, 2).encode(X, KEY), "2 x 2 = 4 numbers"),
        (lambda: encoders.delta().encode(X, KEY), "expected sequences"),
        (lambda: encoders.bernoulli(3).encode((9 * X).astype(int), KEY), "input is int32"),
        (lambda: in_front(LAYER, encoders.constant(3)), "one of a single moment"),
        (
            lambda: in_front(in_front(NET, encoders.constant(3)), encoders.constant(3)),
            "an encoder in front already",
        ),
        (
            lambda: bp.rules.backprop(NET, bp.cross_entropy).predict(
                bp.init(NET, KEY, X[:, None]), (), X, KEY
            ),
            "in_front",
        ),
    ],
)
def test_refusals(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_every_encoder_is_in_the_table():
    assert {name for name in encoders.__all__ if name in ENCODERS} == set(ENCODERS)
    assert all(getattr(encoders, name) is factory for name, factory in ENCODERS.items())
