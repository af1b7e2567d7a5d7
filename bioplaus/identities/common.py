"""Shared by the identities: the record of a check, small problems, and hand-written references.

The references use plain array arithmetic and `jax.grad`. They use nothing of `bioplaus.local` or of
the rules. Everything is in float64.
"""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bioplaus.layers import conv, dense, flattened, mlp, pooled
from bioplaus.losses import cross_entropy
from bioplaus.net import drive, fire, forward, init, layer_key
from bioplaus.neurons import identity, sigmoid, tanh
from bioplaus.types import Batch, Key, Loss, Net, Neuron, PyTree, Rule, RuleFactory


class Check(NamedTuple):
    """One check and its measured value.

    An identity passes if value <= limit, a negative control if value >= limit.
    """

    rule: str
    name: str
    value: float
    limit: float
    passed: bool
    control: bool = False

    def __str__(self) -> str:
        mark, sign, kind = (
            "ok    " if self.passed else "FAILED",
            *((">=", "control ") if self.control else ("<=", "identity")),
        )
        return f"{mark} {self.rule:4} {kind} {self.name}: {self.value:.3g} {sign} {self.limit:g}"


class Problem(NamedTuple):
    """A net, a loss, parameters (no bias is zero), a batch, and the key of the forward pass."""

    net: Net
    loss: Loss
    params: PyTree
    batch: Batch
    key: Key


class Family(NamedTuple):
    """The checks of a factory that claims to be a rule.

    checks: (factory) -> the checks on problems made for them.
    on_net: (factory, problem) -> the checks that hold on a net of the caller's.
    credit, equals: words for the table of docs/rules.md. credit: what reaches the hidden layers as
    an error. equals: when the update equals that of backprop, or is parallel to it.
    spiking, recurrent: why on_net does not hold on neurons that fire, and on layers that hear
    themselves; empty where it does.

    checks and on_net are generators, so that a wrong factory stops them at its first failure.
    """

    checks: Callable[[RuleFactory], Iterator[Check]]
    on_net: Callable[[RuleFactory, Problem], Iterator[Check]] | None = None
    credit: str = ""
    equals: str = ""
    spiking: str = ""
    recurrent: str = ""


def small(rule: str, name: str, value: Any, limit: float) -> Check:
    """Passes if value <= limit; a value that is not a number fails."""
    return Check(rule, name, float(value), limit, bool(value <= limit))


def equal(rule: str, name: str, got: PyTree, want: PyTree, limit: float) -> Check:
    """Passes if the relative error of every leaf is at most the limit.

    Fails if a leaf of `want` is zero, because nothing would be compared.
    """
    return small(rule, name, relative(got, want), limit)


def large(rule: str, name: str, value: Any, limit: float) -> Check:
    """Negative control: passes if value >= limit."""
    return Check(rule, name, float(value), limit, bool(value >= limit), control=True)


def relative(got: PyTree, want: PyTree) -> float:
    """The worst |got - want| / |want| over leaves; infinite where a leaf of `want` is zero."""
    leaves, others = jax.tree.leaves(want), jax.tree.leaves(got)
    if not leaves or [jnp.shape(a) for a in leaves] != [jnp.shape(a) for a in others]:
        return math.inf
    norms = [float(np.linalg.norm(w)) for w in leaves]
    gaps = [float(np.linalg.norm(np.subtract(g, w))) for g, w in zip(others, leaves, strict=True)]
    return _worst(gap / norm if norm else math.inf for gap, norm in zip(gaps, norms, strict=True))


def _worst(values) -> float:
    """The maximum; not-a-number, which `max` would lose, counts as infinite."""
    return max(math.inf if math.isnan(v) else v for v in values)


def cosine(a: PyTree, b: PyTree) -> float:
    """Cosine between two trees, each as one vector; not a number where one is zero."""
    u, v = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (a, b))
    norms = np.linalg.norm(u) * np.linalg.norm(v)
    return float(u @ v / norms) if norms else math.nan


def worst_cosine(a: PyTree, b: PyTree) -> float:
    """The smallest cosine between corresponding layers."""
    return min(cosine(u, v) for u, v in zip(a, b, strict=True))


def slope(x: list[float], errors: list[float]) -> float:
    """Order of convergence: the least-squares slope of log error over log x.

    Not a number if an error is zero or not finite.
    """
    if not all(e > 0 and math.isfinite(e) for e in errors):
        return math.nan
    return float(np.polyfit(np.log(x), np.log(errors), 1)[0])


LINEAR = identity()
TANH = tanh()
SIGMOID = sigmoid()


@functools.cache
def problem(
    sizes=(12, 20, 16, 5),
    *,
    examples: int = 8,
    neuron: Neuron = TANH,
    output: Neuron = LINEAR,
    loss: Loss = cross_entropy,
) -> Problem:
    """A multilayer perceptron on random inputs and labels."""
    return pose(mlp(sizes, neuron, output=output), (examples, sizes[0]), sizes[-1], loss)


def squashed(loss: Loss) -> Problem:
    """A perceptron with sigmoid outputs h_L = phi(a_L): dL/da_L differs from dL/dh_L."""
    return problem((7, 5, 4, 3), examples=6, output=SIGMOID, loss=loss)


@functools.cache
def convolutional() -> Problem:
    """A small net with convolutions and pooling."""
    net = (
        conv(3, 3, TANH, padding=1),
        pooled(2, conv(4, 2, TANH)),
        flattened(dense(6, TANH)),
        dense(5),
    )
    return pose(net, (4, 6, 6, 2), 5)


def pose(
    net: Net, shape: tuple[int, ...], classes: int, loss: Loss = cross_entropy, *, gain: float = 0.5
) -> Problem:
    """A problem for a net: inputs N(0, 1) of the given shape, random labels, random parameters.

    Weights are N(0, gain^2 / fan_in), other parameters N(0, 0.01). They are drawn by numpy, which
    compiles nothing.
    """
    draw = np.random.default_rng(1)

    def weights(leaf):
        spread = gain / math.sqrt(leaf.size / leaf.shape[-1]) if len(leaf.shape) > 1 else 0.1
        return jnp.asarray(spread * draw.standard_normal(leaf.shape))

    x = jnp.asarray(draw.standard_normal(shape))
    y = jnp.asarray(np.eye(classes)[draw.integers(0, classes, len(x))])
    params = jax.tree.map(weights, jax.eval_shape(lambda key: init(net, key, x), jax.random.key(0)))
    return Problem(net, loss, params, Batch(x, y), jax.random.key(5))


def gradient(
    factory: RuleFactory,
    p: Problem,
    change: Callable[[PyTree], PyTree] = lambda state: state,
    **hyper: Any,
) -> tuple[PyTree, PyTree, Any]:
    """One call of the rule's public `grad`, compiled: (grads, the state before it, info).

    change: edits the initial state before the call.
    """
    rule, grad = _compiled(factory, p.net, p.loss, tuple(hyper.items()))
    state = change(float64(rule.init(jax.random.key(6), p.params, p.batch)))
    grads, _, info = grad(p.params, state, p.batch, p.key)
    return grads, state, info


@functools.lru_cache(maxsize=8)
def _compiled(factory: RuleFactory, net: Net, loss: Loss, hyper: tuple[tuple[str, Any], ...]):
    """A rule and its compiled `grad`. Checks share it if only state or batch values differ."""
    rule = factory(net, loss, **dict(hyper))
    return rule, jax.jit(rule.grad)


def sweep(
    factory: RuleFactory, p: Problem, name: str, values: list[float], **hyper: Any
) -> list[PyTree]:
    """Gradients at several values of one traced hyperparameter, compiled once.

    For rules without state.
    """
    at = jax.jit(
        lambda value: factory(p.net, p.loss, **{name: value}, **hyper).grad(
            p.params, (), p.batch, p.key
        )[0]
    )
    return [at(value) for value in values]


def steps(
    rule: Rule, p: Problem, state: PyTree, tx: optax.GradientTransformation, n: int
) -> tuple[PyTree, PyTree]:
    """Params and rule state after n steps of an optimiser on the same batch."""

    def body(carry, key):
        params, state, opt = carry
        grads, state, _ = rule.grad(params, state, p.batch, key)
        updates, opt = tx.update(grads, opt, params)
        return (jax.tree.map(jnp.add, params, updates), state, opt), None

    keys = jax.random.split(jax.random.key(7), n)
    return jax.jit(lambda c: jax.lax.scan(body, c, keys)[0])((p.params, state, tx.init(p.params)))[
        :2
    ]


def truth(p: Problem) -> PyTree:
    """`jax.grad` of the mean loss of the forward pass."""
    return _mean_loss_grad(p.net, p.loss)(p.params, p.batch, p.key)


@functools.cache
def _mean_loss_grad(net: Net, loss: Loss):
    return jax.jit(
        jax.grad(lambda w, batch, key: loss(forward(net, w, batch.x, key).output, batch.y).mean())
    )


def by_hand(p: Problem, send: Callable[[int, Any, Any], Any]) -> PyTree:
    """Gradients of a tanh perceptron under cross-entropy, in numpy.

    send: (l, s_{l+1}, e) -> the teaching signal at the output of hidden layer l, [B, n_l]. s_{l+1}
    is the error signal of the layer above, e = dL/da_L that of the output.
    """
    h = [np.asarray(p.batch.x)]
    for w in p.params[:-1]:
        h.append(np.tanh(h[-1] @ np.asarray(w["w"]) + np.asarray(w["b"])))
    odds = np.exp(h[-1] @ np.asarray(p.params[-1]["w"]) + np.asarray(p.params[-1]["b"]))
    e = odds / odds.sum(-1, keepdims=True) - np.asarray(p.batch.y)
    signals = [e]
    for l in reversed(range(len(p.params) - 1)):
        signals.insert(0, (1 - h[l + 1] ** 2) * np.asarray(send(l, signals[0], e)))
    return tuple({"w": x.T @ s / len(e), "b": s.mean(0)} for x, s in zip(h, signals, strict=True))


def feedback_by_grad(p: Problem, feedback: PyTree) -> PyTree:
    """Feedback alignment of any net whose synapses are linear, by `jax.grad` of another net.

    Its values are the same, but derivatives by the input pass B only: with "stop" for
    stop_gradient, a = W stop(h) + B h - stop(B h).
    """
    stop = jax.lax.stop_gradient

    def loss(params):
        h = p.batch.x
        for l, layer in enumerate(p.net):
            k = layer_key(p.key, l)
            a = drive(layer, params[l], stop(h), k)
            if l:
                back = drive(layer, feedback[l], h, k)
                a = a + back - stop(back)
            h = fire(layer, a, k)
        return p.loss(h, p.batch.y).mean()

    return jax.jit(jax.grad(loss))(p.params)


def float64(tree: PyTree) -> PyTree:
    """Floating-point leaves in double precision."""

    def cast(a):
        return (
            jnp.asarray(a, jnp.float64) if jnp.issubdtype(jnp.result_type(a), jnp.floating) else a
        )

    return jax.tree.map(cast, tree)
