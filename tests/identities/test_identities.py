"""The identities of every rule hold; the helpers that judge them can fail."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from variants import IDENTITIES

from bioplaus.identities import FAMILIES, first_failure, verify
from bioplaus.identities.common import cosine, equal, large, relative, slope, small
from bioplaus.rules import BASELINES, RULES

pytestmark = pytest.mark.thorough


@pytest.mark.parametrize("key", IDENTITIES)
def test_identities(key):
    checks = verify(key)
    assert not [c for c in checks if not c.passed]
    assert any(c.control for c in checks), "a family without a negative control"
    assert len({c.name for c in checks}) == len(checks) > 3
    assert {c.rule for c in checks} == {key}


def test_every_rule_has_a_family():
    assert FAMILIES.keys() == RULES.keys() | BASELINES.keys()
    with pytest.raises(ValueError, match="no checks for"):
        verify("no such rule")


PAIRS = [
    ("bp", "fa"),
    ("bp", "dfa"),
    ("bp", "pc"),
    ("bp", "ep"),
    ("bp", "frozen"),
    ("frozen", "bp"),
    ("usf", "fa"),
]


@pytest.mark.parametrize(("claim", "factory"), PAIRS)
def test_another_rule_does_not_pass(claim, factory):
    failed = first_failure(claim, (RULES | BASELINES)[factory])
    assert failed is not None
    assert not failed.passed


def test_equal_needs_something_to_compare():
    assert equal("", "", jnp.ones(2), jnp.ones(2), 0.0).passed
    assert not equal("", "", jnp.zeros(2), jnp.zeros(2), 1.0).passed
    assert not equal("", "", (), (), 1.0).passed
    assert not equal("", "", [jnp.ones(2)], [jnp.ones((2, 1))], 9.0).passed
    assert not equal("", "", jnp.full(2, jnp.nan), jnp.ones(2), 9.0).passed
    assert relative(
        [jnp.ones(2), 3 * jnp.ones(2)], [jnp.ones(2), 2 * jnp.ones(2)]
    ) == pytest.approx(0.5)


def test_not_a_number_never_passes():
    assert not small("", "", np.nan, 1.0).passed
    assert not large("", "", np.nan, 1.0).passed
    assert math.isnan(cosine(jnp.zeros(3), jnp.ones(3)))
    assert math.isnan(slope([0.1, 0.01], [0.0, 1.0]))
    assert math.isnan(slope([0.1, 0.01], [math.inf, 1.0]))


def test_slope_is_the_order():
    assert slope([0.1, 0.05, 0.02], [5 * h**3 for h in (0.1, 0.05, 0.02)]) == pytest.approx(3)
