"""Fixtures and settings shared by all tests."""

import os
import tempfile
from pathlib import Path

from xla_flags import known_flags

os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "bioplaus-test-compilations"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # small programs too: there are thousands, and many workers

# The suite compiles thousands of programs that run for milliseconds: without the fusion emitters XLA is done with each in 0.6 of the
# time, and results differ by rounding. `make compare` and the studies in experiments/ and papers/ run as users do.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {known_flags()}"

import jax
import pytest

jax.config.update("jax_disable_most_optimizations", True)  # for arrays that test files make when they are imported; see `quick`


def pytest_collection_modifyitems(items):
    """The longest file first: workers take whole files in this order, and none should be left alone with it at the end."""
    items.sort(key=lambda item: item.path.name != "test_contract.py")


@pytest.fixture
def x64():
    """Float64 for one test, locally."""
    with jax.enable_x64():
        yield


COMPARES_BITS = ("dfc", "dendritic_microcircuit")  # rules with an identity that holds to the last bit, if the compiler helps


@pytest.fixture(autouse=True)
def quick(request):
    """Compile without most optimisations, as tests compile much and compute little: but COMPARES_BITS, and what fixtures of a wider
    scope train."""
    params = getattr(getattr(request.node, "callspec", None), "params", {})
    key = params.get("key", getattr(params.get("mutant"), "key", None))
    bits = key in COMPARES_BITS and "test_contract" not in request.node.nodeid
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", not bits)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
