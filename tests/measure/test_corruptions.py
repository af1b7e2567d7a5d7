"""Corruptions against moments in closed form, scipy, the authors' severities and hand drawings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from bioplaus.measure.robustness.corruptions import (
    CIFAR10_C_LIKE,
    MNIST_C_LIKE,
    Corruption,
    corrupted,
    drawn,
    geometric,
    noise,
    on_images,
    optical,
    suite_for,
)

pytestmark = pytest.mark.thorough

RNG = np.random.default_rng(0)
N = 40_000
U = jnp.asarray(RNG.uniform(size=N), jnp.float32)
IMAGE = jnp.asarray(RNG.uniform(size=(28, 28, 1)), jnp.float32)
NONE = jnp.zeros(0)


def _flat(value):
    """An image of N values, all the same."""
    return jnp.full((200, 200, 1), value, jnp.float32)


def within(values, mean, variance):
    """Mean and variance within 3 standard errors, and not within them at 1.1 times the variance."""
    values = np.asarray(values, np.float64).ravel()
    spread = (values - mean) ** 2
    assert abs(values.mean() - mean) < 3 * np.sqrt(variance / values.size)
    assert abs(spread.mean() - variance) < 3 * spread.std() / np.sqrt(values.size)
    assert abs(spread.mean() - 1.1 * variance) > 3 * spread.std() / np.sqrt(values.size)


def test_moments_of_noise():
    within(noise.gaussian(_flat(0.5), 0.08, U), 0.5, 0.08**2)
    within(noise.speckle(_flat(0.5), 0.15, U), 0.5, (0.5 * 0.15) ** 2)
    # 5 standard deviations below 1
    for value, photons in ((51 / 255, 12.0), (102 / 255, 60.0), (128 / 255, 500.0)):
        within(noise.shot(_flat(value), photons, U), value, value / photons)
    dark = np.asarray(noise.shot(_flat(0.0), 3.0, U))
    assert (dark == 0).all()


def test_shot_noise_is_poisson():
    counts = np.round(np.asarray(noise.shot(_flat(51 / 255), 12.0, U)) * 12).astype(int).ravel()
    np.testing.assert_array_equal(counts, stats.poisson.ppf(U, 2.4))
    assert (counts != stats.poisson.ppf(U, 2.6)).any()


def test_impulse_fractions():
    got = np.asarray(noise.impulse(_flat(0.5), 0.17, U))
    for value, p in ((0.0, 0.085), (1.0, 0.085), (0.5, 0.83)):
        assert abs((got == value).mean() - p) < 3 * np.sqrt(p * (1 - p) / N)


def test_the_authors_severities():
    """From google-research/mnist-c corruptions.py and hendrycks/robustness make_cifar_c.py."""
    mnist = {
        "gaussian noise": (0.08, 0.12, 0.18, 0.26, 0.38),
        "shot noise": (60, 25, 12, 5, 3),
        "impulse noise": (0.03, 0.06, 0.09, 0.17, 0.27),
        "speckle noise": (0.15, 0.2, 0.35, 0.45, 0.6),
        "blur": (1, 2, 3, 4, 6),
        "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
        "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
        "quantise": (5, 4, 3, 2, 1),
        "shear": (0.2, 0.4, 0.6, 0.8, 1),
        "rotate": (0.2, 0.4, 0.6, 0.8, 1),
        "scale": (0.9, 0.8, 0.7, 0.6, 0.5),
        "translate": (1, 2, 3, 4, 5),
        "fog": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    }
    cifar = {
        "gaussian noise": (0.04, 0.06, 0.08, 0.09, 0.10),
        "shot noise": (500, 250, 100, 75, 50),
        "impulse noise": (0.01, 0.02, 0.03, 0.05, 0.07),
        "speckle noise": (0.06, 0.1, 0.12, 0.16, 0.2),
        "blur": (0.4, 0.6, 0.7, 0.8, 1),
        "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
        "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
        "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    }
    for suite, theirs, ours in (
        (MNIST_C_LIKE, mnist, {"occlusion", "stripe", "dotted line", "zigzag"}),
        (CIFAR10_C_LIKE, cifar, set()),
    ):
        assert {n: c.severities for n, c in suite.corruptions.items() if n in theirs} == theirs
        assert suite.corruptions.keys() - theirs.keys() == ours


@pytest.mark.parametrize("sigma", [0.4, 1.0, 3.0])
def test_blur_equals_scipy(sigma):
    expected = ndimage.gaussian_filter(
        np.asarray(IMAGE[..., 0]), sigma, mode="nearest", truncate=4.0
    )
    np.testing.assert_allclose(optical.blur(IMAGE, sigma, NONE)[..., 0], expected, atol=1e-5)
    assert (
        np.abs(
            ndimage.gaussian_filter(np.asarray(IMAGE[..., 0]), sigma, mode="wrap") - expected
        ).max()
        > 1e-3
    )


@pytest.mark.parametrize(
    ("apply", "severity", "matrix", "shift"),
    [
        (geometric.translate, 3.0, np.eye(2), 3.0),
        (geometric.rotate, 0.4, [[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]], 0.0),
        (geometric.scale, 0.7, np.eye(2) / 0.7, 0.0),
        (geometric.shear, 0.4, [[1, -np.sin(0.4)], [0, np.cos(0.4)]], 0.0),
    ],
)
def test_geometry_equals_scipy(apply, severity, matrix, shift):
    """scipy counts (row, column); u above 1/2 is the plus sign."""
    flipped = np.asarray(matrix)[::-1, ::-1]
    offset = 13.5 - flipped @ [13.5, 13.5] + shift
    expected = ndimage.affine_transform(
        np.asarray(IMAGE[..., 0], np.float64), flipped, offset, order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(
        apply(IMAGE, severity, jnp.full(2, 0.9))[..., 0], expected, atol=2e-4
    )
    if apply is not geometric.scale:
        assert (
            np.abs(np.asarray(apply(IMAGE, severity, jnp.full(2, 0.1))[..., 0]) - expected).max()
            > 0.1
        )


def test_light_by_hand():
    x = jnp.array([[[0.2, 0.4, 0.0], [0.0, 0.0, 0.0]]])
    np.testing.assert_allclose(
        optical.brightness(x, 0.2, NONE), [[[0.3, 0.6, 0.0], [0.2, 0.2, 0.2]]], atol=1e-6
    )
    np.testing.assert_allclose(optical.contrast(x, 0.5, NONE)[0, :, 1], [0.3, 0.1], atol=1e-6)
    np.testing.assert_allclose(
        optical.quantise(jnp.array([0.49, 0.51, 0.17]), 2, NONE), [1 / 3, 2 / 3, 1 / 3], atol=1e-6
    )
    inverted = np.asarray(optical.stripe(IMAGE, 7.0, NONE) != IMAGE)[0, :, 0]
    assert inverted.tolist() == [True] * 7 + [False] * 14 + [True] * 7


def test_plasma_is_diamond_square():
    """The first step of the diamond-square algorithm by hand, on a torus with one corner at 0."""
    u = jnp.asarray(RNG.uniform(size=15), jnp.float32)
    a, b, c = 2 * u[:3] - 1  # centre, right, down, from a corner of 0
    first = np.array([[0, (2 * a + 0) / 4 + b], [(2 * a + 0) / 4 + c, a]])
    got = np.asarray(optical.plasma(u[:3], 2.0))
    np.testing.assert_allclose(got, (first - first.min()) / np.ptp(first), atol=1e-6)
    cloud = np.asarray(optical.plasma(U[:255], 1.5))
    assert cloud.shape == (16, 16)
    assert (cloud.min(), cloud.max()) == (0, 1)
    with pytest.raises(ValueError, match="power of two"):
        optical.plasma(u[:8], 2.0)


def test_fog_by_hand():
    u = jnp.asarray(RNG.uniform(size=1023), jnp.float32)
    x = 0.8 * IMAGE
    p = np.asarray(optical.plasma(u, 1.7))[:28, :28, None]
    np.testing.assert_allclose(
        optical.fog(x, jnp.array([2.5, 1.7]), u),
        (x + 2.5 * p) * x.max() / (x.max() + 2.5),
        atol=1e-5,
    )


def test_drawings_by_hand():
    black = jnp.zeros((28, 28, 1))
    level = jnp.full(10, 5.5 / 27)  # every line from row 5 to row 5
    got = np.asarray(drawn.dotted_line(black, 1.0, level))[..., 0]
    d = np.abs(np.arange(28) - 5)
    bright = np.clip(1 + np.log(1 - np.minimum(d, 2.29) / 2.3), 0, 1)
    dots = (np.arange(28) // 2 % 2 == 1) & (np.arange(28) < 27)  # the last column is left out
    np.testing.assert_allclose(got, bright[:, None] * dots, atol=1e-5)
    flat = jnp.array([10.5 / 27] * 5 + [0.55] * 5)  # a zigzag about row 10, not rising
    wave = np.asarray(drawn.zigzag(black, 1.0, flat))[..., 0]
    assert wave[:, :2].sum() == wave[:, 26:].sum() == 0
    # vertices at 2, 6, 10, 14 from column 2
    peaks = [int(wave[:, c].argmax()) for c in (4, 8, 12, 16)]
    assert peaks == [12, 8, 12, 8]
    hole = np.asarray(drawn.occlusion(jnp.ones((28, 28, 1)), 7.0, jnp.array([0.0, 1.0])))[..., 0]
    expected = np.ones((28, 28))
    expected[:7, 21:] = 0
    np.testing.assert_array_equal(hole, expected)
    more = [np.asarray(drawn.dotted_line(black, float(n), U[:10])) for n in (1, 3)]
    assert (more[1] >= more[0]).all()
    assert more[1].sum() > more[0].sum()


def _two():
    table = {
        "gaussian noise": MNIST_C_LIKE.corruptions["gaussian noise"],
        "halved": Corruption(
            lambda x, s, u: x * s + 0 * u[0], (0.5, 0.25, 0.2, 0.1, 0.0), "factor", 1
        ),
    }
    return MNIST_C_LIKE._replace(corruptions=table)


def test_sets_are_bytes_and_depend_on_the_key_alone():
    x = jnp.asarray(RNG.uniform(size=(60, 8, 8, 1)), jnp.float32)  # more than one chunk
    make = jax.jit(lambda x, key: corrupted(_two(), x, key))
    got, again, other = (
        make(x, jax.random.key(0)),
        make(x[::-1], jax.random.key(0)),
        make(x, jax.random.key(1)),
    )
    assert {k: (v.shape, v.dtype) for k, v in got.items()} == dict.fromkeys(
        _two().corruptions, ((5, 60, 8, 8, 1), np.uint8)
    )
    np.testing.assert_array_equal(
        got["halved"],
        np.round(255 * x * np.array([0.5, 0.25, 0.2, 0.1, 0.0]).reshape(5, 1, 1, 1, 1)),
    )
    pushed, same = (
        np.asarray(a["gaussian noise"][0], float) - 255 * np.asarray(b)
        for a, b in ((got, x), (again, x[::-1]))
    )
    free = (
        (np.abs(pushed) < 250)
        & (got["gaussian noise"][0] % 255 > 0)
        & (again["gaussian noise"][0] % 255 > 0)
    )
    # the noise is the place's, not the image's; rounding aside
    assert np.abs(pushed - same)[np.asarray(free)].max() <= 1 + 1e-3
    assert (got["gaussian noise"] != other["gaussian noise"]).mean() > 0.5


def test_measures_on_sets_of_images():
    images = np.zeros((2, 3, 4, 2, 2, 1), np.uint8)
    images[1, 2] = 255
    y = jnp.eye(2)[jnp.array([0, 1, 1, 1])]

    def predict(x, key):  # class 1 for white
        return jnp.stack([0.5 - x.mean((1, 2, 3)), x.mean((1, 2, 3)) - 0.5], -1)

    got = on_images(
        lambda out, y: (out.argmax(-1) == y.argmax(-1)).mean(),
        predict,
        jnp.asarray(images),
        y,
        jax.random.key(0),
    )
    np.testing.assert_allclose(got, [[0.25, 0.25, 0.25], [0.25, 0.25, 0.75]])


def test_suites_are_chosen_by_the_image_shape():
    assert suite_for(jnp.zeros((1, 28, 28, 1))) is MNIST_C_LIKE
    assert suite_for(jnp.zeros((1, 32, 32, 3))) is CIFAR10_C_LIKE
    assert "8 x 8" in suite_for(jnp.zeros((1, 8, 8, 1))).name
    for shape in ((1, 64), (1, 8, 9, 1), (1, 8, 8, 2)):
        with pytest.raises(ValueError, match="square images"):
            suite_for(jnp.zeros(shape))
