"""Kolen-Pollack: identities and negative controls.

Each step multiplies W - B by exactly (1 - lr wd), for any data: lr is the learning rate, wd the
weight decay.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import optax

from bioplaus.identities.any_net import aligned, same
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    by_hand,
    equal,
    float64,
    gradient,
    large,
    problem,
    relative,
    small,
    steps,
    truth,
)
from bioplaus.identities.feedback_alignment import crossing, weights
from bioplaus.types import RuleFactory

RATE, DECAY, STEPS = 1e-2, 2.0, 60


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be Kolen-Pollack."""
    p = problem()
    sgd = optax.chain(optax.add_decayed_weights(DECAY), optax.sgd(RATE))
    grads, state, _ = gradient(factory, p, tx=sgd)
    hand = by_hand(p, lambda l, s, e: s @ state.feedback[l + 1]["w"].T)
    yield equal("kp", "hand-coded feedback alignment at random B", grads, hand, 1e-12)
    twice = gradient(factory, p, tx=sgd, scale=2.0)[1]
    yield equal(
        "kp",
        "scale multiplies B",
        weights(twice.feedback),
        [2.0 * b for b in weights(state.feedback)],
        1e-12,
    )

    shrunk = (1 - RATE * DECAY) ** STEPS
    yield small(
        "kp",
        "|W - B| shrinks by (1 - lr wd)^60 in 60 steps, SGD with decay",
        gap(factory, sgd, shrunk),
        1e-10,
    )
    yield small(
        "kp",
        "|W - B| shrinks by (1 - lr wd)^60 in 60 steps, AdamW",
        gap(factory, optax.adamw(RATE, weight_decay=DECAY), shrunk),
        1e-10,
    )
    yield small(
        "kp", "|W - B| is constant without weight decay", gap(factory, optax.adam(RATE), 1.0), 1e-10
    )
    coupled = optax.chain(optax.add_decayed_weights(DECAY), optax.adam(RATE))
    yield large(
        "kp",
        "weight decay inside Adam's gradient: |W - B| differs from that",
        gap(factory, coupled, shrunk),
        0.1,
    )
    yield from _over_steps(factory, p, sgd)


def _over_steps(
    factory: RuleFactory, p: Problem, sgd: optax.GradientTransformation
) -> Iterator[Check]:
    """B and the gradients after 20 steps, from B = W and from random B; and a closed gate."""
    # At B = W these gradients stay those of backprop. At random B they differ: in these steps the
    # updates by the wrong B move W further than the decay does.
    rule = factory(p.net, p.loss, tx=sgd)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    for name, start in (("B = W", ((), *p.params[1:])), ("random B", state.feedback)):
        params, after = steps(rule, p, state._replace(feedback=start), sgd, 20)
        later = p._replace(params=params)
        grads = jax.jit(rule.grad)(params, after, p.batch, p.key)[0]
        if name == "B = W":
            yield equal(
                "kp", "B = W still holds after 20 steps", after.feedback[1:], params[1:], 1e-12
            )
            yield equal(
                "kp",
                "from B = W, the gradient equals backprop after 20 steps",
                grads,
                truth(later),
                1e-12,
            )
        else:
            yield large(
                "kp",
                "from random B, the gradient differs from backprop after 20 steps",
                relative(grads, truth(later)),
                0.1,
            )

    rule = factory(p.net, p.loss, tx=optax.sgd(RATE))
    state = rule.init(jax.random.key(6), p.params, p.batch)
    closed = jax.jit(rule.grad)(p.params, state, p.batch, p.key, 0.0)[1]
    yield equal(
        "kp",
        "a closed gate stops B, without weight decay",
        weights(closed.feedback),
        weights(state.feedback),
        0.0,
    )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Kolen-Pollack on a net of the caller's, with its noise."""
    yield from crossing("kp", factory, p)
    if len(p.net) > 1:
        sgd = optax.chain(optax.add_decayed_weights(DECAY), optax.sgd(RATE))
        rule = factory(p.net, p.loss, tx=sgd)
        state = float64(rule.init(jax.random.key(6), p.params, p.batch))
        params, after = steps(rule, p, state, sgd, 5)
        left = jax.tree.map(jnp.subtract, aligned(p._replace(params=params)), after.feedback)
        want = jax.tree.map(
            lambda w, b: (1 - RATE * DECAY) ** 5 * (w - b), aligned(p), state.feedback
        )
        yield same("kp", "W - B shrinks by (1 - lr wd)^5 in 5 steps, SGD with decay", left, want)


def gap(factory: RuleFactory, tx: optax.GradientTransformation, expected: float) -> float:
    """Relative error of |W - B| after STEPS steps of tx on both, in the worst layer.

    expected: the expected |W - B| over the initial one.
    """
    p = problem()
    rule = factory(p.net, p.loss, tx=tx)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    params, after = steps(rule, p, state, tx, STEPS)

    def distance(params, state):
        return jnp.stack(
            [
                jnp.linalg.norm(w - b)
                for w, b in zip(weights(params), weights(state.feedback), strict=True)
            ]
        )

    return relative(
        distance(params, after) / distance(p.params, state), jnp.full(len(p.net) - 1, expected)
    )


FAMILIES = {"kp": Family(checks, on_net, credit="weights B that learn beside W", equals="B = W")}
