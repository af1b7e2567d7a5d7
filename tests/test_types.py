"""A type checker accepts right uses of the protocol, and refuses wrong ones at their line."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import pytest

import bioplaus as bp
from bioplaus.modulators.modulate import State as Modulated
from bioplaus.states import feedback
from bioplaus.types import CROSSING, PHASES

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[1]
CHECKER = shutil.which("basedpyright", path=str(Path(sys.executable).parent)) or shutil.which(
    "basedpyright"
)

USES = """
import functools

import jax
import jax.numpy as jnp
import optax

import bioplaus as bp
from bioplaus.local import error_of, signals_of

x, y, key = jnp.ones((4, 3)), jnp.ones((4, 2)), jax.random.key(0)
batch, net = bp.Batch(x, y), bp.mlp([3, 5, 2])
params = bp.init(net, key, x)
rule = bp.rules.equilibrium_propagation(net, bp.mse, beta=0.1)
grads, state, info = rule.grad(params, rule.init(key, params, batch), batch, key)
answer: jax.Array = rule.predict(params, state, x, key) + info["loss"] + info["signals"].loss
residual: jax.Array | None = info.get("residual")
rule.grad(params, state, batch, key, gate=lambda signals: (None, signals.loss))
rule.grad(params, state, batch, key, (None, 0.5))
rule.predict(params, state, x, key, context=x)
factory: bp.RuleFactory = functools.partial(bp.rules.equilibrium_propagation, beta=0.1)
modulated = bp.modulators.modulate(factory, bp.modulators.dopamine())(net, bp.mse)
train = bp.make_train(net, modulated, optax.sgd(0.1), batch)


def mine(net: bp.types.Net, loss: bp.types.Loss, *, size: float = 1.0) -> bp.Rule:
    def init(rng, weights, examples):
        return ()

    def grad(weights, memory, examples, rng, gate=None):
        output = bp.forward(net, weights, examples.x, rng).output
        losses = error_of(loss, output, examples.y)[0]
        signals = signals_of(loss, losses, output, examples.y)
        return weights, memory, bp.Info(loss=losses.mean(), signals=signals)

    def predict(weights, memory, inputs, rng, context=()):
        return bp.forward(net, weights, inputs, rng).output

    def ungated(weights, memory, examples, rng):
        return grad(weights, memory, examples, rng)

    def silent(weights, memory, examples, rng, gate=None):
        return weights, memory, {"error": 1.0}

    bp.Rule(init, ungated, predict)  # refused
    bp.Rule(init, silent, predict)  # refused
    bp.Rule(init, grad, lambda weights, inputs: inputs)  # refused
    return bp.Rule(init, grad, predict)


own: bp.RuleFactory = mine
bp.testing.check_rule(mine)
rule.grad(batch, "nonsense")  # refused
rule.grad(params, state, "nonsense", key)  # refused
rule.grad(params, state, batch, key, gate="open")  # refused
rule.predict(1)  # refused
info["loss of the batch"]  # refused
bp.modulators.modulate(bp.mse, bp.modulators.dopamine())  # refused
bp.Neuron(lambda current: (), lambda current: current)  # refused
net[0].credit(params, params, x, key)  # refused
"""


@pytest.mark.skipif(CHECKER is None, reason="basedpyright is not installed")
def test_wrong_uses_are_refused_and_right_ones_pass(tmp_path):
    (tmp_path / "uses.py").write_text(USES, encoding="utf-8")
    settings = {"include": ["uses.py"], "extraPaths": [str(ROOT)], "typeCheckingMode": "standard"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [
        str(CHECKER),
        "--outputjson",
        "--pythonpath",
        sys.executable,
        "--project",
        str(tmp_path),
    ]
    said = subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", check=False
    ).stdout
    refused = {
        d["range"]["start"]["line"]
        for d in json.loads(said)["generalDiagnostics"]
        if d["severity"] == "error"
    }
    expected = {i for i, line in enumerate(USES.splitlines()) if line.endswith("# refused")}
    assert refused == expected


class Fixed(NamedTuple):
    heads: bp.PerLayer
    back: bp.Feedback


class Bare(NamedTuple):
    feedback: tuple[Any, ...]


def test_feedback_weights_are_found_by_what_a_state_declares():
    state = Fixed((jnp.ones(1),), ((), jnp.ones(2)))
    assert feedback(state) is feedback(Modulated(state, ())) is state.back
    assert feedback(Bare(state.back)) is feedback(()) is None


def undeclared_scopes(source: str) -> list[str]:
    """Names of scopes that no reader knows. Those that state a number, name=n, are read as it."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    named = [c.args[0] for c in calls if ast.unparse(c.func).endswith("named_scope")]
    names = [str(a.value) for a in named if isinstance(a, ast.Constant)]
    return [n for n in names if n not in (*PHASES, CROSSING) and "=" not in n]


def test_scopes_are_declared_phases():
    assert undeclared_scopes("with jax.named_scope('credits'): pass") == ["credits"]
    for path in (ROOT / "bioplaus").rglob("*.py"):
        assert not undeclared_scopes(path.read_text(encoding="utf-8")), path
