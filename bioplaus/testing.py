"""The contract of a rule, as tests: for the rules of this package and for anyone's.

    from bioplaus.testing import check_rule
    check_rule(my_rule)                          # a factory (net, loss, *, ...) -> Rule

Plain assertions: no test framework is needed. Values are compared in float64; shapes and dtypes in
float32 as well. CONTRACT holds the items by name; each takes a `Case` and raises AssertionError,
whose message starts with that name.
"""

import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.hyper import hyperparameters as declared_hyperparameters
from bioplaus.layers import conv, dense, flattened, mlp, pooled
from bioplaus.losses import cross_entropy
from bioplaus.net import current_shapes, init
from bioplaus.neurons import tanh
from bioplaus.states import undeclared
from bioplaus.trees import agree, cast, close, leaves, types
from bioplaus.types import Batch, GradFn, Key, Loss, Net, PyTree, Rule, RuleFactory, Signals


class Case(NamedTuple):
    """A rule on a net and a batch. `grad` is `rule.grad`, compiled; `traces` has one entry for each
    time it was traced.

    Items call `grad`, to share a trace, and `rule.grad` where a new trace is the point.
    """

    factory: RuleFactory
    net: Net
    loss: Loss
    batch: Batch
    params: PyTree
    rule: Rule
    state: PyTree
    key: Key
    grad: GradFn
    traces: list[None]


def check_rule(
    factory: RuleFactory,
    net: Net | None = None,
    loss: Loss = cross_entropy,
    batch: Batch | None = None,
) -> None:
    """Raise AssertionError where a rule breaks the contract of `bioplaus.types.Rule`.

    factory: (net, loss, *, hyperparameters with defaults) -> Rule; bind the others with
    `functools.partial`.
    net, batch: without them, a small perceptron and a small convolutional net on random data. Give
    both or neither.
    """
    with jax.enable_x64():
        if net is not None and batch is not None:
            cases = [(case(factory, net, loss, batch), ITEMS)]
        elif net is None and batch is None:
            cases = [
                (perceptron(factory, loss), ITEMS),
                (convolutional(factory, loss), ON_EVERY_NET),
            ]
        else:
            raise ValueError("check_rule: give both a net and a batch for it, or neither")
        for c, items in cases:
            for item in items:
                item(c)


def perceptron(factory: RuleFactory, loss: Loss = cross_entropy) -> Case:
    """Two hidden layers of tanh units, random data."""
    return case(factory, mlp((5, 6, 4, 3)), loss, _random(4, 5))


def convolutional(factory: RuleFactory, loss: Loss = cross_entropy) -> Case:
    """A convolution and a dense hidden layer after pooling, random data."""
    net = (conv(2, 3, tanh()), pooled(2, flattened(dense(6, tanh()))), dense(3))
    return case(factory, net, loss, _random(4, 6, 6, 2))


def _random(*shape: int) -> Batch:
    return Batch(
        jnp.asarray(np.random.default_rng(3).standard_normal(shape)),
        jnp.asarray(np.eye(3)[np.arange(shape[0]) % 3]),
    )


def case(factory: RuleFactory, net: Net, loss: Loss, batch: Batch) -> Case:
    """The rule in float64, with its first state. Call it, and the items of CONTRACT, inside
    `jax.enable_x64()`.
    """
    batch = cast(batch, jnp.float64)
    params = jax.jit(lambda key, x: init(net, key, x))(jax.random.key(0), batch.x)
    rule = factory(net, loss)
    state = jax.jit(rule.init)(jax.random.key(1), params, batch)
    traces: list[None] = []

    def grad(*args):
        traces.append(None)
        return rule.grad(*args)

    return Case(
        factory, net, loss, batch, params, rule, state, jax.random.key(2), jax.jit(grad), traces
    )


def shapes(c: Case) -> None:
    """grads have the tree, shapes and dtypes of params; the state keeps its own; info has the loss
    and the signals.
    """
    examples, classes = c.batch.y.shape
    for dtype in (jnp.float64, jnp.float32):
        params, batch = cast((c.params, c.batch), dtype)
        state = jax.eval_shape(c.rule.init, c.key, params, batch)
        grads, after, info = jax.eval_shape(c.grad, params, state, batch, c.key)
        assert types(grads) == types(params), (
            f"shapes: grads are {types(grads)}, params are {types(params)}"
        )
        assert types(after) == types(state), (
            f"shapes: the state goes from {types(state)} to {types(after)}"
        )
        assert info["loss"].shape == (), (
            f"shapes: info['loss'] is {info['loss'].shape}, expected a scalar"
        )
        fit = isinstance(info["signals"], Signals) and {s.shape for s in info["signals"]} == {
            (examples,)
        }
        assert fit, (
            f"shapes: info['signals'] is {info['signals']}, expected Signals, each {(examples,)}"
        )
        output = jax.eval_shape(c.rule.predict, params, state, batch.x, c.key)
        assert output.shape == (
            examples,
            classes,
        ), f"shapes: predict gives {output.shape}, expected {(examples, classes)}"
        assert output.dtype == dtype, (
            f"shapes: predict gives {output.dtype} for {jnp.dtype(dtype).name}"
        )
    twice = jax.tree.map(lambda a: jnp.concatenate([a, a]), c.batch)
    wrong = undeclared(c.state, jax.eval_shape(c.rule.init, c.key, c.params, twice))
    assert not wrong, (
        f"shapes: the state's {', '.join(wrong)} depends on the batch size; declare the field,"
        " `traces: bp.PerExample`"
    )


def plain(c: Case) -> None:
    """Traced anew, from the caller's own arrays, `grad` gives what it gave, and repeats itself;
    nothing passed in is changed.
    """
    before = jax.tree.flatten((c.params, c.state, c.batch))
    anew = jax.jit(lambda: c.rule.grad(c.params, c.state, c.batch, c.key))()
    after = jax.tree.flatten((c.params, c.state, c.batch))
    untouched = before[1] == after[1] and all(
        a is b for a, b in zip(before[0], after[0], strict=True)
    )
    assert untouched, "plain: grad changed its arguments in place; return new trees"
    compiled, again = (c.grad(c.params, c.state, c.batch, c.key) for _ in range(2))
    agree(
        "plain: grad traced twice gives two results (randomness outside of `key`?)", anew, compiled
    )
    assert close(compiled, again, 0.0), "plain: the same key gave different results"
    assert all(np.isfinite(a).all() for a in leaves(compiled)), (
        "plain: grads, state or info are not finite"
    )
    assert any(np.any(g) for g in jax.tree.leaves(compiled[0])), "plain: every gradient is zero"
    assert np.isclose(compiled[2]["loss"], compiled[2]["signals"].loss.mean()), (
        "plain: info['loss'] is not the mean loss"
    )


def one_trace(c: Case) -> None:
    """Five training steps trace `grad` once: state and grads keep their types from the first step
    on.
    """
    params, state, traced = c.params, c.state, []
    for step in range(5):
        grads, state, _ = c.grad(params, state, c.batch, jax.random.fold_in(c.key, step))
        params = _descend(params, grads)
        traced.append(len(c.traces))
    more = traced[-1] - traced[0]  # another item may have traced the first step
    assert not more, (
        f"one_trace: 5 steps were traced {1 + more} times; a shape, dtype or weak type changes"
    )


def transforms(c: Case) -> None:
    """vmap over seeds, with scan over steps inside, equals a loop of compiled calls."""

    def run(params, state, key):
        def body(carry, step):
            params, state = carry
            grads, state, info = c.grad(params, state, c.batch, jax.random.fold_in(key, step))
            return (_descend(params, grads), state), info["loss"]

        return jax.lax.scan(body, (params, state), jnp.arange(3))

    keys, other = jax.random.split(c.key, 2), jax.tree.map(lambda w: 0.9 * np.asarray(w), c.params)
    together = jax.jit(jax.vmap(run, (0, None, 0)))(
        jax.tree.map(lambda *w: np.stack(w), c.params, other), c.state, keys
    )
    for i, params in enumerate((c.params, other)):
        state, losses = c.state, []
        for step in range(3):
            grads, state, info = c.grad(params, state, c.batch, jax.random.fold_in(keys[i], step))
            params = _descend(params, grads)
            losses.append(np.asarray(info["loss"]))
        want = ((params, state), np.stack(losses))
        agree(
            "transforms: vmap of scan and a loop of calls differ",
            jax.tree.map(lambda a, i=i: a[i], together),
            want,
            1e-7,
        )


def hyperparameters(c: Case) -> None:
    """Hyperparameters that are declared as numbers of a program may be tracers: `vmap` over all of
    them at once.
    """
    found = declared_hyperparameters(c.factory)
    defaults = {
        n: h.default
        for n, h in found.items()
        if h.traced and not h.required and h.default is not None
    }
    if not defaults:
        return

    def run(hyper):
        rule = c.factory(c.net, c.loss, **hyper)
        state = rule.init(jax.random.key(1), c.params, c.batch)
        return rule.grad(c.params, state, c.batch, c.key)[0]

    try:
        grads = jax.jit(jax.vmap(run))(
            {name: np.array([1.0, 1.1]) * value for name, value in defaults.items()}
        )
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise AssertionError(
            f"hyperparameters: {list(defaults)} may be tracers, but one is used as a number"
        ) from error
    want = c.grad(c.params, c.state, c.batch, c.key)[0]
    agree(
        "hyperparameters: the defaults as tracers change the result",
        jax.tree.map(lambda g: g[0], grads),
        want,
    )


def gates(c: Case) -> None:
    """grad = (1/B) sum_b g_b grad_b: gates are per example, act linearly, and close."""
    examples = len(c.batch.y)
    g = np.linspace(0.5, 2.0, examples)
    stack = np.concatenate([np.eye(examples), np.stack([g, np.ones(examples), np.zeros(examples)])])
    every = jax.device_get(
        jax.jit(jax.vmap(lambda gate: c.grad(c.params, c.state, c.batch, c.key, gate)[0]))(stack)
    )
    single, gated, ones, zeros = (
        jax.tree.map(lambda a, i=i: a[i], every) for i in (slice(examples), -3, -2, -1)
    )
    free, _, info = c.grad(c.params, c.state, c.batch, c.key)
    agree("gates: a gate of ones changes the gradient", ones, free)
    assert not any(np.any(z) for z in jax.tree.leaves(zeros)), (
        "gates: a gate of zeros leaves a gradient"
    )
    agree(
        "gates: grad is not sum_b g_b grad_b",
        gated,
        jax.tree.map(lambda a: np.tensordot(g, a, 1), single),
    )
    assert not close(gated, free), "gates: the gate does nothing"
    if _by_example(c):
        rows, scaled = (
            jax.tree.map(lambda a: a[:, None], c.batch),
            jax.tree.map(lambda a: a * examples, single),
        )
        alone = jax.jit(jax.vmap(lambda batch: c.rule.grad(c.params, c.state, batch, c.key)[0]))(
            rows
        )
        agree(
            "gates: an open gate for one example is not that example's gradient / B", scaled, alone
        )

    seen: list[Signals] = []

    def gate(signals):
        return seen.append(signals) or signals.loss

    layered = (g, None, *[0.0] * len(c.net))[: len(c.net)]
    by_function, by_layer = jax.jit(
        lambda w: [c.rule.grad(w, c.state, c.batch, c.key, f)[0] for f in (gate, layered)]
    )(c.params)
    assert len(seen) == 1, (
        f"gates: a gate that is a function was called {len(seen)} times; call it once, with the"
        " signals"
    )
    want = jax.tree.map(lambda a: np.tensordot(info["signals"].loss, a, 1), single)
    agree("gates: a gate that is a function of the signals", by_function, want)
    agree("gates: a tuple of one gate a layer", by_layer, (*gated[:1], *free[1:2], *zeros[2:]))
    for wrong in (jnp.ones(examples + 1), (None,) * (len(c.net) + 1)):
        _refuses(
            "gates: a gate of the wrong shape",
            lambda wrong=wrong: c.rule.grad(c.params, c.state, c.batch, c.key, wrong),
        )


def unit_gates(c: Case) -> None:
    """Gates [B, n_post]: a closed unit learns nothing, the others as before; or a ValueError where
    the update is no pullback.
    """
    currents = [a.shape for a in current_shapes(c.net, c.params, c.batch, c.key)]
    half = [np.broadcast_to(np.arange(s[-1]) % 2.0, s) for s in currents]
    stack = tuple(np.stack([h, 1 - h]) for h in half)
    try:
        every = jax.device_get(
            jax.jit(jax.vmap(lambda gate: c.grad(c.params, c.state, c.batch, c.key, gate)[0]))(
                stack
            )
        )
    except ValueError:
        return
    odd, even = (jax.tree.map(lambda a, i=i: a[i], every) for i in (0, 1))
    free = c.grad(c.params, c.state, c.batch, c.key)[0]
    agree(
        "unit_gates: two complementary gates do not add up to the open one",
        jax.tree.map(np.add, odd, even),
        free,
    )
    for l, shape in enumerate(currents):
        units = [leaf[..., ::2] for leaf in jax.tree.leaves(odd[l]) if leaf.shape[-1] == shape[-1]]
        assert not any(np.any(u) for u in units), (
            f"unit_gates: closed units of layer {l} still learn"
        )


def mean(c: Case) -> None:
    """The gradient is of the mean loss: a batch repeated changes nothing. For rules that draw noise
    for each example, not asked.
    """
    if not _by_example(c):
        return
    tiled = jax.tree.map(lambda a: np.concatenate([a, a]), c.batch)
    twice, once = (c.grad(c.params, c.state, batch, c.key) for batch in (tiled, c.batch))
    agree("mean: a batch repeated twice changes the gradient", twice[0], once[0])
    agree("mean: a batch repeated twice changes the loss", twice[2]["loss"], once[2]["loss"])


def host_arrays(c: Case) -> None:
    """A tuple of numpy arrays, with integer labels where y is one-hot, is a batch; by shapes alone,
    nothing is compiled.
    """
    x, y, context = jax.tree.map(np.asarray, c.batch)
    labels = y.shape[1] > 1 and ((y == 0) | (y == 1)).all() and (y.sum(-1) == 1).all()
    batch: Any = (x, y.argmax(-1) if labels else y, context)
    try:
        state = jax.eval_shape(lambda: c.rule.init(c.key, c.params, batch))
        grads = jax.eval_shape(lambda s: c.rule.grad(c.params, s, batch, c.key)[0], state)
        jax.eval_shape(lambda s: c.rule.predict(c.params, s, x, c.key, context), state)
    except Exception as error:
        kind = "integer labels" if labels else "targets"
        raise AssertionError(
            f"host_arrays: a tuple of numpy arrays, x and {kind}: {error}; decorate the factory"
            " with bp.learning_rule"
        ) from error
    assert types(grads) == types(c.params), (
        f"host_arrays: grads are {types(grads)}, params are {types(c.params)}"
    )


def refusals(c: Case) -> None:
    """Wrong shapes raise ValueError or TypeError, and are not broadcast or skipped."""
    x, y, context = c.batch
    wrong = {
        "one more input feature": (
            c.params,
            Batch(jnp.concatenate([x, x[..., :1]], -1), y, context),
        ),
        "one more class in y": (c.params, Batch(x, jnp.concatenate([y, y[:, :1]], -1), context)),
        "a single class in y": (c.params, Batch(x, y[:, :1], context)),
        "fewer labels than inputs": (c.params, Batch(x, y[:-1], context)),
        "one label for all inputs": (c.params, Batch(x, y[:1], context)),
        "a layer of params missing": (c.params[:-1], c.batch),
        "a layer of params too many": ((*c.params, c.params[-1]), c.batch),
    }
    for name, (params, batch) in wrong.items():
        _refuses(
            f"refusals: {name}",
            lambda params=params, batch=batch: c.rule.grad(params, c.state, batch, c.key),
        )


ON_EVERY_NET = (shapes, one_trace, gates, unit_gates, refusals)
ITEMS = (plain, transforms, hyperparameters, mean, host_arrays, *ON_EVERY_NET)
CONTRACT: dict[str, Callable[[Case], None]] = {item.__name__: item for item in ITEMS}


def _descend(params: PyTree, grads: PyTree) -> PyTree:
    return jax.tree.map(lambda w, g: w - 0.01 * g, params, grads)


def _by_example(c: Case) -> bool:
    """Whether a batch may be repeated or taken apart: grads do not depend on the key, nor the state
    on the size of the batch.
    """
    # a rule that learns from pairs of examples refuses a batch of one
    with contextlib.suppress(ValueError):
        one = jax.eval_shape(c.rule.init, c.key, c.params, jax.tree.map(lambda a: a[:1], c.batch))
        a, b = (c.grad(c.params, c.state, c.batch, key)[0] for key in jax.random.split(c.key))
        return close(a, b) and types(one) == types(c.state)
    return False


def _refuses(message: str, call: Callable[[], Any]) -> None:
    try:
        jax.eval_shape(call)
    except (ValueError, TypeError):
        return
    raise AssertionError(f"{message} was accepted; raise a ValueError")
