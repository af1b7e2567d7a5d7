"""Attacks against closed forms of a linear net, the ball and the box, and foolbox step by step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus.losses import cross_entropy
from bioplaus.measure.robustness import (
    L2,
    LINF,
    fgsm,
    margin,
    pgd,
    random_ball,
    random_signs,
    ray_search,
    square,
)

pytestmark = pytest.mark.thorough

KEY = jax.random.key(0)
WIDE = (-100.0, 100.0)
FROM_X = [
    norm._replace(sample=lambda key, like, epsilon: jnp.zeros_like(like)) for norm in (LINF, L2)
]


def test_a_linear_net_breaks_at_its_margin(x64):
    """No attack breaks a linear net within the distance of x to the boundary w . x + b = 0.

    It is |w . x + b| / ||w||_1 in L-infinity, and |w . x + b| / ||w||_2 in L2.
    """
    rng = np.random.default_rng(0)
    w, x = (
        jnp.asarray(rng.normal(size=(20, 2))),
        jnp.asarray(np.clip(rng.normal(size=(30, 20)), -1, 1)),
    )
    y = jax.nn.one_hot((x @ w).argmax(-1), 2)  # the net is right
    difference = w[:, 1] - w[:, 0]
    room = jnp.abs(x @ difference)
    exact, exact_l2 = room / jnp.abs(difference).sum(), room / jnp.linalg.norm(difference)
    assert exact.min() > 1e-4

    def predict(x, key):
        del key
        return x @ w

    # steps of epsilon: half of the way back from the random start, each
    def long(*args, epsilon, norm, bounds):
        return pgd(*args, epsilon=epsilon, step_size=epsilon, steps=25, norm=norm, bounds=bounds)

    def smallest(attack):
        def broken(epsilon):
            # a radius for each example
            moved = attack(predict, cross_entropy, x, y, KEY, epsilon=epsilon[:, None])
            return (moved @ w).argmax(-1) != y.argmax(-1)

        def halve(bounds, _):
            low, high = bounds
            middle = (low + high) / 2
            hit = broken(middle)
            return (jnp.where(hit, low, middle), jnp.where(hit, middle, high)), None

        return jax.lax.scan(halve, (jnp.zeros(30), jnp.full(30, 8.0)), length=40)[0][1]

    @jax.jit
    def found():
        by_gradient = [
            [smallest(partial(a, bounds=WIDE, norm=norm)) for a in (fgsm, long)]
            for norm in (LINF, L2)
        ]
        moved = ray_search(
            predict,
            cross_entropy,
            x,
            y,
            KEY,
            epsilon=100.0,
            queries=1500,
            tolerance=1e-6,
            bounds=WIDE,
        )
        return (
            by_gradient,
            smallest(partial(random_signs, bounds=WIDE)),
            smallest(partial(fgsm, bounds=(-1.0, 1.0))),
            jnp.abs(moved - x).max(1),
        )

    by_gradient, noise, boxed, ray = found()
    for radii, truth in zip(by_gradient, (exact, exact_l2), strict=True):
        for radius in radii:
            np.testing.assert_allclose(radius, truth, atol=1e-5)
    np.testing.assert_allclose(ray, exact, atol=1e-5)
    assert (noise > 1.5 * exact).mean() > 0.9
    assert (boxed > exact + 1e-3).any()  # the box binds


def test_square_finds_the_worst_corner_of_a_linear_net():
    """Epsilon just above the exact distance is enough, just below is not; images, vectors alike."""
    rng = np.random.default_rng(1)
    w = jnp.asarray(rng.normal(size=(16, 2)), jnp.float32)
    x = jnp.asarray(rng.uniform(0.3, 0.7, size=(40, 16)), jnp.float32)
    y = jax.nn.one_hot((x @ w).argmax(-1), 2)
    difference = w[:, 1] - w[:, 0]
    exact = jnp.abs(x @ difference) / jnp.abs(difference).sum()

    def broken(x, share):
        def predict(x, key):
            del key
            return x.reshape(len(x), -1) @ w

        radius = share * exact.reshape(-1, *(1,) * (x.ndim - 1))
        moved = square(predict, cross_entropy, x, y, KEY, epsilon=radius, queries=600, bounds=WIDE)
        return (predict(moved, KEY).argmax(-1) != y.argmax(-1)).mean()

    rates = jax.jit(
        lambda: [
            [broken(x.reshape(40, *shape), s) for s in (0.99, 1.01)] for shape in ((16,), (4, 4, 1))
        ]
    )()
    for below, above in rates:
        assert below == 0
        assert above == 1


@pytest.mark.parametrize(
    ("attack", "least"),
    [
        (fgsm, 0.09),
        (pgd, 0.09),
        (square, 0.09),
        (ray_search, 0.05),
        (random_signs, 0.09),
        (random_ball, 0.09),
    ],
)
def test_stays_in_the_ball_and_the_box(attack, least, trained):
    x, y = trained.test.x[:50], trained.test.y[:50]
    short = {square: {"queries": 30}, ray_search: {"queries": 100}, pgd: {"steps": 5}}.get(
        attack, {}
    )
    moved = jax.jit(
        lambda: attack(trained.answer, cross_entropy, x, y, KEY, epsilon=0.1, **short)
    )()
    assert moved.shape == x.shape
    assert least < jnp.abs(moved - x).max() <= 0.1 + 1e-6
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert (moved == 0).any()


def test_l2_stays_in_its_ball_and_uses_it(trained):
    x, y = trained.test.x[:50], trained.test.y[:50]
    moved = jax.jit(
        lambda: pgd(
            trained.answer,
            cross_entropy,
            x,
            y,
            KEY,
            epsilon=0.5,
            steps=5,
            norm=L2,
        )
    )()
    length = jnp.sqrt(((moved - x) ** 2).sum((1, 2, 3)))
    assert length.max() <= 0.5 + 1e-6
    assert jnp.median(length) > 0.3
    radii = jnp.sqrt((L2.sample(KEY, jnp.zeros((2000, 3)), 2.0) ** 2).sum(1))
    # uniform: half of the volume
    np.testing.assert_allclose((radii < 2 * 0.5 ** (1 / 3)).mean(), 0.5, atol=0.04)


def test_agrees_with_foolbox(trained):
    """The same steps from x as foolbox's.

    The readout is scaled down, because gradients of a flat loss are rounding errors.
    """
    foolbox = pytest.importorskip("foolbox")
    eagerpy = pytest.importorskip("eagerpy")
    *below, readout = trained.params
    scaled = (*below, jax.tree.map(lambda w: 0.1 * w, readout))
    predict = trained._replace(params=scaled).answer
    x, y = trained.test.x[:60], trained.test.y[:60]
    labels = jnp.asarray(y.argmax(-1))
    model = foolbox.JAXModel(jax.jit(lambda x: predict(x, KEY)), bounds=(0, 1))
    theirs = foolbox.attacks
    pairs = [
        (partial(fgsm, epsilon=0.1), theirs.LinfFastGradientAttack(random_start=False), 0.1),
        (partial(fgsm, epsilon=0.5, norm=L2), theirs.L2FastGradientAttack(random_start=False), 0.5),
        (
            partial(pgd, epsilon=0.1, steps=5, step_size=0.03, norm=FROM_X[0]),
            theirs.LinfProjectedGradientDescentAttack(
                rel_stepsize=0.3, steps=5, random_start=False
            ),
            0.1,
        ),
        (
            partial(pgd, epsilon=0.5, steps=5, step_size=0.15, norm=FROM_X[1]),
            theirs.L2ProjectedGradientDescentAttack(rel_stepsize=0.3, steps=5, random_start=False),
            0.5,
        ),
    ]
    ours = jax.jit(lambda: [a(predict, cross_entropy, x, y, KEY) for a, _, _ in pairs])()
    for moved, (_, attack, epsilon) in zip(ours, pairs, strict=True):
        oracle = attack(model, x, labels, epsilons=epsilon)[1]
        oracle = oracle.raw if isinstance(oracle, eagerpy.Tensor) else oracle
        same = jnp.abs(moved - oracle) < 1e-5
        assert same.mean() > 0.995  # rounding turns the sign of a slope of next to zero
        assert jnp.abs(moved - x).max() > 0.02


def test_margin_by_hand():
    output = jnp.asarray([[3.0, 1.0, 2.0], [0.5, 4.0, 1.0]])
    y = jnp.asarray([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(margin(output, y), [-1.0, 3.0])
    slope = jax.grad(lambda o: margin(1e4 * o, y).sum())(output)
    # where cross-entropy is flat
    np.testing.assert_allclose(slope, 1e4 * np.array([[-1, 0, 1], [0, 1, -1]]))
