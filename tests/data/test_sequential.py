"""Images as sequences: rows, pixels, and pixels in a fixed order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus.data import own, sequential
from bioplaus.encoders import rows

IMAGES = np.random.default_rng(0).normal(size=(20, 4, 3, 1)).astype(np.float32)
DATA = own(IMAGES, np.arange(20) % 2)


@pytest.mark.parametrize(("width", "moments"), [(3, 4), (1, 12), (6, 2)])
def test_moments_are_the_image_in_order(width, moments):
    found = sequential.sequential(DATA, width, dt=2.0)
    assert found.dt == 2.0
    for before, after in zip(DATA[1:4], found[1:4], strict=True):
        assert after.x.shape == (len(before.x), moments, width)
        assert np.array_equal(after.x.reshape(before.x.shape), before.x)
        assert np.array_equal(after.y, before.y)
    assert np.array_equal(found.test.x[:, 0], np.reshape(DATA.test.x, (4, -1))[:, :width])


def test_rows_are_those_of_the_encoder():
    found, key = sequential.sequential(DATA, 3).train.x, jax.random.key(0)
    images = jnp.asarray(DATA.train.x)
    assert np.array_equal(found, rows().encode(images, key))
    assert not np.array_equal(found[:, :3, :3], rows(3, 4).encode(images, key)[:, :, :3])


def test_the_permutation_is_one_for_all_examples_and_fixed():
    plain = sequential.sequential(DATA, 1)
    one, again, other = (sequential.sequential(DATA, 1, permutation=s) for s in (0, 0, 1))
    order = [int(np.flatnonzero(plain.train.x[0] == v)[0]) for v in one.train.x[0, :, 0]]
    assert sorted(order) == list(range(12)) != order
    for before, after, same, different in zip(
        plain[1:4], one[1:4], again[1:4], other[1:4], strict=True
    ):
        assert np.array_equal(after.x, before.x[:, order])
        assert np.array_equal(after.x, same.x)
        assert not np.array_equal(after.x, different.x)
    # of all versions of NumPy and of all machines
    assert np.argsort(np.random.PCG64(0).random_raw(12)).tolist() == order


@pytest.mark.parametrize("width", [0, 5, 24])
def test_widths_that_do_not_divide_are_refused(width):
    with pytest.raises(ValueError, match=f"12 numbers do not divide into moments of {width}"):
        sequential.sequential(DATA, width)
