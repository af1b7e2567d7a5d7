"""Random keys: every salt is named in one table, and no two draws share a key."""

import ast
import functools
import itertools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import bioplaus as bp
from bioplaus import salts
from bioplaus.net import layer_key
from bioplaus.rules import RULES, of_labels
from bioplaus.types import Rule

KEY = jax.random.key(0)
SALTS = {
    name: value
    for name, value in vars(salts).items()
    if isinstance(value, int) and name not in ("FIRST", "END")
}
HIGH = {name: value for name, value in SALTS.items() if value >= salts.FIRST}

WIDTH = 16  # of all layers, so that all shapes coincide
WEIGHTS = {
    how: jax.nn.initializers.variance_scaling(1.0, "fan_in", how) for how in ("normal", "uniform")
}
BIASES = {"normal": jax.nn.initializers.normal(), "uniform": jax.nn.initializers.uniform()}
BATCH = bp.Batch(jax.random.normal(jax.random.key(1), (WIDTH, WIDTH)), jnp.eye(WIDTH))
# weights drawn as W is, for the way back
ALIGNED = "fa kp wm burstprop dendritic_microcircuit tp dtp drl ldrl".split()
FEW = {"dfc": {"pretraining": 2}}  # settings that save time
DRAW = {
    *ALIGNED,
    *"frsf dfa drtp dfc pepita sigprop clapp local_sim local_losses".split(),
    *"eprop decolle guerguiev".split(),
}


def test_salts_differ_from_each_other_and_from_layer_indices():
    assert len(set(HIGH.values())) == len(HIGH) > 15
    assert all(salts.FIRST <= value < salts.END for value in HIGH.values())
    indices = {
        0,
        1,
        salts.FIRST - 1,
        salts.FIRST,
        10_000,
        *HIGH.values(),
        *(v + 1 for v in HIGH.values()),
    }
    keys = [jax.random.key_data(k).tobytes() for k in map(lambda l: layer_key(KEY, l), indices)]
    taken = [
        jax.random.key_data(jax.random.fold_in(KEY, value)).tobytes() for value in HIGH.values()
    ]
    assert len({*keys, *taken}) == len(indices) + len(HIGH)
    # nets that are not so deep draw what they always drew
    assert layer_key(KEY, 62) == jax.random.fold_in(KEY, 62)
    # control: of layer 251, before
    assert jax.random.key_data(jax.random.fold_in(KEY, salts.FEEDBACK)).tobytes() in taken


def literals(source: str) -> list[str]:
    """Calls of fold_in whose second argument holds a number."""
    calls = (
        n
        for n in ast.walk(ast.parse(source))
        if isinstance(n, ast.Call) and ast.unparse(n.func).endswith("fold_in")
    )
    return [
        ast.unparse(c)
        for c in calls
        if any(isinstance(n, ast.Constant) for n in ast.walk(c.args[1]))
    ]


def test_every_salt_is_in_the_table():
    assert literals("jax.random.fold_in(key, 0x0FB + i)")  # control
    for path in Path(bp.__file__).parent.rglob("*.py"):
        assert not literals(path.read_text(encoding="utf-8")), path


def related(a, b) -> bool:
    """Whether two arrays come from the same random bits.

    They are compared in order, by magnitude, and row by row.
    """
    n = min(a.size, b.size)
    flat = [v.ravel()[:n] for v in (a, b)]
    if (
        max(abs(np.corrcoef(f(flat[0]), f(flat[1]))[0, 1]) for f in (np.asarray, np.abs))
        > 6 / n**0.5
    ):
        return True
    rows = [v.reshape(-1, v.shape[-1]) for v in (a, b)]
    return (
        rows[0].shape[1] == rows[1].shape[1] > 8
        and np.abs(np.corrcoef(*rows)[: len(rows[0]), len(rows[0]) :]).max() > 0.999
    )


def drawn(rule: Rule, params) -> list[tuple]:
    """(where, layer, array) of everything in the rule's first state that another key changes."""
    one, other = (jax.device_get(rule.init(key, params, BATCH)) for key in (KEY, jax.random.key(9)))
    found = []
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(other), strict=True
    ):
        if not np.array_equal(a, b):
            layer = next((k.idx for k in path if isinstance(k, jax.tree_util.SequenceKey)), None)
            found.append((jax.tree_util.keystr(path), layer, a))
    return found


def shared(own: list[tuple], params) -> list[tuple[str, str]]:
    """Pairs of arrays that come from the same random bits.

    Each array that a rule draws is compared with the weights, and with its draws for other layers.
    """
    weights = [
        (f"W{jax.tree_util.keystr(p)}", None, np.asarray(a))
        for p, a in jax.tree_util.tree_leaves_with_path(params)
    ]
    pairs = [
        *itertools.product(own, weights),
        *(p for p in itertools.combinations(own, 2) if p[0][1] != p[1][1]),
    ]
    return [(a[0], b[0]) for a, b in pairs if related(a[2], b[2])]


def net_and_params(weights: str):
    net = tuple(
        bp.dense(WIDTH, bp.tanh(), weights=WEIGHTS[weights], bias=BIASES[weights]) for _ in range(4)
    )
    return net, bp.init(net, KEY, BATCH.x)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("name", of_labels(over_time=False))
def test_draws_of_rules_are_independent_of_the_weights(name, weights):
    """A rule's draws differ from the weights, though `bp.init` and `rule.init` get the same key.

    This holds alone and in a composition. Biases are drawn at random as well.
    """
    net, params = net_and_params(weights)
    factory = functools.partial(RULES[name], **FEW.get(name, {}))
    own = drawn(factory(net, bp.cross_entropy), params)
    assert bool(own) == (name in DRAW)
    assert not shared(own, params)
    if own:
        mixed = bp.by_layer((factory, RULES["dfa"], RULES["local_sim"], RULES["bp"]))(
            net, bp.cross_entropy
        )
        assert not shared(drawn(mixed, params), params)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_shared_draws_are_detected(weights):
    """Control: draws that share bits are found, for heads, unsalted keys and magnitudes."""
    net, params = net_and_params(weights)

    def heads(key, params, batch):
        return tuple(
            jax.random.uniform(jax.random.fold_in(layer_key(key, l), 0), (WIDTH, WIDTH))
            for l in range(3)
        )

    def unsalted(key, params, batch):
        return RULES["dfa"](net, bp.cross_entropy).init(jax.random.fold_in(key, 1), params, batch)

    def magnitudes(key, params, batch):
        return jax.tree.map(jnp.abs, tuple(bp.init(net, key, BATCH.x)[1:]))

    for init in (heads, unsalted, magnitudes):
        rule = RULES["bp"](net, bp.cross_entropy)._replace(init=init)
        assert shared(drawn(rule, params), params)
