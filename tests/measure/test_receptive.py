"""Receptive fields against fields that are known: linear units, Gaussians, silenced units."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bioplaus.measure import receptive

KEY, SIDE = jax.random.key(0), 21
PLACE = np.array([3.0, 15.0])


def gaussian(row, column, sd):
    r, c = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    return np.exp(-((r - row) ** 2 + (c - column) ** 2) / (2 * sd**2))[..., None]


FIELDS = np.stack([gaussian(10, 9, 1.5), -2 * gaussian(8.5, 11, 2.0), gaussian(PLACE[0], 15, 1.0)])


def linear(x):
    return jnp.tensordot(x, FIELDS, ((1, 2, 3), (1, 2, 3)))


def test_centre_and_size_of_gaussians():
    np.testing.assert_allclose(receptive.centre(FIELDS), [[10, 9], [8.5, 11], [3, 15]], atol=1e-3)
    # 1 / sqrt(2) of the field's own, since energy is the field's square
    np.testing.assert_allclose(
        receptive.size(FIELDS), np.array([1.5, 2.0, 1.0]) / np.sqrt(2), rtol=2e-3
    )
    tiny = 1e-30 * FIELDS  # whose squares are 0 in float32
    np.testing.assert_allclose(receptive.centre(tiny), receptive.centre(FIELDS), atol=1e-3)


def test_the_shift_of_a_gaussian_under_a_gaussian_is_the_expected_one():
    width = 4.0
    after = receptive.attended(FIELDS, PLACE, width)
    np.testing.assert_allclose(
        after, FIELDS * gaussian(PLACE[0], PLACE[1], width), rtol=1e-4, atol=1e-9
    )
    found = receptive.shift(FIELDS[:2], after[:2], PLACE)
    np.testing.assert_allclose(found, receptive.expected_shift(FIELDS[:2], PLACE, width), rtol=1e-2)
    far, s = np.hypot(10 - 3, 9 - 15), 1.5
    assert found[0] == pytest.approx(far * s**2 / (s**2 + width**2), rel=1e-2)
    # away from another place, and by another width: controls
    assert float(receptive.shift(FIELDS, after, 20 - PLACE)[0]) < -0.5
    assert abs(float(receptive.expected_shift(FIELDS, PLACE, 2.0)[0]) - float(found[0])) > 1


def test_a_field_without_energy_has_no_place():
    after = np.stack([FIELDS[0], 0 * FIELDS[1], FIELDS[2]])
    for measure in (receptive.centre, receptive.size):
        nan = np.isnan(measure(after)).reshape(3, -1)
        assert nan.any(1).tolist() == nan.all(1).tolist() == [False, True, False]
    moved = receptive.shift(FIELDS, after, PLACE)
    # the third unit's centre is the place, so that there is no direction
    np.testing.assert_array_equal(np.isnan(moved), [False, True, abs(moved[2]) != 0])
    np.testing.assert_array_equal(receptive.energy(after)[1], 0)


def test_a_linear_unit_is_its_own_field():
    probes = jax.random.normal(KEY, (3, SIDE, SIDE, 1))
    np.testing.assert_allclose(
        receptive.mean_gradient(linear, probes), FIELDS, rtol=1e-5, atol=1e-9
    )


def test_both_measures_agree_on_rectified_units():
    """Stein: both are E[relu'] w, half of w for a unit that fires to half of the noise."""
    sd, small = 0.5, FIELDS[:, 4:16, 4:16]

    def respond(x):
        return jax.nn.relu(jnp.tensordot(x, small, ((1, 2, 3), (1, 2, 3))))

    probes = sd * jax.random.normal(KEY, (2_000, 12, 12, 1))
    by_gradient = receptive.mean_gradient(respond, probes)
    np.testing.assert_allclose(by_gradient, small / 2, atol=0.1)
    by_correlation = receptive.reverse_correlation(
        respond, (1_000, 12, 12, 1), jax.random.key(1), images=40_000, sd=sd
    )
    for u in range(2):
        agreed = np.corrcoef(np.ravel(by_correlation[u]), np.ravel(by_gradient[u]))[0, 1]
        assert agreed > 0.95
        slope = np.vdot(by_correlation[u], small[u]) / np.vdot(small[u], small[u])
        assert slope == pytest.approx(0.5, abs=0.03)


def test_a_constant_response_has_no_field():
    """The mean response drops out: only what varies with the noise is correlated."""
    found = receptive.reverse_correlation(
        lambda x: 100 + 0 * x.sum((1, 2)), (100, 5, 5, 1), KEY, images=1_000
    )
    np.testing.assert_allclose(found, 0, atol=1e-3)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: receptive.mean_gradient(linear, jnp.zeros((3, SIDE, SIDE))), "expected images"),
        (
            lambda: receptive.reverse_correlation(linear, (3, SIDE), KEY, images=9),
            r"got shape \[3, 21\]",
        ),
        (
            lambda: receptive.reverse_correlation(linear, (3, SIDE, SIDE, 1), KEY, images=0),
            "images = 0",
        ),
    ],
)
def test_bad_input_is_told_in_one_line(made, said):
    with pytest.raises(ValueError, match=said) as error:
        made()
    assert "\n" not in str(error.value)
