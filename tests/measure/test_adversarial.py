"""Oracle: closed forms of a linear net, finite differences, and a net whose gradient is known to be false."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from bioplaus import net as nets
from bioplaus.layers import conv, dense, flattened, mlp, pooled
from bioplaus.losses import cross_entropy
from bioplaus.measure.robustness import (
    EPSILONS,
    PseudoGradientError,
    attack_with_learning_signal,
    check_gradient,
    fgsm,
    flags,
    pgd,
    random_signs,
    transfer,
    under_attack,
)
from bioplaus.neurons import rate, relu, tanh
from bioplaus.rules import RULES
from bioplaus.types import Batch

KEY = jax.random.key(0)
CLASSES, FEATURES = 10, 64
CENTRES = 0.5 + 0.12 * np.random.default_rng(7).choice([-1.0, 1.0], (CLASSES, FEATURES)).astype(np.float32)
NET = mlp([FEATURES, 128, 128, CLASSES])


def _blobs(seed, n):
    rng = np.random.default_rng(seed)
    c = rng.integers(0, CLASSES, n)
    x = CENTRES[c] + 0.15 * rng.normal(size=(n, FEATURES))
    return Batch(jnp.asarray(x.clip(0.0, 1.0), jnp.float32), jnp.asarray(np.eye(CLASSES)[c], jnp.float32))


TEST = _blobs(1, 200)


def _train(name, steps=600):
    rule, tx = RULES[name](NET, cross_entropy), optax.adam(3e-3)
    data = jax.tree.map(lambda a: a.reshape(-1, 32, a.shape[-1]), _blobs(2, 32 * 60))

    @jax.jit
    def run():
        params = nets.init(NET, jax.random.key(1), data.x[0])
        state = rule.init(jax.random.key(2), params, Batch(data.x[0], data.y[0]))

        def step(carry, t):
            params, opt = carry
            grads, _, info = rule.grad(params, state, jax.tree.map(lambda a: a[t % len(a)], data), KEY)
            updates, opt = tx.update(grads, opt, params)
            return (optax.apply_updates(params, updates), opt), info["loss"]

        return jax.lax.scan(step, (params, tx.init(params)), jnp.arange(steps))[0][0], state

    return run()


@pytest.fixture(scope="module")
def trained():
    return {name: _train(name) for name in ("bp", "fa")}


def _answer(params):
    return lambda x, key: nets.forward(NET, params, x, key).output


def _with_feedback(weights):
    """A dense tanh net with the feedback weights inside a custom_vjp, as they are often written: every gradient is a false one."""

    def product(x, w, b):
        del b
        return x @ w

    def pull(kept, s):
        x, b = kept
        return s @ b.T, x.T @ s, jnp.zeros_like(b)

    synapse = jax.custom_vjp(product)
    synapse.defvjp(lambda x, w, b: (product(x, w, b), (x, b)), pull)

    def predict(params, state, x, key):
        del key
        for l, (p, b) in enumerate(zip(params, weights(params, state), strict=True)):
            x = synapse(x, p["w"], b) + p["b"]
            x = jnp.tanh(x) if l + 1 < len(params) else x
        return x

    return predict


def test_fgsm_breaks_a_linear_net_at_margin_over_l1(x64):
    """L-infinity distance to the boundary w . x + b = 0: |w . x + b| / ||w||_1."""
    rng = np.random.default_rng(0)
    w, x = jnp.asarray(rng.normal(size=(20, 2))), jnp.asarray(rng.normal(size=(30, 20)))
    outputs = x @ w
    y = jax.nn.one_hot(outputs.argmax(-1), 2)  # the net is right
    difference = w[:, 1] - w[:, 0]
    exact = jnp.abs(x @ difference) / jnp.abs(difference).sum()
    assert exact.min() > 1e-4

    def smallest(attack):
        def broken(epsilon):
            moved = attack(lambda x, _: x @ w, cross_entropy, x, y, KEY, epsilon=epsilon[:, None])  # a radius for each example
            return (moved @ w).argmax(-1) != y.argmax(-1)

        def halve(bounds, _):
            low, high = bounds
            middle = (low + high) / 2
            hit = broken(middle)
            return (jnp.where(hit, low, middle), jnp.where(hit, middle, high)), None

        return jax.jit(lambda: jax.lax.scan(halve, (jnp.zeros(30), jnp.full(30, 4.0)), length=40)[0][1])()

    wide = (-jnp.inf, jnp.inf)
    np.testing.assert_allclose(smallest(partial(fgsm, bounds=wide)), exact, atol=1e-5)
    np.testing.assert_allclose(smallest(partial(pgd, bounds=wide, steps=5)), exact, atol=1e-5)
    assert (smallest(partial(random_signs, bounds=wide)) > 1.5 * exact).mean() > 0.9
    assert (smallest(fgsm) > exact + 1e-3).any()  # the box [0, 1] binds


@pytest.mark.parametrize("attack", [fgsm, pgd, random_signs])
def test_stays_in_the_ball_and_the_box(attack, trained):
    moved = jax.jit(lambda: attack(_answer(trained["bp"][0]), cross_entropy, TEST.x, TEST.y, KEY, epsilon=0.1))()
    distance = jnp.abs(moved - TEST.x)
    assert 0.09 < distance.max() <= 0.1 + 1e-6
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert (moved == 0).any()


def test_accuracy_falls_with_epsilon(trained):
    predict = _answer(trained["bp"][0])
    clean = (predict(TEST.x, KEY).argmax(-1) == TEST.y.argmax(-1)).mean()
    curve = partial(under_attack, predict=predict, loss=cross_entropy, batch=TEST, key=KEY)
    strong, weak, noise = jax.jit(lambda: [curve(a) for a in (pgd, partial(pgd, steps=1), random_signs)])()
    assert clean > 0.95
    assert strong.shape == (len(EPSILONS),)
    assert strong[0] == clean
    assert (jnp.diff(strong) <= 0).all()
    assert strong[-1] == 0
    assert (strong <= weak + 0.01).all()
    assert noise[2] > strong[2] + 0.5


def test_attacks_the_net_that_settles():
    net = mlp([8, 10, 3])
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(20, 8)), jnp.float32)
    params = jax.tree.map(lambda w: 2 * w, nets.init(net, KEY, x))
    predict = RULES["ep"](net, cross_entropy).predict

    def answer(x, key):
        return predict(params, (), x, key)

    batch = Batch(x, jax.nn.one_hot(answer(x, KEY).argmax(-1), 3))
    got = jax.jit(lambda: under_attack(pgd, answer, cross_entropy, batch, KEY))()
    assert got[0] == 1
    assert got[-1] < 0.5
    assert check_gradient(predict, cross_entropy, params, (), x, batch.y, KEY) < 1e-4


def test_guard_accepts_kinked_nets_on_blank_images():
    """ReLU and max pooling with no bias on exact zeros: no derivative at x itself, in any of the units over the background."""
    net = (conv(4, 3, relu(), padding=1), pooled(2, conv(6, 3, relu())), flattened(dense(20, relu())), dense(5))
    x = jnp.zeros((12, 10, 10, 1)).at[:, 3:7, 3:7].set(np.random.default_rng(0).uniform(size=(12, 4, 4, 1)))
    params = jax.jit(lambda: nets.init(net, KEY, x))()
    y = jax.nn.one_hot(jnp.arange(12) % 5, 5)
    assert check_gradient(nets.predictor(net), cross_entropy, params, (), x, y, KEY) < 1e-6


def test_guard_rejects_feedback_in_the_forward_pass(trained):
    params, state = trained["fa"]
    feedback = (jax.tree.map(lambda w: w[::-1], params[0]), *state.feedback[1:])
    check = partial(check_gradient, loss=cross_entropy, params=params, x=TEST.x[:32], y=TEST.y[:32], key=KEY)
    with pytest.raises(PseudoGradientError, match="differs from finite differences"):
        check(_with_feedback(lambda params, state: [b["w"] for b in state]), state=feedback)
    assert check(_with_feedback(lambda params, state: [p["w"] for p in params]), state=()) < 1e-6  # B = W is the truth
    assert check(nets.predictor(NET), state=()) < 1e-6


def test_guard_sees_through_a_flat_loss(trained):
    """Where the loss is next to zero, so is the difference of any two gradients: the guard must not take that for agreement."""
    params, state = trained["fa"]
    sure = (*params[:-1], jax.tree.map(lambda w: 30 * w, params[-1]))
    predict = _with_feedback(lambda params, state: [b["w"] for b in state])
    x, y = jnp.asarray(CENTRES), jnp.eye(CLASSES)
    assert cross_entropy(predict(sure, sure, x, KEY), y).max() < 1e-6
    feedback = (sure[0], *state.feedback[1:])
    with pytest.raises(PseudoGradientError):
        check_gradient(predict, cross_entropy, sure, feedback, x, y, KEY)


def test_guard_rejects_what_has_no_derivative_or_is_not_finite():
    spike = rate(lambda a: a + jax.lax.stop_gradient((a > 0) - a))  # a step, with the straight-through gradient
    x, y = jnp.asarray(np.random.default_rng(0).uniform(size=(6, 8)), jnp.float32), jnp.eye(3)[jnp.arange(6) % 3]
    params = jax.jit(lambda: nets.init(mlp([8, 10, 3]), KEY, x))()
    spiking, smooth = (nets.predictor(mlp([8, 10, 3], neuron)) for neuron in (spike, tanh()))
    single = lambda p, s, x, k: smooth(p, s, x.astype(jnp.float32), k)  # noqa: E731
    broken = jax.tree.map(lambda w: w * jnp.nan, params)
    assert check_gradient(smooth, cross_entropy, params, (), x, y, KEY) < 1e-6
    for predict, p in ((spiking, params), (single, params), (smooth, broken)):
        with pytest.raises(PseudoGradientError):
            check_gradient(predict, cross_entropy, p, (), x, y, KEY)


def test_learning_signal_at_the_forward_weights_is_pgd(trained):
    params, state = trained["fa"]
    epsilon = 0.1
    true = pgd(_answer(params), cross_entropy, TEST.x, TEST.y, KEY, epsilon=epsilon)
    attack = jax.jit(
        partial(attack_with_learning_signal, NET, params, loss=cross_entropy, x=TEST.x, y=TEST.y, key=KEY, epsilon=epsilon)
    )
    assert (jnp.abs(attack(feedback=params) - true) < 1e-6).mean() > 0.99  # rounding turns the sign of a slope of zero
    assert (jnp.abs(attack(feedback=(params[0], *state.feedback[1:])) - true) < 1e-6).mean() < 0.9


def test_feedback_alignment_is_robust_only_to_a_blind_attack(trained):
    """The artefact: along the learning signal a net of feedback alignment looks robust, and both flags say why."""
    (bp, _), (fa, state) = trained["bp"], trained["fa"]
    feedback = (nets.init(NET, jax.random.key(5), TEST.x)[0], *state.feedback[1:])

    def blind(predict, loss, x, y, key, *, epsilon):
        del predict
        return attack_with_learning_signal(NET, fa, feedback, loss, x, y, key, epsilon=epsilon)

    @jax.jit
    def curves():
        on = partial(under_attack, predict=_answer(fa), loss=cross_entropy, batch=TEST, key=KEY)
        return on(blind), on(pgd), on(random_signs), transfer(pgd, _answer(bp), _answer(fa), cross_entropy, TEST, KEY)

    pseudo, true, noise, transferred = curves()
    k = EPSILONS.index(0.1)
    assert pseudo[0] > 0.95
    assert true[k] < 0.6
    assert pseudo[k] > true[k] + 0.3
    assert noise[k] - pseudo[k] < 0.1
    assert flags(EPSILONS, pseudo, transferred, noise) == (True, True)
    assert flags(EPSILONS, true, transferred, noise) == (False, False)


def test_flags_by_hand():
    """The digits example: pseudo-gradient, then true gradient, of one net; transferred from backprop; random signs."""
    white = [[0.978, 0.971, 0.959, 0.892, 0.595], [0.978, 0.787, 0.343, 0.0, 0.0]]
    other, noise = [0.978, 0.852, 0.550, 0.034, 0.0], [0.978, 0.977, 0.971, 0.911, 0.590]
    got = flags(EPSILONS, white, other, noise)
    np.testing.assert_array_equal(got.transfer_stronger, [True, False])
    np.testing.assert_array_equal(got.noise_comparable, [True, False])
    assert flags(EPSILONS, white[1], other, white[1]) == (False, True)  # each flag alone
    assert flags(EPSILONS, white[1], [0.978, 0.3, 0.0, 0.0, 0.0], noise) == (True, False)
    with pytest.raises(ValueError, match="expected 0"):
        flags((0.1, 0.2), [1, 0], [1, 0], [1, 0])
