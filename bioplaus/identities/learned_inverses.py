"""The inverses of target propagation: their updates, and what they learn by them."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

from bioplaus.identities.common import (
    LINEAR,
    Check,
    Problem,
    convolutional,
    cosine,
    equal,
    problem,
)
from bioplaus.identities.targets_by_hand import (
    InverseLoss,
    biased,
    descent,
    fixed_noise,
    inverse,
    learning_leaves,
    output_of,
    outputs,
    trained,
)
from bioplaus.types import PyTree, RuleFactory


def taught_inverses(key: str, factory: RuleFactory, inverse_loss: InverseLoss) -> Iterator[Check]:
    """Steps of the inverses, with momentum and known noise, against `jax.grad` of R_l."""
    for name, p in (("perceptron", problem()), ("convolutions and pooling", convolutional())):
        hyper = {"tx": optax.sgd(1.0, momentum=0.5), "sigma": 0.3, "sample": fixed_noise}
        rule = factory(p.net, p.loss, **hyper)
        state, step = biased(rule.init(jax.random.key(6), p.params, p.batch)), jax.jit(rule.grad)
        slopes = jax.jit(lambda s, p=p: learning_leaves(descent(p, s, 0.3, inverse_loss)))
        grads, after, _ = step(p.params, state, p.batch, p.key)
        first = moved(state, after)
        yield equal(
            key,
            f"the step of the inverses equals jax.grad of R_l, {name}",
            first,
            slopes(state),
            1e-9,
        )
        if name == "perceptron":
            closed = step(p.params, state, p.batch, p.key, 0.0)[1]
            yield equal(
                key,
                "a closed gate stops the inverses",
                learning_leaves(trained(closed)),
                learning_leaves(trained(state)),
                0.0,
            )
            none = jax.jit(factory(p.net, p.loss, feedback_steps=0).grad)(
                p.params, state, p.batch, p.key
            )[0]
            yield equal(key, "steps of the inverses do not change dW", grads, none, 1e-12)
            later = step(p.params, after, p.batch, p.key)[1]
            want = [g + 0.5 * f for g, f in zip(slopes(after), first, strict=True)]
            yield equal(
                key,
                "momentum of the inverses lasts until the next batch",
                moved(after, later),
                want,
                1e-9,
            )
            twice = jax.jit(factory(p.net, p.loss, **hyper, feedback_steps=2).grad)(
                p.params, state, p.batch, p.key
            )[1]
            yield equal(
                key,
                "feedback_steps = 2: two steps of the inverses, one after the other",
                moved(after, twice),
                want,
                1e-9,
            )


def moved(before: PyTree, after: PyTree) -> list[jax.Array]:
    """The inverses of one state minus those of a later one."""
    return learning_leaves(jax.tree.map(jnp.subtract, trained(before), trained(after)))


def learned(
    factory: RuleFactory, p: Problem, steps: int = 400, **hyper: Any
) -> tuple[PyTree, PyTree]:
    """The state before and after the inverses have learned at fixed weights of the net."""
    tx = optax.adam(optax.exponential_decay(0.03, steps // 8, 0.5))
    rule = factory(p.net, p.loss, tx=tx, **hyper)

    def body(state, key):
        return rule.grad(p.params, state, p.batch, key)[1], None

    state, keys = (
        rule.init(jax.random.key(6), p.params, p.batch),
        jax.random.split(jax.random.key(9), steps),
    )
    return state, jax.jit(lambda s: jax.lax.scan(body, s, keys)[0])(state)


def jacobian_cosines(factory: RuleFactory, **hyper: Any) -> list[float]:
    """Cosine between the Jacobian of g_l and the transposed one of f, before and after learning.

    f is layer l + 1, g_l its inverse. The cosine is that of the worst hidden layer.
    """
    p = problem((6, 5, 4, 3), examples=64)
    h = outputs(p, p.params)

    def pair(state, l):
        f = jax.vmap(jax.jacrev(lambda x: output_of(p, l + 1, p.params[l + 1], x[None])[0]))(h[l])
        g = jax.vmap(jax.jacrev(lambda u, x: inverse(p, l, trained(state), x[None], u[None])[0]))(
            h[l + 1], h[l]
        )
        return g, jnp.swapaxes(f, 1, 2)

    jacobians = jax.jit(lambda state: [pair(state, l) for l in range(len(h) - 1)])

    return [
        min(cosine(g, f) for g, f in jacobians(state)) for state in learned(factory, p, **hyper)
    ]


def inversion_errors(factory: RuleFactory) -> list[float]:
    """The sum of |g_l(f(h_l)) - h_l| over hidden layers, before and after learning.

    The layers of the net grow in width, so that they have inverses.
    """
    p = problem((3, 4, 6, 8), neuron=LINEAR, examples=64)
    h = outputs(p, p.params)

    @jax.jit
    def total(state):
        return sum(
            jnp.linalg.norm(inverse(p, l, trained(state), h[l], h[l + 1]) - h[l])
            for l in range(len(h) - 1)
        )

    return [float(total(state)) for state in learned(factory, p)]
