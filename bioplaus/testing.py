"""The contract of a rule, as tests: for the rules of this package and for anyone's.

    from bioplaus.testing import check_rule
    check_rule(my_rule)                          # a factory (net, loss, *, ...) -> Rule

Plain assertions: no test framework is needed. Values are compared in float64; shapes and dtypes in float32 as well.
CONTRACT holds the items by name; each takes a `Case` and raises AssertionError, whose message starts with that name.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from bioplaus.layers import conv, dense, flattened, mlp, pooled
from bioplaus.losses import cross_entropy
from bioplaus.net import current_shapes, init
from bioplaus.neurons import tanh
from bioplaus.types import Array, Batch, Key, Loss, Net, PyTree, Rule, RuleFactory, Signals

TOLERANCE = 1e-9  # relative, of one leaf, in float64: the order of additions differs, nothing else


class Case(NamedTuple):
    """A rule on a net and a batch. `grad` is `rule.grad`, compiled; `traces` has one entry for each time it was traced."""

    factory: RuleFactory
    net: Net
    loss: Loss
    batch: Batch
    params: PyTree
    rule: Rule
    state: PyTree
    key: Key
    grad: Callable[..., tuple[PyTree, PyTree, dict[str, Any]]]
    traces: list[None]


def check_rule(factory: RuleFactory, net: Net | None = None, loss: Loss = cross_entropy, batch: Batch | None = None) -> None:
    """Raise AssertionError where a rule breaks the contract of `bioplaus.types.Rule`.

    factory: (net, loss, *, hyperparameters with defaults) -> Rule; bind the others with `functools.partial`.
    net, batch: without them, a small perceptron and a small convolutional net on random data. Give both or neither.
    """
    if (net is None) != (batch is None):
        raise ValueError("check_rule: give both a net and a batch for it, or neither")
    with jax.enable_x64():
        if net is not None and batch is not None:
            _run(CONTRACT, case(factory, net, loss, batch))
        else:
            _run(CONTRACT, perceptron(factory, loss))
            _run([name for name in CONTRACT if name not in ANY_NET], convolutional(factory, loss))


def _run(names: Iterable[str], c: Case) -> None:
    for name in names:
        CONTRACT[name](c)


def perceptron(factory: RuleFactory, loss: Loss = cross_entropy) -> Case:
    """Two hidden layers of tanh units, random data."""
    return case(factory, mlp((5, 6, 4, 3)), loss, _batch((4, 5)))


def convolutional(factory: RuleFactory, loss: Loss = cross_entropy) -> Case:
    """A convolution and a dense hidden layer after pooling, random data."""
    net = (conv(2, 3, tanh()), pooled(2, flattened(dense(6, tanh()))), dense(3))
    return case(factory, net, loss, _batch((4, 6, 6, 2)))


def _batch(shape: tuple[int, ...]) -> Batch:
    return Batch(jnp.asarray(np.random.default_rng(0).standard_normal(shape)), jnp.eye(3)[np.array([0, 1, 2, 1])])


def case(factory: RuleFactory, net: Net, loss: Loss, batch: Batch) -> Case:
    """The rule in float64, with its first state. Call it, and the items of CONTRACT, inside `jax.enable_x64()`."""
    batch = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64) if jnp.issubdtype(jnp.result_type(a), jnp.floating) else a, batch)
    params = init(net, jax.random.key(0), batch.x)
    rule = factory(net, loss)
    state = jax.jit(rule.init)(jax.random.key(1), params, batch)
    traces: list[None] = []

    def grad(*args):
        traces.append(None)
        return rule.grad(*args)

    return Case(factory, net, loss, batch, params, rule, state, jax.random.key(2), jax.jit(grad), traces)


def shapes(c: Case) -> None:
    """grads have the tree, shapes and dtypes of params; the state keeps its own; info has the loss and the signals."""
    examples, classes = c.batch.y.shape
    for dtype in (jnp.float64, jnp.float32):
        params, batch = jax.tree.map(lambda a, dtype=dtype: jax.ShapeDtypeStruct(a.shape, dtype), (c.params, c.batch))
        state = jax.eval_shape(c.rule.init, c.key, params, batch)
        grads, after, info = jax.eval_shape(c.rule.grad, params, state, batch, c.key)
        assert _types(grads) == _types(params), f"shapes: grads are {_types(grads)}, params are {_types(params)}"
        assert _types(after) == _types(state), f"shapes: the state goes from {_types(state)} to {_types(after)}"
        assert info["loss"].shape == (), f"shapes: info['loss'] is {info['loss'].shape}, expected a scalar"
        assert isinstance(info["signals"], Signals), f"shapes: info['signals'] is {type(info['signals'])}, expected Signals"
        sizes = {s.shape for s in info["signals"]}
        assert sizes == {(examples,)}, f"shapes: info['signals'] has {sizes}, expected {(examples,)}, one number an example"
        output = jax.eval_shape(c.rule.predict, params, state, batch.x, c.key)
        assert output.shape == (examples, classes), f"shapes: predict gives {output.shape}, expected {(examples, classes)}"
        assert output.dtype == dtype, f"shapes: predict gives {output.dtype} for {dtype.__name__}"


def plain(c: Case) -> None:
    """An uncompiled call agrees with the compiled one, which repeats itself; nothing that was passed in is changed."""
    before = jax.tree.map(lambda a: a, (c.params, c.state, c.batch))
    results = c.rule.grad(c.params, c.state, c.batch, c.key)
    untouched = jax.tree.structure(before) == jax.tree.structure((c.params, c.state, c.batch)) and all(
        a is b for a, b in zip(jax.tree.leaves(before), jax.tree.leaves((c.params, c.state, c.batch)), strict=True)
    )
    assert untouched, "plain: grad changed its arguments in place; return new trees"
    compiled = c.grad(c.params, c.state, c.batch, c.key)
    _agree("plain: compiled and uncompiled grad differ (randomness outside of `key`?)", results, compiled)
    again = c.grad(c.params, c.state, c.batch, c.key)
    same = all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(compiled), jax.tree.leaves(again), strict=True))
    assert same, "plain: the same key gave different results"
    finite = all(np.isfinite(a).all() for a in jax.tree.leaves(compiled))
    assert finite, "plain: grads, state or info are not finite"
    assert any(np.any(g) for g in jax.tree.leaves(compiled[0])), "plain: every gradient is zero"
    loss = compiled[2]["signals"].loss.mean()
    assert np.isclose(compiled[2]["loss"], loss), (
        f"plain: info['loss'] is {compiled[2]['loss']}, the mean of signals.loss is {loss}"
    )


def one_trace(c: Case) -> None:
    """Five training steps trace `grad` once: state and grads keep their types from the first step on."""
    params, state, before = c.params, c.state, max(len(c.traces), 1)  # traced already where another item came first
    for step in range(5):
        grads, state, _ = c.grad(params, state, c.batch, jax.random.fold_in(c.key, step))
        params = _descend(params, grads)
    traces = len(c.traces) - before + 1
    assert traces == 1, f"one_trace: 5 steps were traced {traces} times; a shape, dtype or weak type changes"


def transforms(c: Case) -> None:
    """vmap over seeds, with scan over steps inside, equals a loop of compiled calls."""

    def run(params, state, key):
        def body(carry, step):
            params, state = carry
            grads, state, info = c.rule.grad(params, state, c.batch, jax.random.fold_in(key, step))
            return (_descend(params, grads), state), info["loss"]

        return jax.lax.scan(body, (params, state), jnp.arange(3))

    keys = jax.random.split(c.key, 2)
    other = jax.tree.map(lambda w: 0.9 * w, c.params)
    together = jax.jit(jax.vmap(run, (0, None, 0)))(jax.tree.map(lambda *w: jnp.stack(w), c.params, other), c.state, keys)
    for i, params in enumerate((c.params, other)):
        state, losses = c.state, []
        for step in range(3):
            grads, state, info = c.grad(params, state, c.batch, jax.random.fold_in(keys[i], step))
            params = _descend(params, grads)
            losses.append(info["loss"])
        got = jax.tree.map(lambda a, i=i: a[i], together)
        _agree("transforms: vmap of scan and a loop of calls differ", got, ((params, state), jnp.stack(losses)), 1e-7)


def hyperparameters(c: Case) -> None:
    """Hyperparameters annotated `ArrayLike` may be tracers: `vmap` over all of them at once."""
    found = inspect.signature(c.factory, eval_str=True).parameters.values()
    defaults = {p.name: p.default for p in found if p.annotation == ArrayLike and p.default is not p.empty}
    if not defaults:
        return

    def run(hyper):
        rule = c.factory(c.net, c.loss, **hyper)
        state = rule.init(jax.random.key(1), c.params, c.batch)
        return rule.grad(c.params, state, c.batch, c.key)[0]

    try:
        grads = jax.jit(jax.vmap(run))({name: jnp.array([1.0, 1.1]) * value for name, value in defaults.items()})
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise AssertionError(f"hyperparameters: {list(defaults)} may be tracers, but one is used as a number") from error
    want = c.grad(c.params, c.state, c.batch, c.key)[0]
    _agree("hyperparameters: the defaults as tracers change the result", jax.tree.map(lambda g: g[0], grads), want)


def gates(c: Case) -> None:
    """grad = (1/B) sum_b g_b grad_b: gates are per example, act linearly, and close."""
    examples = len(c.batch.y)
    g = jnp.linspace(0.5, 2.0, examples)
    stack = jnp.concatenate([jnp.eye(examples), jnp.stack([g, jnp.ones(examples), jnp.zeros(examples)])])
    every = jax.jit(jax.vmap(lambda gate: c.rule.grad(c.params, c.state, c.batch, c.key, gate)[0]))(stack)
    single, (gated, ones, zeros) = jax.tree.map(lambda a: a[:examples], every), [_at(every, i) for i in (-3, -2, -1)]
    free, _, info = c.grad(c.params, c.state, c.batch, c.key)
    _agree("gates: a gate of ones changes the gradient", ones, free)
    assert not any(np.any(z) for z in jax.tree.leaves(zeros)), "gates: a gate of zeros leaves a gradient"
    _agree("gates: grad is not sum_b g_b grad_b", gated, jax.tree.map(lambda a: jnp.tensordot(g, a, 1), single))
    assert not _close(gated, free), "gates: the gate does nothing"
    if not _draws(c) and not _sized(c):
        one = jax.jit(jax.vmap(lambda x, y: c.rule.grad(c.params, c.state, Batch(x[None], y[None], c.batch.context), c.key)[0]))
        alone = jax.tree.map(lambda a: a / examples, one(c.batch.x, c.batch.y))
        _agree("gates: an open gate for one example is not that example's gradient / B", single, alone)

    seen: list[Signals] = []

    def gate(signals):
        seen.append(signals)
        return signals.loss

    layered = (g, None, *[0.0] * (len(c.net) - 2)) if len(c.net) > 1 else (g,)

    @jax.jit
    def both(params):
        by_function = c.rule.grad(params, c.state, c.batch, c.key, gate)[0]
        return by_function, c.rule.grad(params, c.state, c.batch, c.key, layered)[0]

    by_function, by_layer = both(c.params)
    assert len(seen) == 1, f"gates: a gate that is a function was called {len(seen)} times; call it once, with the signals"
    want = jax.tree.map(lambda a: jnp.tensordot(info["signals"].loss, a, 1), single)
    _agree("gates: a gate that is a function of the signals", by_function, want)
    closed = jax.tree.map(jnp.zeros_like, free)
    _agree("gates: a tuple of one gate a layer", by_layer, (gated[0], *free[1:2], *closed[2:]))
    for wrong in (jnp.ones(examples + 1), (None,) * (len(c.net) + 1)):
        _refuses("gates: a gate of the wrong shape", lambda wrong=wrong: c.rule.grad(c.params, c.state, c.batch, c.key, wrong))


def unit_gates(c: Case) -> None:
    """Gates [B, n_post]: a closed unit learns nothing, the others as before; or a ValueError where the update is no pullback."""
    currents = [a.shape for a in current_shapes(c.net, c.params, c.batch, c.key)]
    half = [jnp.broadcast_to(jnp.arange(s[-1]) % 2, s).astype(jnp.float64) for s in currents]
    stack = tuple(jnp.stack([h, 1 - h]) for h in half)
    try:
        run = jax.jit(jax.vmap(lambda gate: c.rule.grad(c.params, c.state, c.batch, c.key, gate)[0]))
        every = run(stack)
    except ValueError:
        return
    odd, even = _at(every, 0), _at(every, 1)
    free = c.grad(c.params, c.state, c.batch, c.key)[0]
    _agree("unit_gates: two complementary gates do not add up to the open one", jax.tree.map(jnp.add, odd, even), free)
    for l, shape in enumerate(currents):
        units = [leaf[..., ::2] for leaf in jax.tree.leaves(odd[l]) if leaf.shape[-1] == shape[-1]]
        assert not any(np.any(u) for u in units), f"unit_gates: closed units of layer {l} still learn"


def mean(c: Case) -> None:
    """The gradient is of the mean loss: a batch repeated changes nothing. For rules that draw noise for each example, not asked."""
    if _draws(c) or _sized(c):
        return
    tiled = jax.tree.map(lambda a: jnp.concatenate([a, a]), c.batch)
    grads, _, info = jax.jit(c.rule.grad)(c.params, c.state, tiled, c.key)
    want, _, info_once = c.grad(c.params, c.state, c.batch, c.key)
    _agree("mean: a batch repeated twice changes the gradient", grads, want)
    _agree("mean: or the loss", info["loss"], info_once["loss"])


def refusals(c: Case) -> None:
    """Wrong shapes raise ValueError or TypeError, and are not broadcast or skipped."""
    x, y, context = c.batch
    wrong = {
        "one more input feature": (c.params, Batch(jnp.concatenate([x, x[..., :1]], -1), y, context)),
        "one more class in y": (c.params, Batch(x, jnp.concatenate([y, y[:, :1]], -1), context)),
        "a single class in y": (c.params, Batch(x, y[:, :1], context)),
        "fewer labels than inputs": (c.params, Batch(x, y[:-1], context)),
        "a single label": (c.params, Batch(x, y[:1], context)),
        "a layer of params missing": (c.params[:-1], c.batch),
        "a layer of params too many": ((*c.params, c.params[-1]), c.batch),
    }
    for name, (params, batch) in wrong.items():
        _refuses(f"refusals: {name}", lambda params=params, batch=batch: c.rule.grad(params, c.state, batch, c.key))


CONTRACT: dict[str, Callable[[Case], None]] = {
    item.__name__: item for item in (shapes, plain, one_trace, transforms, hyperparameters, gates, unit_gates, mean, refusals)
}
ANY_NET = ("plain", "transforms", "hyperparameters")  # do not depend on the layers: asked on the perceptron alone


def _types(tree: PyTree) -> PyTree:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(a.shape, str(a.dtype)) for a in leaves]


def _at(tree: PyTree, i: int) -> PyTree:
    return jax.tree.map(lambda a: a[i], tree)


def _descend(params: PyTree, grads: PyTree) -> PyTree:
    return jax.tree.map(lambda w, g: w - 0.01 * g, params, grads)


def _draws(c: Case) -> bool:
    """Whether grads depend on the key: measured, not asked."""
    a, b = (c.grad(c.params, c.state, c.batch, key)[0] for key in jax.random.split(c.key))
    return not _close(a, b)


def _sized(c: Case) -> bool:
    """Whether the state has the size of the batch, so that it belongs to these examples."""
    one = jax.tree.map(lambda a: a[:1], c.batch)
    return _types(jax.eval_shape(c.rule.init, c.key, c.params, one)) != _types(c.state)


def _close(a: PyTree, b: PyTree, tolerance: float = TOLERANCE) -> bool:
    def gap(u: Array, v: Array) -> bool:
        u, v = np.asarray(u, np.float64), np.asarray(v, np.float64)
        return bool(np.linalg.norm(u - v) <= tolerance * max(np.linalg.norm(v), 1e-30) or np.array_equal(u, v))

    leaves = [jax.tree.leaves(jax.tree.map(lambda u: jax.random.key_data(u) if _is_key(u) else u, t)) for t in (a, b)]
    return jax.tree.structure(a) == jax.tree.structure(b) and all(gap(u, v) for u, v in zip(*leaves, strict=True))


def _is_key(a: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(a), jax.dtypes.prng_key)


def _agree(message: str, a: PyTree, b: PyTree, tolerance: float = TOLERANCE) -> None:
    assert _close(a, b, tolerance), f"{message} (by more than {tolerance:g})"


def _refuses(message: str, call: Callable[[], Any]) -> None:
    try:
        jax.eval_shape(call)
    except (ValueError, TypeError):
        return
    raise AssertionError(f"{message} was accepted; raise a ValueError that says what was wrong")
