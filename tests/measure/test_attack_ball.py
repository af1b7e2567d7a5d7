"""Attacks stay in their ball, measured in float64 or by hand where float32 has no squares."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus import net as nets
from bioplaus.layers import dense
from bioplaus.losses import cross_entropy
from bioplaus.measure.robustness import (
    L2,
    SINGLE_TRY,
    attack_with_learning_signal,
    fgsm,
    pgd,
    random_ball,
    random_signs,
    ray_search,
)

KEY = jax.random.key(0)
EVERY = {
    "fgsm": fgsm,
    "fgsm, L2": partial(fgsm, norm=L2),
    "pgd": partial(pgd, steps=3),
    "pgd, L2": partial(pgd, steps=3, norm=L2),
    **{
        name: partial(one.attack, **{"queries": 20} if one.queries else {})
        for name, one in SINGLE_TRY.items()
    },
    "random signs": random_signs,
    "random ball": random_ball,
}


@pytest.mark.parametrize("name", [*EVERY, "learning signal"])
def test_no_attack_leaves_the_ball_about_an_input_outside_the_box(name):
    """Attacks keep |x' - x| <= epsilon where the range of x is unknown.

    Where the range is given, an x outside of it is refused.
    """
    net = (dense(2),)
    x = jnp.asarray([[-1.0, 0.5], [2.0, 0.3], [0.4, 0.6]])
    params = nets.init(net, KEY, x)
    y = jax.nn.one_hot(nets.forward(net, params, x, KEY).output.argmax(-1), 2)  # the net is right
    attack = EVERY.get(name) or partial(attack_with_learning_signal(net, params, params), steps=3)

    def run(x, epsilon, **bounds):
        return attack(
            lambda x, key: nets.forward(net, params, x, key).output,
            cross_entropy,
            x,
            y,
            KEY,
            epsilon=epsilon,
            **bounds,
        )

    moved = jax.jit(run)
    for epsilon in (0.0, 0.3):
        step = moved(x, epsilon) - x
        length = jnp.linalg.norm(step, axis=1) if "L2" in name else jnp.abs(step).max(1)
        assert (length <= epsilon + 1e-6).all()
        if epsilon:
            assert length[2] > 0.05  # where there is room, the attack moves
    with pytest.raises(ValueError, match=r"from -1 to 2, outside its bounds \[0, 1\]"):
        run(x, 0.3)
    with pytest.raises(ValueError, match="outside its bounds"):
        jax.jit(lambda: run(x, 0.3))()  # known, though inside jit
    with pytest.raises(ValueError, match="x has the type uint8"):
        run(jnp.ones((3, 2), jnp.uint8), 0.3)
    with pytest.raises(ValueError, match=r"give \(low, high\)"):
        run(x, 0.3, bounds=(2.0, -1.0))
    assert jnp.isfinite(run(x, 0.3, bounds=(-1.0, 2.0))).all()


def test_ray_search_takes_a_radius_for_each_example():
    x, y = jnp.full((3, 4), 0.5), jax.nn.one_hot(jnp.zeros(3, int), 2)
    radius = jnp.asarray([[0.0], [0.1], [0.2]])
    moved = ray_search(lambda x, key: x[:, :2], cross_entropy, x, y, KEY, epsilon=radius, queries=4)
    np.testing.assert_allclose(jnp.abs(moved - x).max(1), radius[:, 0], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-19, 1e-10, 1.0, 1e10, 1e20, 1e30])
def test_l2_ascent_and_projection_at_any_size_of_the_gradient(scale):
    """Squares of float32 underflow below 1e-23 and overflow above 1e19."""
    slope = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)
    slope[3] = 0
    way = np.asarray(L2.ascent(jnp.asarray(scale * slope)))
    length = np.sqrt((slope**2).sum((1, 2), keepdims=True))
    np.testing.assert_allclose(way, slope / np.maximum(length, 1e-9), atol=1e-6)
    np.testing.assert_allclose(
        L2.project(jnp.asarray(scale * slope), 0.5 * scale) / np.float32(scale),
        0.5 * way,
        atol=1e-6,
    )
    np.testing.assert_array_equal(
        L2.project(jnp.asarray(scale * slope), 1e2 * scale), scale * slope
    )


def test_l2_fgsm_gains_what_it_can_at_every_lead():
    """A linear net of 784 inputs, |w_0 - w_1| = 60: at epsilon = 1 the lead falls by 60."""
    w = np.random.default_rng(0).normal(size=784)
    w = jnp.asarray(np.stack([w, -w], 1) * 30 / np.linalg.norm(w), jnp.float32)
    x, y = jnp.full((1, 784), 0.5), jnp.asarray([[1.0, 0.0]])

    def gain(lead):
        def predict(x, key):
            del key
            return (x - 0.5) @ w + jnp.stack([lead, 0.0])

        moved = fgsm(predict, cross_entropy, x, y, KEY, epsilon=1.0, norm=L2)
        return (lead - jnp.subtract(*predict(moved, KEY)[0])) / 60

    np.testing.assert_allclose(
        jax.jit(lambda: jax.lax.map(gain, jnp.arange(10.0, 86.0)))(), 1.0, atol=1e-4
    )
