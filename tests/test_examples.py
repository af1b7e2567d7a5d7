"""Neurons and encoders have an example in their docstrings, which runs."""

import ast
import inspect
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import bioplaus as bp

PACKAGES = (bp.neurons, bp.encoders)
NAMES = [(p, name) for p in PACKAGES for name in p.__all__ if not name.isupper()]  # but tables


def example(of: Any, name: str) -> str:
    """The last part of a docstring that is code and calls this name; '' without one."""
    found = ""
    for part in (inspect.getdoc(of) or "").split("\n\n"):
        code = inspect.cleandoc(part)
        try:
            called = [n.func for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call)]
        except SyntaxError:
            continue
        names = {ast.unparse(f).rpartition(".")[2] for f in called}
        found = code if name in names else found
    return found


@pytest.fixture(scope="module")
def given() -> dict[str, Any]:
    """What examples take for granted."""
    readout = bp.after(bp.mean_over_time, bp.dense(10))
    net = bp.over_time(bp.flattened(bp.dense(4, bp.lif()))), readout
    x, key, u = jnp.ones((2, 3, 3)), jax.random.key(0), jnp.ones(2)
    layers = {name: getattr(bp, name) for name in ("dense", "over_time")}
    own = {"bp": bp, "jax": jax, "net": net, "x": x, "key": key, "readout": readout}
    return layers | own | {"u": u, "theta": 0.5}


@pytest.mark.parametrize(
    ("package", "name"), NAMES, ids=lambda part: getattr(part, "__name__", part)
)
def test_the_example_runs(package, name, given):
    code = example(getattr(package, name), name)
    assert code, f"the docstring of {name} has no example, a part that is code and calls it"
    exec(code, vars(bp.neurons) | {"in_front": bp.encoders.in_front} | vars(package) | given)


def test_an_example_that_does_not_run_is_found(given):
    def tanh():
        """The control.

        dense(100, tanh(), no_such_option=1)
        """

    assert not example(bp.tanh, "sigmoid")
    with pytest.raises(TypeError, match="no_such_option"):
        exec(example(tanh, "tanh"), vars(bp.neurons) | given)
