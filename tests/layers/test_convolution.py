"""Convolution on a CPU, one product over windows, against that of XLA; which of them is used."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import bioplaus as bp
from bioplaus.layers.convolution import convolve, divisors, product
from bioplaus.layers.flax import from_flax
from bioplaus.measure.cost import total_macs
from bioplaus.measure.program import trace

pytestmark = pytest.mark.thorough

KEY = jax.random.key(3)

CASES = {  # images, kernel, strides, padding
    "of LeNet": ((2, 9, 14, 3), (5, 5, 3, 16), (1, 1), "VALID"),
    "few channels": ((2, 6, 18, 2), (3, 3, 2, 4), (1, 1), "VALID"),
    "a width that nothing divides": ((2, 5, 13, 2), (3, 3, 2, 3), (1, 1), "SAME"),
    "strides, columns left over": ((2, 8, 12, 3), (3, 3, 3, 2), (2, 2), ((0, 0), (0, 1))),
    "a stride longer than the kernel": ((2, 7, 9, 2), (1, 2, 2, 3), (2, 3), "VALID"),
    "a kernel that is not square": ((1, 6, 8, 2), (2, 3, 2, 4), (1, 2), ((1, 0), (2, 1))),
    "as large as the image": ((3, 4, 4, 2), (4, 4, 2, 5), (1, 1), "VALID"),
}


def xlas(x, w, strides, padding):
    return jax.lax.conv_general_dilated(
        x, w, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", CASES)
def test_forward_and_backward_equal_xla(name):
    shape, kernel, strides, padding = CASES[name]
    rng = np.random.default_rng(0)
    x, w = jnp.asarray(rng.normal(size=shape)), jnp.asarray(rng.normal(size=kernel))

    @functools.partial(jax.jit, static_argnums=0)
    def there_and_back(op, x, w):
        y, back = jax.vjp(lambda x, w: op(x, w, strides, padding), x, w)
        return y, back(jnp.cos(jnp.arange(y.size)).reshape(y.shape))

    expected = there_and_back(xlas, x, w)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-11),
        there_and_back(convolve, x, w),
        expected,
    )
    # Negative controls: a kernel turned round along its rows, then images.
    other, (other_x, _) = there_and_back(convolve, x, w[:, ::-1])
    other_w = there_and_back(convolve, x[:, :, ::-1], w)[1][1]
    pairs = zip(jax.tree.leaves(expected), (other, other_x, other_w), strict=True)
    assert min(jnp.abs(a - b).max() for a, b in pairs) > 0.1


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("stride", [1, 2])
def test_every_block_size_gives_the_same_result(stride):
    """The result does not depend on how the outputs of a row are divided into blocks."""
    x, w = (
        jnp.asarray(np.random.default_rng(i).normal(size=s))
        for i, s in enumerate([(2, 5, 11 * stride + 3, 2), (3, 3, 2, 4)])
    )
    where = (stride, stride), ((0, 0), (0, 0))
    expected = xlas(x, w, *where)
    assert divisors(expected.shape[2]) == [1, 2, 3, 4, 6, 12]
    for n in divisors(12):
        np.testing.assert_allclose(product(x, w, *where, n), expected, atol=1e-11)


def lowered(function, *args, platform="cpu") -> str:
    return jax.jit(function).trace(*args).lower(lowering_platforms=(platform,)).as_text()


def test_cpus_use_one_product_and_other_devices_use_xla():
    x, w = jnp.zeros((2, 8, 8, 3)), jnp.zeros((3, 3, 3, 4))
    for platform, own in (("cpu", False), ("cuda", True), ("tpu", True)):
        assert (
            "stablehlo.convolution"
            in lowered(lambda x, w: convolve(x, w, (1, 1), "SAME"), x, w, platform=platform)
        ) == own


def test_counts_are_those_of_a_convolution():
    """A convolution counts output positions x kernel x channels, without the zeros of the padding.

    The zeros in the matrix product that computes it are not counted either.
    """
    x, w = jnp.zeros((2, 8, 8, 3)), jnp.zeros((3, 3, 3, 4))
    assert (
        total_macs(trace(lambda x, w: convolve(x, w, (1, 1), "VALID"), x, w))
        == 2 * 6 * 6 * 9 * 3 * 4
    )
    assert (
        total_macs(trace(lambda x, w: convolve(x, w, (1, 1), "SAME"), x, w))
        == 2 * (8 * 3 - 2) ** 2 * 3 * 4
    )


@pytest.mark.parametrize(
    ("options", "own"),
    [({}, False), ({"feature_group_count": 2}, True), ({"kernel_dilation": 2}, True)],
)
def test_a_flax_convolution_uses_the_same_form(options, own):
    """Where it is a plain one over images, and gives what flax gives."""
    module = nnx.Conv(4, 4, (3, 3), rngs=nnx.Rngs(0), **options)
    net, x = from_flax(module), jax.random.normal(KEY, (2, 6, 6, 4))
    params = (nnx.to_pure_dict(nnx.state(module, nnx.Param)),)
    assert (
        "stablehlo.convolution"
        in lowered(lambda p, x: bp.forward(net, p, x, KEY).output, params, x)
    ) == own
    np.testing.assert_allclose(bp.forward(net, params, x, KEY).output, module(x), atol=1e-5)
