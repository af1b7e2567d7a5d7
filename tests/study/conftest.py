"""A run that tests compare others with."""

import jax
import pytest
from studies import LIGHT, written

import bioplaus.report


@pytest.fixture(scope="module", autouse=True)
def compiled_quickly():
    """Compile without most optimisations, because studies here compile much and compute little.

    Runs whose bits are compared are all compiled in this way.
    """
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    return written(LIGHT, tmp_path_factory.mktemp("runs") / "light")


@pytest.fixture
def unreported(monkeypatch):
    """Runs end without the drawing of a report, for tests of what else they write."""
    monkeypatch.setattr(bioplaus.report, "report", lambda out: None)
