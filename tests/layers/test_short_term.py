"""Short-term plasticity: closed forms of its state, and the gradients of nets that have it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus.net import play
from bioplaus.neurons import triangle
from bioplaus.neurons.surrogate import spike
from bioplaus.rules.feedback_alignment import State

KEY = jax.random.key(2)


def transmitted(x, dt, **keywords):
    """What arrives of x [T, n] behind n synapses, [T, n], and their last `Resources`."""
    layer = bp.over_time(bp.short_term(bp.dense(1), **keywords), dt=dt)
    params = {"w": jnp.ones((1, 1)), "b": jnp.zeros(1)}
    played = jax.jit(lambda x: play(layer, params, None, x, KEY))(jnp.asarray(x).T[..., None])
    return np.asarray(played.current[..., 0]).T, jax.tree.map(
        lambda a: np.asarray(a[:, 0]), played.past.synapses
    )


KINDS = {
    "depressing": {"use": 0.5, "tau_recover": 100.0, "tau_facilitate": 0.0},
    "facilitating": {"use": 0.15, "tau_recover": 40.0, "tau_facilitate": 300.0},
}


def decays(s, tau_recover, tau_facilitate):
    return np.exp(-s / tau_recover), np.exp(-s / tau_facilitate) if tau_facilitate else 0.0 * s


@pytest.mark.parametrize("dt", [1.0, 2.5])
@pytest.mark.parametrize("kind", KINDS)
def test_regular_trains_settle_at_the_closed_form(x64, kind, dt):
    """Trains of 100, 40 and 20 Hz, at any dt. The first spike passes whole."""
    intervals, keywords = np.array([10.0, 25.0, 50.0]), KINDS[kind]
    t = dt * np.arange(round(2000 / dt))
    x = (t[:, None] % intervals == 0).astype(float)
    y, after = transmitted(x, dt, **keywords)
    use = keywords["use"]
    e_r, e_f = decays(intervals, keywords["tau_recover"], keywords["tau_facilitate"])
    u = use / (1 - (1 - use) * e_f)
    r = (1 - e_r) / (1 - (1 - u) * e_r)
    last = np.array([y[x[:, j] > 0, j][-1] for j in range(3)])
    np.testing.assert_allclose(last, u * r / use, rtol=1e-4)
    np.testing.assert_allclose(y[0], 1.0)
    assert (y[x == 0] == 0).all()
    # 2000 ms is a multiple of all intervals: the next spike would meet the stationary state
    np.testing.assert_allclose(after.u, u, rtol=1e-4)
    np.testing.assert_allclose(after.r, r, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_paired_pulses(x64, kind):
    """Second response / first = (1 + (1 - U) e_f) (1 - U e_r): below 1 where synapses depress."""
    intervals, use = np.array([5.0, 20.0, 80.0]), KINDS[kind]["use"]
    x = np.zeros((90, 3))
    x[0] = 1
    x[intervals.astype(int), range(3)] = 1
    y, _ = transmitted(x, 1.0, **KINDS[kind])
    e_r, e_f = decays(intervals, KINDS[kind]["tau_recover"], KINDS[kind]["tau_facilitate"])
    ratio = y[intervals.astype(int), range(3)] / y[0]
    np.testing.assert_allclose(ratio, (1 + (1 - use) * e_f) * (1 - use * e_r), rtol=1e-12)
    assert ((ratio < 1) if kind == "depressing" else (ratio[:2] > 1.2)).all()


def test_moments_at_poisson_input():
    """Bernoulli spikes of probability p a moment: the mean of u, and mean and variance of R.

    With z the spike and e a decay, u' = U + (u + U (1 - u) z - U) e and, where u = U, R' = 1 + (R -
    U R z - 1) e; z is independent of u and R before it.
    """
    n, dt, rate = 20_000, 1.0, 0.02
    p = rate * dt
    x = np.asarray(jax.random.bernoulli(KEY, p, (700, n)), np.float32)
    _, depressing = transmitted(x, dt, use=0.5, tau_recover=100.0)
    e = np.exp(-dt / 100)
    mean = (1 - e) / (1 - e * (1 - 0.5 * p))
    square = (1 - e) ** 2 + 2 * e * (1 - e) * mean * (1 - 0.5 * p)
    square /= 1 - e**2 * (1 - p + 0.25 * p)
    sd = np.sqrt(square - mean**2)
    r = depressing.r.astype(float)
    assert abs(r.mean() - mean) < 4 * sd / np.sqrt(n)
    assert abs(r.std() - sd) < 0.03 * sd
    np.testing.assert_array_equal(depressing.u, 0.5)
    np.testing.assert_allclose(mean, 1 / (1 + 0.5 * 100 * rate), rtol=0.02)  # as dt -> 0
    _, facilitating = transmitted(x, dt, use=0.15, tau_recover=40.0, tau_facilitate=100.0)
    mean = 0.15 * (1 - e + e * p) / (1 - e * (1 - 0.15 * p))
    u = facilitating.u.astype(float)
    assert abs(u.mean() - mean) < 4 * u.std() / np.sqrt(n)
    assert abs(u.mean() - 0.15) > 40 * u.std() / np.sqrt(n)
    tau_f = 100 * rate
    np.testing.assert_allclose(mean, 0.15 * (1 + tau_f) / (1 + 0.15 * tau_f), rtol=0.02)


USE = {"use": 0.4, "tau_recover": 8.0, "tau_facilitate": 5.0}


def net_of(use=0.4):
    keywords = USE | {"use": use}
    return (
        bp.over_time(bp.short_term(bp.dense(5, bp.lif(5.0)), **keywords)),
        bp.recurrent(bp.dense(4, bp.lif(5.0)), bp.short_term(bp.dense(4), **keywords)),
        bp.after(bp.mean_over_time, bp.dense(3)),
    )


@pytest.fixture
def problem(x64):
    x = jax.random.uniform(KEY, (4, 6, 3)).round()
    params = jax.tree.map(lambda w: 5 * w + 0.15, bp.init(net_of(), KEY, x))
    return params, bp.Batch(x, jax.nn.one_hot(jnp.arange(4) % 3, 3, dtype=x.dtype))


def by_hand(params, batch, use=0.4):
    """The loss of `net_of`, one moment after the other."""
    first, second, readout = params
    e_r, e_f, a = np.exp(-1 / 8.0), np.exp(-1 / 5.0), np.exp(-1 / 5.0)

    def step(u, r, x):
        y = u * r * x / use
        return (
            use + (u + use * (1 - u) * x - use) * e_f,
            1 + (r - u * r * x - 1) * e_r,
            y,
        )

    def fire(v, current):
        v = a * v + current
        z = spike(v - 1, triangle())
        return v - jax.lax.stop_gradient(z), z

    (v1, z), (v2, own) = (jnp.zeros((4, 5)),) * 2, (jnp.zeros((4, 4)),) * 2
    u1, r1, u2, r2 = use, 1.0, use, 1.0
    total = 0.0
    for t in range(6):
        u1, r1, y = step(u1, r1, batch.x[:, t])
        v1, z = fire(v1, y @ first["w"] + first["b"])
        u2, r2, y = step(u2, r2, own)
        drive = z @ second["in"]["w"] + second["in"]["b"]
        v2, own = fire(v2, drive + y @ second["back"]["w"] + second["back"]["b"])
        total = total + own / 6
    return bp.cross_entropy(total @ readout["w"] + readout["b"], batch.y).mean()


def test_backprop_is_that_of_a_loop_by_hand(problem):
    """Also feedback alignment with the weights as feedback; not with those of another U."""
    params, batch = problem
    true, other = (
        jax.jit(jax.grad(by_hand), static_argnums=2)(params, batch, u) for u in (0.4, 0.5)
    )
    grads = jax.jit(bp.rules.backprop(net_of(), bp.cross_entropy).grad)(params, (), batch, KEY)[0]
    rule = bp.rules.feedback_alignment(net_of(), bp.cross_entropy)
    aligned = jax.jit(rule.grad)(params, State(((), *params[1:])), batch, KEY)[0]
    for found in (grads, aligned):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14), found, true
        )
    assert all(jnp.abs(g).max() > 1e-5 for g in jax.tree.leaves(true))
    assert jnp.abs(other[0]["w"] - true[0]["w"]).max() > 1e-4
    assert jnp.abs(other[1]["back"]["w"] - true[1]["back"]["w"]).max() > 1e-4


def test_pieces_give_what_the_whole_gives(problem):
    params, batch = problem
    net = net_of()[:2]
    advance = jax.jit(lambda pasts, x: bp.advance(net, params[:2], pasts, x, KEY))
    whole = advance(None, batch.x)[1].output
    pasts, first = advance(None, batch.x[:, :3])
    second = advance(pasts, batch.x[:, 3:])[1]
    np.testing.assert_array_equal(jnp.concatenate([first.output, second.output], 1), whole)
    again = advance(None, batch.x[:, 3:])[1]  # negative control: from rest
    assert jnp.abs(again.currents[0] - second.currents[0]).max() > 1e-3


def test_noise_of_the_synapses_can_be_switched_off(problem):
    params, batch = problem

    def current(p, dt, mode):
        inner = bp.dense(5, bp.lif())
        inner = inner if p == 1 else bp.synaptic_release(inner, p)
        net = bp.noise_mode((bp.over_time(bp.short_term(inner, **USE), dt=dt),), mode)
        return bp.forward(net, params[:1], batch.x, KEY).currents[0]

    quiet = current(0.5, 2.0, "off")
    np.testing.assert_array_equal(quiet, current(1, 2.0, "on"))
    assert jnp.abs(quiet - current(1, 1.0, "on")).max() > 1e-3  # at the wrong dt
    assert jnp.abs(quiet - current(0.5, 2.0, "on")).max() > 0.1


def test_wrong_uses_are_refused():
    x = jnp.ones((2, 3))
    layer = bp.short_term(bp.dense(4))
    params = layer.init(KEY, x)
    with pytest.raises(ValueError, match="the synapses of a layer have a state, which needs time"):
        bp.forward((layer,), (params,), x, KEY)
    with pytest.raises(ValueError, match=r"short_term: the layer runs over time"):
        bp.short_term(bp.over_time(bp.dense(4)))
    with pytest.raises(ValueError, match="use: expected a number above 0 and at most 1"):
        bp.short_term(bp.dense(4), use=0.0)
    block = bp.dense(4)._replace(composite=True)
    with pytest.raises(ValueError, match="short_term: errors cross weights inside"):
        bp.short_term(block)
