"""Deep feedback control: identities and negative controls.

The settled controller is found here by Newton's method on its equation, and J by `jax.jacfwd`; the
rule relaxes, and sees no J.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import ArrayLike, DTypeLike

from bioplaus.identities.any_net import apart, directional, drawn, given, quiet, same, settings
from bioplaus.identities.common import (
    LINEAR,
    Check,
    Family,
    Problem,
    convolutional,
    cosine,
    equal,
    gradient,
    large,
    problem,
    small,
    truth,
)
from bioplaus.net import drive, fire, layer_key
from bioplaus.types import Array, Batch, Key, PyTree, RuleFactory

RATE = 0.05


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be deep feedback control."""
    yield from settles(factory)
    yield from credits(factory)
    yield from aligns(factory)


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Deep feedback control on a net of the caller's, without noise but its own, at the factory's
    settings. A controller that does not settle fails the first check: its rate is too high, or its
    leak too low.
    """
    p, hyper = quiet(p), settings(factory)
    grads, state, info = gradient(factory, p, steps=400)
    yield small("dfc", "the controller settles: residual after 400 steps", info["residual"], 1e-9)
    leak = hyper["leak"] / (1 + hyper["leak"] * hyper["proportional"])
    want = jax.jit(lambda: settled(p, state.feedback, hyper["nudge"], leak))()
    yield same("dfc", "dW of the controller settled by Newton's method", grads, want, 1e-6)
    yield from apart("dfc", p, grads)

    xi, tx = drawn(p), optax.sgd(1.0)
    rule = factory(p.net, p.loss, tx=tx, sigma=1e-6, sample=given(xi))
    after = jax.jit(rule.grad)(
        p.params, state._replace(opt=tx.init(state.feedback)), p.batch, p.key
    )[1]
    u = -jax.jit(lambda: directional(p, xi)[1])()
    back = [x + jnp.tensordot(u, q, 1) for x, q in zip(xi, state.feedback, strict=True)]
    want = [
        jnp.tensordot(u, b, (0, 0)) / len(u) + hyper["damping"] * q
        for b, q in zip(back, state.feedback, strict=True)
    ]
    moved = [a - b for a, b in zip(state.feedback, after.feedback, strict=True)]
    yield same(
        "dfc", "a step of Q: noise times the output's derivative along it", moved, want, 1e-4
    )


def settles(factory: RuleFactory) -> Iterator[Check]:
    """W's update, at the settled state of the controller, whatever Q is."""
    p = problem(loss=lambda output, y: jnp.sum(output * y, -1))  # e = y
    q, at = off_aligned(factory, p), controlled(factory, p, steps=200)
    newton = jax.jit(lambda nudge, leak: settled(p, q, nudge, leak))
    base = {"nudge": 0.1, "rate": 0.3, "leak": 0.2, "proportional": 0.0}
    silent, _ = at(q, base, p.batch._replace(y=jnp.zeros_like(p.batch.y)))
    yield small(
        "dfc",
        "no teaching signal, no update",
        max(jnp.abs(g).max() for g in jax.tree.leaves(silent)),
        0.0,
    )
    cases = {
        "weak nudging": {"nudge": 0.01},
        "strong nudging": {"nudge": 1.0},
        "a proportional gain": {"proportional": 0.4},
    }
    for name, changed in cases.items():
        hyper = base | changed
        grads, residual = at(q, hyper, p.batch)
        want = newton(hyper["nudge"], 0.2 / (1 + 0.2 * hyper["proportional"]))
        yield equal(
            "dfc", f"dW of the controller settled by Newton's method, {name}", grads, want, 1e-6
        )
        yield small("dfc", f"residual after 200 steps, {name}", residual, 1e-10)
    grads, leakier = newton(0.1, 0.2), newton(0.1, 0.4)
    yield large(
        "dfc",
        "another leak's is of another size",
        abs(1 - optax.tree.norm(grads) / optax.tree.norm(leakier)),
        0.05,
    )
    for name, feedback, rate in (
        ("rate beyond 2 / (J Q + alpha)", q, 3.0),
        ("Q of the wrong sign", [-a for a in q], 0.3),
    ):
        residual = at(tuple(feedback), base | {"rate": rate}, p.batch)[1]
        yield large(
            "dfc",
            f"says that the controller does not settle, {name}: residual",
            jnp.nan_to_num(residual, nan=jnp.inf),
            0.1,
        )

    p = convolutional()
    q = off_aligned(factory, p)
    grads = controlled(factory, p, steps=200)(q, base, p.batch)[0]
    want = jax.jit(lambda: settled(p, q, 0.1, 0.2))()
    yield equal(
        "dfc",
        "dW of the controller settled by Newton's method, convolutions and pooling",
        grads,
        want,
        1e-6,
    )


def credits(factory: RuleFactory) -> Iterator[Check]:
    """What W's update is at a Q that has been learned, linear nets."""
    p = problem((12, 20, 5), neuron=LINEAR)
    j = jacobian(p)[0]
    q = split(p, jnp.linalg.solve(j @ j.T + 1e-8 * jnp.eye(5), j))
    hyper = {"nudge": 0.1, "leak": 0.0, "rate": 0.5, "proportional": 0.0}
    grads = controlled(factory, p, steps=100)(q, hyper, p.batch)[0]
    name = "linear net, Q = (J J^T + g I)^-1 J, g = 1e-8: teaching signal e pinv(J)^T"
    yield equal("dfc", name, grads, gauss_newton(p, j, 0.1), 1e-6)
    yield large(
        "dfc",
        "which is not backprop, relative size",
        abs(1 - optax.tree.norm(grads) / optax.tree.norm(truth(p))),
        0.05,
    )

    p = problem((12, 20, 16, 8, 5), neuron=LINEAR)
    backprop, q, at = truth(p), split(p, jacobian(p)[0]), controlled(factory, p, steps=100)
    leaky = {"nudge": 1e-5, "leak": 1e5, "rate": 1e-5, "proportional": 0.0}
    same = jax.tree.map(lambda g: 1e5 * g, at(q, leaky, p.batch)[0])
    yield equal(
        "dfc",
        "linear net, Q = J, weak nudging, leak alpha -> inf: alpha dW is backprop",
        same,
        backprop,
        1e-3,
    )
    yield large(
        "dfc",
        "not at a small leak: 1 - cosine",
        1 - cosine(at(q, hyper, p.batch)[0], backprop),
        0.01,
    )
    hidden = at(random(q), leaky, p.batch)[0][:-1]
    yield large(
        "dfc",
        "random Q: 1 - cosine to backprop, hidden layers",
        1 - cosine(hidden, backprop[:-1]),
        0.5,
    )


def aligns(factory: RuleFactory) -> Iterator[Check]:
    """Q's update, against J."""

    def learned(p, **more):
        rule = factory(p.net, p.loss, tx=optax.sgd(RATE), damping=0.3, pretraining=600, **more)
        return jax.jit(rule.init)(jax.random.key(6), p.params, p.batch).feedback

    def fixed(p, damping):
        j = jacobian(p)[0]
        return split(p, jnp.linalg.solve(j @ j.T + damping * jnp.eye(5), j))

    p = tiled((12, 16, 16, 5))
    noisy, want = learned(p), fixed(p, 0.3)
    yield small(
        "dfc",
        "Q learns (J J^T + g I)^-1 J, Gaussian noise: 1 - cosine, hidden",
        1 - cosine(noisy[:-1], want[:-1]),
        0.1,
    )
    yield small("dfc", "its size", abs(1 - optax.tree.norm(noisy) / optax.tree.norm(want)), 0.1)
    p = tiled((12, 20, 16, 5))
    want = fixed(p, 0.3)
    name = "Q learns (J J^T + g I)^-1 J, noise that samples each unit once"
    yield equal("dfc", name, learned(p, sample=frame, sigma=1e-6), want, 1e-4)
    yield large(
        "dfc",
        "which differs at twice the damping g",
        abs(1 - optax.tree.norm(fixed(p, 0.6)) / optax.tree.norm(want)),
        0.1,
    )

    j, examples = jacobian(p)[0], len(p.batch.x)
    tx = optax.sgd(RATE, momentum=0.9)
    rule = factory(p.net, p.loss, sample=frame, sigma=1e-6, tx=tx, damping=0.3, pretraining=0)
    state = rule.init(jax.random.key(6), p.params, p.batch)._replace(
        feedback=off_aligned(factory, p)
    )
    step = jax.jit(lambda gate: rule.grad(p.params, state, p.batch, p.key, gate)[1])
    gate, q = jnp.linspace(0.0, 2.0, examples), jnp.concatenate(state.feedback, -1)
    xi = jnp.concatenate(
        [frame(None, (examples, b.shape[-1]), q.dtype) for b in state.feedback], -1
    )
    u = -xi @ j.T
    want = split(p, u.T @ (gate[:, None] * (xi + u @ q)) / examples + 0.3 * gate.mean() * q)
    after = step(gate)
    change = tuple((a - b) / RATE for a, b in zip(state.feedback, after.feedback, strict=True))
    yield equal("dfc", "one step of Q, each example weighted by its gate", change, want, 1e-4)
    yield equal("dfc", "its optimiser remembers it", jax.tree.leaves(after.opt), list(want), 1e-4)
    yield equal(
        "dfc", "a closed gate stops Q (no decay)", step(0 * gate).feedback, state.feedback, 0.0
    )


def controlled(
    factory: RuleFactory, p: Problem, *, steps: int
) -> Callable[..., tuple[PyTree, Array]]:
    """The rule's public `grad`, compiled: (Q, hyperparameters, batch) -> (dW, residual)."""

    def run(feedback, hyper, batch):
        rule = factory(p.net, p.loss, steps=steps, pretraining=0, **hyper)
        state = rule.init(jax.random.key(6), p.params, batch)._replace(feedback=feedback)
        grads, _, info = rule.grad(p.params, state, batch, p.key)
        return grads, info.get("residual")

    return jax.jit(run)


def respond(p: Problem, x: Array, offsets: list[Array]) -> tuple[Array, list[Array], list[Array]]:
    """Output r_L, inputs and currents a_l with offsets added to the currents."""
    inputs, currents = [], []
    for l, layer in enumerate(p.net):
        inputs.append(x)
        currents.append(drive(layer, p.params[l], x, layer_key(p.key, l)))
        x = fire(layer, currents[-1] + offsets[l], layer_key(p.key, l))
    return x, inputs, currents


def settled(p: Problem, feedback: tuple[Array, ...], nudge: ArrayLike, leak: ArrayLike) -> PyTree:
    """dW where y* - r_L(u) = leak u, solved for u by Newton's method, one example at a time."""

    def inject(u):
        return [jnp.tensordot(u, q, 1) for q in feedback]

    def example(x, y):
        start = respond(p, x[None], inject(jnp.zeros((1, y.size))))[0][0]
        target = start - nudge * jax.grad(lambda o: p.loss(o[None], y[None])[0])(start)

        def gap(u):
            return target - respond(p, x[None], inject(u[None]))[0][0] - leak * u

        return jax.lax.fori_loop(
            0, 20, lambda _, u: u - jnp.linalg.solve(jax.jacfwd(gap)(u), gap(u)), jnp.zeros_like(y)
        )

    def pulled(params):
        offsets = inject(jax.vmap(example)(p.batch.x, p.batch.y))
        _, inputs, currents = respond(p, p.batch.x, offsets)
        total = 0.0
        for l, layer in enumerate(p.net):
            k = layer_key(p.key, l)
            helped = fire(layer, currents[l] + offsets[l], k) - fire(layer, currents[l], k)
            total -= jnp.sum(helped / nudge * drive(layer, params[l], inputs[l], k)) / len(
                p.batch.y
            )
        return total

    return jax.grad(pulled)(p.params)


def jacobian(p: Problem) -> Array:
    """J [B, C, sum n_l] of the output by all currents, of a perceptron."""
    widths = [w["b"].size for w in p.params]

    def output(x, shift):
        return respond(p, x[None], jnp.split(shift[None], np.cumsum(widths)[:-1].tolist(), -1))[0][
            0
        ]

    return jax.jit(jax.vmap(lambda x: jax.jacfwd(output, 1)(x, jnp.zeros(sum(widths)))))(p.batch.x)


def split(p: Problem, q: Array) -> tuple[Array, ...]:
    """[C, sum n_l] as one array a layer."""
    return tuple(jnp.split(q, np.cumsum([w["b"].size for w in p.params])[:-1].tolist(), -1))


def gauss_newton(p: Problem, j: Array, nudge: float) -> PyTree:
    """Linear net, one hidden layer: dW_l = r_{l-1}^T e pinv(J)_l^T / B, with r_1 moved by -nudge e
    pinv(J)_1^T.
    """
    x, (first, second) = p.batch.x, p.params
    hidden = x @ first["w"] + first["b"]
    output = hidden @ second["w"] + second["b"]
    e = jax.grad(lambda o: p.loss(o, p.batch.y).sum())(output)
    one, two = jnp.split(e @ jnp.linalg.pinv(j).T, [hidden.shape[-1]], -1)
    return tuple(
        {"w": r.T @ s / len(x), "b": s.mean(0)} for r, s in ((x, one), (hidden - nudge * one, two))
    )


def tiled(sizes: tuple[int, ...]) -> Problem:
    """A tanh perceptron and one input, as often as it has units: J is the same for every
    example.
    """
    p = problem(sizes)
    examples = sum(w["b"].size for w in p.params)
    return p._replace(batch=Batch(*(jnp.tile(a[:1], (examples, 1)) for a in p.batch[:2])))


def frame(key: Key | None, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Noise whose second moment is the identity exactly, on the net of 20, 16 and 5 units: one unit
    an example.
    """
    del key
    examples, n = shape
    start = {20: 0, 16: 20, 5: 36}[n]
    return jnp.sqrt(examples) * jnp.eye(examples, n, -start, dtype)


def off_aligned(factory: RuleFactory, p: Problem) -> tuple[Array, ...]:
    """Q as the rule starts it and a random part: not aligned, and stable."""
    start = (
        factory(p.net, p.loss, pretraining=0).init(jax.random.key(6), p.params, p.batch).feedback
    )
    return tuple(a + 0.2 * b for a, b in zip(start, random(start), strict=True))


def random(feedback: tuple[Array, ...]) -> tuple[Array, ...]:
    """Q drawn at random, N(0, 1 / C)."""
    draw = np.random.default_rng(3)
    return tuple(jnp.asarray(draw.standard_normal(q.shape) / len(q) ** 0.5) for q in feedback)


FAMILIES = {
    "dfc": Family(
        checks,
        on_net,
        credit="a controller that drives the output to its target",
        equals="linear net, Q = J and a large leak",
    )
}
