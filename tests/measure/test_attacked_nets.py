"""Attacks on trained nets: how accuracy falls, other learning rules, noise, and transfer."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus import net as nets
from bioplaus.layers import mlp
from bioplaus.losses import cross_entropy
from bioplaus.measure.robustness import (
    EPSILONS,
    attack_with_learning_signal,
    fgsm,
    pgd,
    random_signs,
    transfer,
    under_attack,
)
from bioplaus.rules import RULES
from bioplaus.types import Batch

pytestmark = pytest.mark.slow

KEY = jax.random.key(0)


def test_accuracy_falls_with_epsilon(digits):
    predict = digits.answer(digits.first(digits.bp))
    clean = (predict(digits.test.x, KEY).argmax(-1) == digits.test.y.argmax(-1)).mean()
    curve = partial(under_attack, predict=predict, loss=cross_entropy, batch=digits.test, key=KEY)
    strong, weak, noise = jax.jit(
        lambda: [curve(a) for a in (partial(pgd, steps=20), partial(pgd, steps=1), random_signs)]
    )()
    assert clean > 0.95
    assert strong.shape == (len(EPSILONS),)
    assert strong[0] == clean
    assert (jnp.diff(strong) <= 0).all()
    assert strong[-1] == 0
    assert (strong <= weak + 0.01).all()
    assert noise[2] > strong[2] + 0.3


def test_attacks_the_net_that_settles():
    net = mlp([8, 10, 3])
    x = jnp.asarray(np.random.default_rng(0).uniform(size=(20, 8)), jnp.float32)
    params = jax.tree.map(lambda w: 2 * w, nets.init(net, KEY, x))
    predict = RULES["ep"](net, cross_entropy).predict

    def answer(x, key):
        return predict(params, (), x, key)

    batch = Batch(x, jax.nn.one_hot(answer(x, KEY).argmax(-1), 3))
    got = jax.jit(lambda: under_attack(partial(pgd, steps=20), answer, cross_entropy, batch, KEY))()
    assert got[0] == 1
    assert got[-1] < 0.5


def test_more_draws_follow_the_mean_gradient():
    """The gradient of L = sum_j x_j (1 + 3 xi_j), averaged over n samples of the noise xi.

    It has the right sign with probability Phi(sqrt(n) / 3).
    """
    x = jnp.full((40, 50), 0.5)

    def predict(x, key):
        return x * (1 + 3 * jax.random.normal(key, x.shape))

    def right(draws):
        return (
            fgsm(predict, lambda output, y: output.sum(-1), x, x, KEY, epsilon=0.1, draws=draws) > x
        ).mean()

    one, many = jax.jit(lambda: (right(1), right(100)))()
    np.testing.assert_allclose(one, 0.6306, atol=0.045)  # 4 standard errors
    assert many > 0.997


def test_learning_signal_at_the_forward_weights_is_pgd(digits):
    params, feedback = digits.first(digits.fa), digits.first(digits.feedback)
    x, y = digits.test.x[:100], digits.test.y[:100]

    @jax.jit
    def moved():
        true = pgd(digits.answer(params), cross_entropy, x, y, KEY, epsilon=0.1, steps=20)
        signals = [attack_with_learning_signal(digits.net, params, b) for b in (params, feedback)]
        return true, [a(None, cross_entropy, x, y, KEY, epsilon=0.1, steps=20) for a in signals]

    true, (at_w, at_b) = moved()
    assert (jnp.abs(at_w - true) < 1e-6).mean() > 0.99  # rounding turns the sign of a slope of zero
    assert (jnp.abs(at_b - true) < 1e-6).mean() < 0.9


def test_transfer_is_the_attack_on_another_net(digits):
    """With one net as source and target it is the attack; from another net it is weaker."""
    fa, bp = (digits.answer(digits.first(p)) for p in (digits.fa, digits.bp))
    run = partial(
        transfer,
        partial(pgd, steps=20),
        loss=cross_entropy,
        batch=digits.test,
        key=KEY,
        severities=(0.0, 0.1),
    )
    own, direct, other = jax.jit(
        lambda: (
            run(source=fa, target=fa),
            under_attack(
                partial(pgd, steps=20), fa, cross_entropy, digits.test, KEY, severities=(0.0, 0.1)
            ),
            run(source=bp, target=fa),
        )
    )()
    np.testing.assert_array_equal(own, direct)
    assert other[0] == own[0]
    assert other[1] > own[1]
