"""Sign-concordant feedback: identities and negative controls."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp

from bioplaus.identities.any_net import apart, feedback_through, same, settings
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    by_hand,
    convolutional,
    cosine,
    equal,
    feedback_by_grad,
    gradient,
    large,
    problem,
    relative,
    small,
    truth,
    worst_cosine,
)
from bioplaus.identities.sign_concordant_by_hand import (
    concordant,
    hand,
    shifted,
    signed,
    uniform,
    with_zeros,
)
from bioplaus.net import fed_back, feedback_init
from bioplaus.rules.feedback_alignment import feedback_alignment
from bioplaus.types import PyTree, RuleFactory


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be uniform sign-concordant feedback."""
    p = problem()
    constant = p._replace(
        params=jax.tree.map(lambda w: 0.3 * jnp.where(w < 0, -1.0, 1.0), p.params)
    )
    want = truth(constant)
    grads = gradient(factory, constant)[0]
    yield equal("usf", "backprop where all |W| are equal", grads, want, 1e-12)
    grads = gradient(factory, constant, scale=3.0)[0]
    yield small(
        "usf",
        "all |W| equal, scale 3: 1 - cosine to backprop, worst layer",
        1 - worst_cosine(grads, want),
        1e-12,
    )

    rule = factory(p.net, p.loss)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    moved = p._replace(params=shifted(p.params))
    grads = jax.jit(rule.grad)(moved.params, state, p.batch, p.key)[0]
    yield equal(
        "usf",
        "hand-coded, B = rms(initial W) sign(W), after W has changed",
        grads,
        hand(p.params, moved),
        1e-12,
    )
    w0 = p.params
    frozen = by_hand(moved, lambda l, s, e: s @ uniform(w0[l + 1]["w"], w0[l + 1]["w"]).T)
    yield large(
        "usf",
        "1 - cosine to signs fixed at the initial ones, first layer",
        1 - worst_cosine(grads[:1], frozen[:1]),
        0.1,
    )
    holes = with_zeros(p)
    yield equal(
        "usf",
        "a weight of zero sends errors as a positive one",
        gradient(factory, holes)[0],
        hand(holes.params, holes),
        1e-12,
    )

    grads, want = gradient(factory, p)[0], truth(p)
    yield large(
        "usf",
        "random W: 1 - cosine to backprop, first layer",
        1 - cosine(grads[0], want[0]),
        1e-3,
    )
    yield small(
        "usf", "random W: 1 - cosine to backprop, worst layer", 1 - worst_cosine(grads, want), 0.7
    )


def fixed_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be fixed random sign-concordant feedback."""
    p = problem()
    grads = gradient(factory, p, lambda s: s._replace(magnitude=jax.tree.map(jnp.abs, p.params)))[0]
    yield equal("frsf", "backprop at M = |W|", grads, truth(p), 1e-12)

    rule = factory(p.net, p.loss)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    grad, moved = jax.jit(rule.grad), p._replace(params=shifted(p.params))
    grads, after, _ = grad(moved.params, state, p.batch, p.key)
    yield equal(
        "frsf",
        "hand-coded, B = M sign(W), after W has changed",
        grads,
        concordant(state.magnitude, moved),
        1e-12,
    )
    frozen = concordant(state.magnitude, moved, p.params)
    yield large(
        "frsf",
        "1 - cosine to signs fixed at the initial ones, first layer",
        1 - worst_cosine(grads[:1], frozen[:1]),
        0.1,
    )
    change = jax.tree.map(lambda a, b: abs(a - b).max(), after.magnitude, state.magnitude)
    yield small(
        "frsf", "M does not change in a step: largest change", max(jax.tree.leaves(change)), 0.0
    )
    other = grad(moved.params, state, p.batch, jax.random.key(99))[0]
    yield equal("frsf", "another random key of the step changes nothing", other, grads, 0.0)
    drawn = feedback_init(p.net, jax.random.key(6), p.params, p.batch.x)
    sizes = [jnp.linalg.norm(b["w"]) for b in drawn[1:]]
    yield equal(
        "frsf",
        "M = |R|: its norm is that of a draw R of W",
        [jnp.linalg.norm(m["w"]) for m in state.magnitude[1:]],
        sizes,
        1e-12,
    )
    yield small(
        "frsf",
        "M is not negative: minus its smallest entry",
        -min(m["w"].min() for m in state.magnitude[1:]),
        0.0,
    )
    yield from shared("frsf", factory, state.magnitude)
    doubled = gradient(factory, p, scale=2.0)[1].magnitude
    yield equal(
        "frsf",
        "scale multiplies M",
        [b["w"] for b in doubled[1:]],
        [2 * b["w"] for b in state.magnitude[1:]],
        1e-12,
    )


def batchwise_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be batch-wise random sign-concordant feedback."""
    p = problem()
    drawn = jax.tree.map(jnp.abs, feedback_init(p.net, p.key, p.params, p.batch.x))
    rule = factory(p.net, p.loss)
    state = rule.init(jax.random.key(6), p.params, p.batch)
    grad, moved = jax.jit(rule.grad), p._replace(params=shifted(p.params))
    grads = grad(moved.params, state, p.batch, p.key)[0]
    yield equal(
        "brsf",
        "hand-coded, B = |R| sign(W) at the drawn R, after W has changed",
        grads,
        concordant(drawn, moved),
        1e-12,
    )
    unsigned = by_hand(moved, lambda l, s, e: s @ drawn[l + 1]["w"].T)
    yield large(
        "brsf",
        "differs from B = |R|, without the signs of W, first layer",
        relative(grads[:1], unsigned[:1]),
        0.1,
    )
    other = grad(moved.params, state, p.batch, jax.random.key(99))[0]
    yield large(
        "brsf",
        "another random key of the step draws another R: hidden layers change",
        relative(other[:1], grads[:1]),
        0.1,
    )
    yield equal(
        "brsf",
        "another random key of the step does not change the last layer",
        other[-1],
        grads[-1],
        1e-12,
    )
    yield from shared("brsf", factory, drawn)
    doubled, once = (gradient(factory, p, scale=s)[0][1] for s in (2.0, 1.0))
    yield equal("brsf", "scale multiplies B", doubled, jax.tree.map(lambda g: 2.0 * g, once), 1e-12)


def shared(key: str, factory: RuleFactory, magnitude: PyTree) -> Iterator[Check]:
    """Checks of frsf and brsf: zero weights, convolutions, and the distance to backprop.

    magnitude: M or |R|, the magnitudes of the feedback weights.
    """
    p = problem()
    holes = with_zeros(p)
    grads = gradient(factory, holes)[0]
    yield equal(
        key,
        "a weight of zero sends errors as a positive one",
        grads,
        concordant(magnitude, holes),
        1e-12,
    )
    images = convolutional()
    grads, state, _ = gradient(factory, images)
    drawn = feedback_init(images.net, images.key, images.params, images.batch.x)
    m = state.magnitude if state else jax.tree.map(jnp.abs, drawn)
    want = feedback_by_grad(images, ((), *signed(m, images.params)))
    yield equal(key, "jax.grad of a surrogate with B = M sign(W), convolutions", grads, want, 1e-12)
    want, grads, fa = truth(p), gradient(factory, p)[0], gradient(feedback_alignment, p)[0]
    yield small(
        key, "random W: 1 - cosine to backprop, worst layer", 1 - worst_cosine(grads, want), 0.75
    )
    yield large(
        key,
        "feedback alignment, random W: 1 - cosine to backprop, worst layer",
        1 - worst_cosine(fa, want),
        0.75,
    )
    yield large(
        key, "random W: 1 - cosine to backprop, first layer", 1 - cosine(grads[0], want[0]), 1e-2
    )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Uniform sign-concordant feedback on a net of the caller's, with its noise."""
    size = jax.tree.map(lambda w: jnp.sqrt(jnp.mean(w**2)), p.params)
    equal_sizes = p._replace(
        params=jax.tree.map(lambda c, w: c * jnp.where(w < 0, -1, 1), size, p.params)
    )
    grads = gradient(factory, equal_sizes, scale=1.0)[0]
    yield same("usf", "backprop where all |W| of a layer are equal", grads, truth(equal_sizes))
    yield from concordant_on_net(
        "usf",
        p,
        gradient(factory, p)[0],
        jax.tree.map(lambda c: settings(factory)["scale"] * c, size),
    )


def fixed_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Fixed random sign-concordant feedback on a net of the caller's, with its noise."""
    grads = gradient(
        factory,
        p,
        lambda s: s._replace(magnitude=fed_back(p.net, jax.tree.map(jnp.abs, p.params))),
    )[0]
    yield same("frsf", "backprop at M = |W|", grads, truth(p))
    grads, state, _ = gradient(factory, p)
    negative = max((float(-m.min()) for m in jax.tree.leaves(state.magnitude)), default=0.0)
    yield small("frsf", "M is not negative: minus its smallest entry", negative, 0.0)
    yield from concordant_on_net("frsf", p, grads, state.magnitude)


def batchwise_on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Batch-wise random sign-concordant feedback on a net of the caller's, with its noise."""
    scale, drawn = settings(factory)["scale"], feedback_init(p.net, p.key, p.params, p.batch.x)
    magnitude = jax.tree.map(lambda r: scale * jnp.abs(r), drawn)
    yield from concordant_on_net("brsf", p, gradient(factory, p)[0], magnitude)


def concordant_on_net(key: str, p: Problem, grads: PyTree, magnitude: PyTree) -> Iterator[Check]:
    """Any net: feedback alignment with B = M sign(W)."""
    sent = jax.tree.map(
        lambda m, w: jnp.where(w < 0, -m, m), fed_back(p.net, magnitude), fed_back(p.net, p.params)
    )
    want = feedback_through(p, sent)
    yield same(key, "jax.grad with every error crossing B = M sign(W)", grads, want)
    yield from apart(key, p, grads)


FAMILIES = {
    "usf": Family(
        checks, on_net, credit="the signs of W", equals="all magnitudes in a layer are equal"
    ),
    "frsf": Family(
        fixed_checks, fixed_on_net, credit="the signs of W", equals="the magnitudes are those of W"
    ),
    "brsf": Family(
        batchwise_checks,
        batchwise_on_net,
        credit="the signs of W",
        equals="the magnitudes are those of W",
    ),
}
