"""Fixtures and settings shared by all tests."""

import os
from pathlib import Path

from xla_flags import known_flags

# One folder for the workers of a run and for the next run: what one has compiled, the others read.
# Small programs too, as there are thousands.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".cache" / "jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

# The suite compiles thousands of programs that run for milliseconds: without the fusion emitters
# XLA is done with each in 0.6 of the time, and results differ by rounding. `make compare` and the
# studies in experiments/ and papers/ run as users do.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {known_flags()}"

import jax
import pytest
from small_run import small  # noqa: F401
from variants import SHOWN

from bioplaus.rules import BASELINES, RULES

ALL = RULES | BASELINES

# Until collection ends: for the arrays that test files make when they are imported. Then fixture
# `quick` decides.
jax.config.update("jax_disable_most_optimizations", True)


def pytest_addoption(parser):
    parser.addoption(
        "--rule",
        metavar="KEY",
        help="only what is tested of this learning rule, and all of its mutants",
    )


def pytest_configure(config):
    key = config.getoption("--rule")
    if key is not None and key not in ALL:
        raise pytest.UsageError(f"--rule: there is no rule {key!r}; give one of {', '.join(ALL)}")


def rules_of(item) -> set[str]:
    """The keys of the rules in a test's parameters, of which each is a rule or a mutant of one."""
    values = getattr(getattr(item, "callspec", None), "params", {}).values()
    return {key for v in values if isinstance(key := getattr(v, "key", v), str) and key in ALL}


def concerns(item, key: str) -> bool:
    """Whether a test concerns this rule alone.

    Its parameter `key` or `mutant` names the rule, or it is in the test file of the rule's module.
    """
    params = getattr(getattr(item, "callspec", None), "params", {})
    return (
        key in (params.get("key"), getattr(params.get("mutant"), "key", None))
        or item.path.name == f"test_{ALL[key].__module__.rpartition('.')[2]}.py"
    )


def pytest_collection_modifyitems(config, items):
    """Select what --rule asks for, and mark what is not for `make quick`: of tests of every rule,
    those of rules that are not SHOWN.

    The longest file comes first: workers take whole files in this order, and none should be left
    alone with it at the end.
    """
    items.sort(key=lambda item: item.path.name != "test_contract.py")
    for item in items:
        if rules_of(item) - {*SHOWN}:
            item.add_marker("thorough")
    if key := config.getoption("--rule"):
        others = [item for item in items if not concerns(item, key)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if concerns(item, key)]


def pytest_collection_finish():
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def x64():
    """Float64 for one test, locally."""
    with jax.enable_x64():
        yield


# rules with an identity that holds to the last bit, if the compiler helps
COMPARES_BITS = ("dfc", "dendritic_microcircuit")


@pytest.fixture(autouse=True)
def quick(request):
    """Compile without most optimisations, because tests compile much and compute little.

    Exceptions are the rules of COMPARES_BITS, and what fixtures of a wider scope train.
    """
    params = getattr(getattr(request.node, "callspec", None), "params", {})
    key = params.get("key", getattr(params.get("mutant"), "key", None))
    bits = key in COMPARES_BITS and "test_contract" not in request.node.nodeid
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", not bits)
    yield
    jax.config.update("jax_disable_most_optimizations", before)
