"""Fixtures shared by all tests."""

import jax
import pytest


@pytest.fixture
def x64():
    """Float64 for one test, locally."""
    with jax.enable_x64():
        yield
