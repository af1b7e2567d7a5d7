"""Jitter: each shifted crop of an image is equally likely, and drawn from the key alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus.data.augment import jittered

X = jnp.asarray(np.random.default_rng(0).uniform(0.1, 1, (400, 5, 4, 2)), jnp.float32)


@pytest.mark.parametrize("empty", [0.0, -1.0])
def test_every_image_is_a_crop_of_its_own_padded_self(empty):
    found = np.asarray(jittered(1, empty)(jax.random.key(0), X))
    padded = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=empty)
    crops = np.stack([padded[:, i : i + 5, j : j + 4] for i in range(3) for j in range(3)])
    same = (crops == found).all((2, 3, 4))
    assert (same.sum(0) == 1).all()
    counts = same.sum(1)
    assert abs(counts - 400 / 9).max() < 4 * np.sqrt(400 / 9)
    assert not (found == X).all()


def test_crops_depend_on_the_key():
    augment = jittered(2)
    first = np.asarray(augment(jax.random.key(0), X))
    np.testing.assert_array_equal(augment(jax.random.key(0), X), first)
    assert (np.asarray(augment(jax.random.key(1), X)) != first).any((1, 2, 3)).mean() > 0.8


def test_invalid_arguments_are_refused():
    with pytest.raises(ValueError, match="pixels is 0"):
        jittered(0)
    with pytest.raises(ValueError, match="expected images"):
        jittered(1)(jax.random.key(0), X.reshape(400, -1))
