"""Deep feedback control: identities and negative controls.

The rule lets its controller relax, and never computes the Jacobian J of the output by the currents.
The references find the settled controller by Newton's method on its equation, and J by
`jax.jacfwd`.
"""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import optax

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
from bioplaus.identities.controller_by_hand import (
    frame,
    gauss_newton,
    jacobian,
    settled,
    split,
    tiled,
)
from bioplaus.types import Array, PyTree, RuleFactory

RATE = 0.05


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be deep feedback control."""
    yield from settles(factory)
    yield from credits(factory)
    yield from aligns(factory)


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Deep feedback control on a net of the caller's, at the factory's settings.

    The only noise is that of the rule. A controller that does not settle fails the first check: its
    rate is too high, or its leak too low.
    """
    p, hyper = quiet(p), settings(factory)
    grads, state, info = gradient(factory, p, steps=400)
    yield small("dfc", "the controller settles: residual after 400 steps", info["residual"], 1e-9)
    leak = hyper["leak"] / (1 + hyper["leak"] * hyper["proportional"])
    want = jax.jit(lambda: settled(p, state.feedback, hyper["nudge"], leak))()
    yield same(
        "dfc", "dW equals that of the controller settled by Newton's method", grads, want, 1e-6
    )
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
        "dfc",
        "a step of Q equals noise times the output's derivative along it",
        moved,
        want,
        1e-4,
    )


def settles(factory: RuleFactory) -> Iterator[Check]:
    """The update of W where the controller has settled, for any Q."""
    p = problem(loss=lambda output, y: jnp.sum(output * y, -1))  # e = y
    q, at = off_aligned(factory, p), controlled(factory, p, steps=200)
    newton = jax.jit(lambda nudge, leak: settled(p, q, nudge, leak))
    base = {"nudge": 0.1, "rate": 0.3, "leak": 0.2, "proportional": 0.0}
    silent, _ = at(q, base, p.batch._replace(y=jnp.zeros_like(p.batch.y)))
    yield small(
        "dfc",
        "without a teaching signal: largest gradient",
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
            "dfc",
            f"dW equals that of the controller settled by Newton's method, {name}",
            grads,
            want,
            1e-6,
        )
        yield small("dfc", f"residual after 200 steps, {name}", residual, 1e-10)
    grads, leakier = newton(0.1, 0.2), newton(0.1, 0.4)
    yield large(
        "dfc",
        "dW at another leak: |1 - ratio of norms|",
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
            f"info reports that it does not settle, {name}: residual",
            jnp.nan_to_num(residual, nan=jnp.inf),
            0.1,
        )

    p = convolutional()
    q = off_aligned(factory, p)
    grads = controlled(factory, p, steps=200)(q, base, p.batch)[0]
    want = jax.jit(lambda: settled(p, q, 0.1, 0.2))()
    yield equal(
        "dfc",
        "dW equals that of the controller settled by Newton's method, convolutions",
        grads,
        want,
        1e-6,
    )


def credits(factory: RuleFactory) -> Iterator[Check]:
    """The update of W of linear nets at a Q that has been learned."""
    p = problem((12, 20, 5), neuron=LINEAR)
    j = jacobian(p)[0]
    q = split(p, jnp.linalg.solve(j @ j.T + 1e-8 * jnp.eye(5), j))
    hyper = {"nudge": 0.1, "leak": 0.0, "rate": 0.5, "proportional": 0.0}
    grads = controlled(factory, p, steps=100)(q, hyper, p.batch)[0]
    name = "linear net, Q = (J J^T + 1e-8 I)^-1 J: dW by the signal e pinv(J)^T"
    yield equal("dfc", name, grads, gauss_newton(p, j, 0.1), 1e-6)
    yield large(
        "dfc",
        "linear net, Q near pinv(J)^T: norm differs from backprop, |1 - ratio|",
        abs(1 - optax.tree.norm(grads) / optax.tree.norm(truth(p))),
        0.05,
    )

    p = problem((12, 20, 16, 8, 5), neuron=LINEAR)
    backprop, q, at = truth(p), split(p, jacobian(p)[0]), controlled(factory, p, steps=100)
    leaky = {"nudge": 1e-5, "leak": 1e5, "rate": 1e-5, "proportional": 0.0}
    same = jax.tree.map(lambda g: 1e5 * g, at(q, leaky, p.batch)[0])
    yield equal(
        "dfc",
        "linear net, Q = J, weak nudging, leak 1e5: leak times dW is backprop",
        same,
        backprop,
        1e-3,
    )
    yield large(
        "dfc",
        "linear net, Q = J, leak 0: 1 - cosine to backprop",
        1 - cosine(at(q, hyper, p.batch)[0], backprop),
        0.01,
    )
    hidden = at(random(q), leaky, p.batch)[0][:-1]
    yield large(
        "dfc",
        "linear net, random Q, leak 1e5: 1 - cosine to backprop, hidden layers",
        1 - cosine(hidden, backprop[:-1]),
        0.5,
    )


def aligns(factory: RuleFactory) -> Iterator[Check]:
    """The update of Q against the Jacobian J."""

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
        "Q learns (J J^T + g I)^-1 J, Gaussian noise: 1 - cosine, hidden layers",
        1 - cosine(noisy[:-1], want[:-1]),
        0.1,
    )
    yield small(
        "dfc",
        "Q learns (J J^T + g I)^-1 J, Gaussian noise: |1 - ratio of norms|",
        abs(1 - optax.tree.norm(noisy) / optax.tree.norm(want)),
        0.1,
    )
    p = tiled((12, 20, 16, 5))
    want = fixed(p, 0.3)
    name = "Q learns (J J^T + g I)^-1 J, noise that samples each unit once"
    yield equal("dfc", name, learned(p, sample=frame, sigma=1e-6), want, 1e-4)
    yield large(
        "dfc",
        "(J J^T + g I)^-1 J at twice the damping g: |1 - ratio of norms|",
        abs(1 - optax.tree.norm(fixed(p, 0.6)) / optax.tree.norm(want)),
        0.1,
    )
    yield from step_of_q(factory, p)


def step_of_q(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """One step of Q from near its fixed point: the equation, its optimiser, and gates."""
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
    yield equal(
        "dfc",
        "the momentum of Q's optimiser is that step",
        jax.tree.leaves(after.opt),
        list(want),
        1e-4,
    )
    yield equal(
        "dfc", "a closed gate stops Q, its decay too", step(0 * gate).feedback, state.feedback, 0.0
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


def off_aligned(factory: RuleFactory, p: Problem) -> tuple[Array, ...]:
    """Initial Q plus a random part: not aligned with J, but the controller is stable."""
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
