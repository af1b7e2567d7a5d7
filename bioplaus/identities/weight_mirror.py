"""Weight mirror: identities and negative controls.

A batch that holds every sign vector of the noise gives the mean over the noise exactly: the
feedback weights B of a linear layer move by rate sigma^2 W - decay B. So they tend to
B* = (rate sigma^2 / decay) W.
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import given, quiet, same
from bioplaus.identities.common import (
    LINEAR,
    TANH,
    Check,
    Family,
    Problem,
    by_hand,
    cosine,
    equal,
    float64,
    gradient,
    large,
    pose,
    problem,
    small,
    truth,
)
from bioplaus.identities.feedback_alignment import away, crossing, weights
from bioplaus.identities.mirror_growth import (
    DECAY,
    EXAMPLES,
    RATE,
    SIGMA,
    WIDTH,
    enumerable,
    every_sign,
    growth,
    mirrored,
    offset,
)
from bioplaus.layers import conv, dense, flattened, pooled
from bioplaus.net import drive, fire, forward, layer_key
from bioplaus.neurons import sigmoid
from bioplaus.types import RuleFactory


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the weight mirror."""
    p = problem()
    aligned = gradient(factory, p, lambda s: s._replace(feedback=p.params))[0]
    yield equal("wm", "backprop at B = W", aligned, truth(p), 1e-12)
    grads, state, _ = gradient(factory, p)
    hand = by_hand(p, lambda l, s, e: s @ state.feedback[l + 1]["w"].T)
    yield equal("wm", "hand-coded feedback alignment at random B", grads, hand, 1e-12)
    yield away("wm", grads, truth(p))

    linear, w = enumerable(LINEAR), weights(enumerable(LINEAR).params)
    for sigma in (SIGMA, 2 * SIGMA):
        before, after = mirrored(factory, linear, sigma=sigma)
        moved = [b - (1 - DECAY) * a for a, b in zip(before, after, strict=True)]
        want = [RATE * sigma**2 * v for v in w]
        yield equal(
            "wm",
            f"mean over all noise: B grows by rate sigma^2 W, sigma {sigma}",
            moved,
            want,
            1e-12,
        )
    before, after = mirrored(factory, linear, times=40)
    limit = RATE * SIGMA**2 / DECAY
    want = [limit * v + (1 - DECAY) ** 40 * (b - limit * v) for b, v in zip(before, w, strict=True)]
    yield equal(
        "wm",
        "fixed W: B - (rate sigma^2 / decay) W shrinks by (1 - decay) per step",
        after,
        want,
        1e-12,
    )
    yield large("wm", "initial B: 1 - cosine to W", 1 - cosine(before, w), 0.5)

    yield small(
        "wm",
        "noise of mean 3, centred: 1 - cosine of the growth of B to W",
        1 - cosine(growth(factory, linear, sample=offset), w),
        1e-12,
    )
    naive = growth(factory, linear, centred=False, sample=offset)
    yield large(
        "wm",
        "noise of mean 3, not centred: 1 - cosine of the growth of B to W",
        1 - cosine(naive, w),
        0.3,
    )
    plain = growth(factory, linear, centred=False)
    yield equal(
        "wm",
        "noise of mean 0, not centred: B grows by sigma^2 W in the mean",
        plain,
        [SIGMA**2 * v for v in w],
        1e-12,
    )
    yield from _sigmoid_units(factory)
    yield from images(factory)
    yield from gates(factory)


def _sigmoid_units(factory: RuleFactory) -> Iterator[Check]:
    """The growth of B under units that are not linear."""
    curved = enumerable(sigmoid())
    hidden = [weights(curved.params)[0], growth(factory, curved, sigma=0.1)[0]]
    yield small(
        "wm", "sigmoid units: 1 - cosine of the growth of B to W", 1 - cosine(*hidden), 1e-3
    )
    drawn = [
        growth(factory, curved, sigma=0.1, centred=c, sample=jax.random.normal)[0]
        for c in (False, True)
    ]
    bad, good = (1 - cosine(d, hidden[0]) for d in drawn)
    yield large(
        "wm", "sigmoid units, Gaussian noise: 1 - cosine not centred over centred", bad / good, 2.0
    )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """The weight mirror on a net of the caller's.

    In the mirror phase, the only noise is that of the rule.
    """
    yield from crossing("wm", factory, p)
    p = quiet(p)
    inputs = forward(p.net, p.params, p.batch.x, p.key).inputs
    draw = np.random.default_rng(2)
    xi = [jnp.asarray(draw.standard_normal(x.shape)) for x in inputs]

    def mirror(params):
        """The mean of <response to xi, a_l>: its gradient by W_l is the growth of B_l."""
        total = 0.0
        for l in range(1, len(p.net)):
            a = drive(p.net[l], params[l], SIGMA * xi[l], layer_key(p.key, l))
            r = jax.lax.stop_gradient(fire(p.net[l], a, layer_key(p.key, l)))
            total += jnp.sum((r - r.mean(0)) * a) / r[..., 0].size
        return total

    if len(p.net) > 1:
        rule = factory(p.net, p.loss, rate=RATE, decay=DECAY, sigma=SIGMA, sample=given(xi[1:]))
        state = float64(rule.init(jax.random.key(6), p.params, p.batch))
        after = jax.jit(rule.grad)(p.params, state, p.batch, p.key)[1]
        moved = jax.tree.map(
            lambda b, a: b - (1 - DECAY) * a if a.ndim > 1 else b - a,
            after.feedback,
            state.feedback,
        )
        want = jax.tree.map(
            lambda g: RATE * g if g.ndim > 1 else 0 * g, jax.jit(jax.grad(mirror))(p.params)[1:]
        )
        yield same(
            "wm", "B grows by noise times the response r to it, jax.grad of <r, a>", moved[1:], want
        )
        yield large(
            "wm",
            "B grows towards W: cosine, best layer",
            max(cosine(m, w) for m, w in zip(moved[1:], p.params[1:], strict=True)),
            0.01,
        )


def images(factory: RuleFactory) -> Iterator[Check]:
    """Convolutions, by all sign vectors; and pooling, which gives noise a mean, by 2000 draws."""
    p = pose(
        (conv(WIDTH, 1, LINEAR), conv(3, 1, LINEAR), flattened(dense(2))), (EXAMPLES, 2, 3, 2), 2
    )
    found, want = growth(factory, p)[0], SIGMA**2 * weights(p.params)[0]
    yield equal(
        "wm",
        "convolution: B grows by sigma^2 W in the mean over noise and positions",
        found,
        want,
        1e-12,
    )

    net = (conv(2, 3, TANH), pooled(2, conv(3, 2, TANH)), flattened(dense(4)))
    p = pose(net, (8, 8, 8, 2), 4)
    w = weights(p.params)

    found, naive = (
        growth(factory, p, times=250, sigma=0.1, sample=jax.random.normal, centred=c)
        for c in (True, False)
    )
    for l, name in enumerate(("max pooling and convolution", "flattened")):
        yield small(
            "wm", f"{name}: 1 - cosine of the growth of B to W", 1 - cosine(found[l], w[l]), 0.05
        )
    yield large(
        "wm",
        "max pooling, not centred: 1 - cosine of the growth of B to W",
        1 - cosine(naive[0], w[0]),
        0.3,
    )
    ratio = jnp.linalg.norm(found[1]) / jnp.linalg.norm(w[1])
    yield small(
        "wm",
        "flattened: |growth / (250 7/8 sigma^2 |W|) - 1|",
        abs(ratio / (250 * 0.01 * 7 / 8) - 1),
        0.1,
    )


def gates(factory: RuleFactory) -> Iterator[Check]:
    """A gate weights each example's part of the growth."""
    p = enumerable(LINEAR)
    g = jnp.linspace(0.0, 2.0, EXAMPLES)
    xi = SIGMA * every_sign(p.key, (EXAMPLES, WIDTH), jnp.float64)
    want = []
    for w in weights(p.params):
        r = xi @ w  # the mean over all signs is zero, and centring removes the bias
        want.append((xi * g[:, None]).T @ r / EXAMPLES)
    yield equal(
        "wm",
        "gates of examples: B grows by the hand-coded mean",
        growth(factory, p, gate=g),
        want,
        1e-12,
    )
    before, after = mirrored(factory, p, rate=0.0, gate=0.5 * g)
    yield equal(
        "wm",
        "gates of examples: the decay of B is weighted by their mean",
        after,
        [(1 - DECAY / 2) * b for b in before],
        1e-12,
    )
    before, after = mirrored(factory, p, gate=0.0)
    yield equal("wm", "a closed gate stops B", after, before, 0.0)
    units = jnp.broadcast_to(jnp.array([1.0, 0.0]), (EXAMPLES, 2))
    after = mirrored(factory, p, gate=(None, None, units))[1][-1]
    yield equal("wm", "a closed unit keeps its B", after[:, 1], before[-1][:, 1], 0.0)
    yield equal(
        "wm",
        "an open unit learns as without gates",
        after[:, 0],
        mirrored(factory, p)[1][-1][:, 0],
        1e-12,
    )


FAMILIES = {
    "wm": Family(checks, on_net, credit="weights B that noise through W teaches", equals="B = W")
}
