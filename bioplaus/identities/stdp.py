"""Spike-timing-dependent plasticity: identities and negative controls.

Changes of weights are compared with sums over all pairs and triplets of spikes, which
`stdp_by_hand.py` takes in loops, and with what is expected of independent trains.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import apart
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    equal,
    large,
    pose,
    relative,
    small,
    truth,
)
from bioplaus.identities.stdp_by_hand import Curve, changes, rewarded, thresholds
from bioplaus.identities.stdp_drift import drift_checks
from bioplaus.identities.stdp_on_net import on_net
from bioplaus.layers import after, dense, mean_over_time, over_time, recurrent
from bioplaus.losses import at_each_moment, cross_entropy
from bioplaus.net import forward
from bioplaus.neurons import leaky, lif
from bioplaus.types import Batch, Layer, PyTree, RuleFactory

DT, T = 2.0, 9
TRIPLETS = {
    "potentiation": 0.3,
    "depression": 0.2,
    "triplet_potentiation": 0.5,
    "triplet_depression": 0.4,
    "tau_plus": 16.8,
    "tau_minus": 33.7,
    "tau_x": 101.0,
    "tau_y": 125.0,
}
PAIRS = TRIPLETS | {"triplet_potentiation": 0.0, "triplet_depression": 0.0}
LASTING = 12.0  # ms, of the eligibility
PLUS, SLOW = 0.3, 40.0  # of theta: per spike, and ms
RAGGED = (4, 1, 4)  # moments in each piece of a stream


def small_net(readout: Layer, *bound: Any) -> tuple[Layer, ...]:
    """A layer that hears itself, and one above it. bound: their thresholds, 1 by default."""
    first, second = bound or (1.0, 1.0)
    return (
        recurrent(dense(4, lif(10.0, threshold=first)), dense(4), dt=DT),
        over_time(dense(3, lif(threshold=second)), dt=DT),
        readout,
    )


def curve(numbers: dict[str, float], nearest: bool = False) -> Curve:
    return Curve(*numbers.values(), dt=DT, nearest=nearest)


POOLED = after(mean_over_time, dense(3))


@functools.cache
def posed(at_moments: bool = False) -> Problem:
    """The net above on spikes; it answers once, or at each moment."""
    readout = over_time(dense(3, leaky()), dt=DT) if at_moments else POOLED
    loss = at_each_moment(cross_entropy) if at_moments else cross_entropy
    draw = np.random.default_rng(4)
    p = pose(small_net(readout), (3, T, 5), 3, loss, gain=2.0)
    x = jnp.asarray(draw.random((3, T, 5)) < 0.5, float)
    y = p.batch.y if not at_moments else jnp.asarray(np.eye(3)[draw.integers(0, 3, (3, T))])
    return p._replace(batch=Batch(x, y))


class Called(NamedTuple):
    """grads, the thresholds after the call, and the answer that the rule gives at those before."""

    grads: PyTree
    theta: PyTree
    answer: Any


def caller(factory: RuleFactory, p: Problem, **static: Any) -> Callable[..., Called]:
    """(hyperparameters, gate, theta) -> Called, compiled once."""

    @jax.jit
    def call(params, batch, numbers, gate, theta):
        rule = factory(p.net, p.loss, **numbers, **static)
        state = rule.init(p.key, params, batch)
        state = state if theta is None else state._replace(theta=theta)
        grads, later, _ = rule.grad(params, state, batch, p.key, gate)
        return Called(grads, later.theta, rule.predict(params, state, batch.x, p.key))

    return lambda numbers, gate=None, theta=None: call(p.params, p.batch, numbers, gate, theta)


def by_loops(p: Problem, curve: Curve, lasting: float, factor: Any = None) -> list[np.ndarray]:
    """-dW of every weight of the hidden layers; factor: M [B, T, 1], 1 for None."""
    trace = forward(p.net, p.params, p.batch.x, p.key)
    found = []
    for x, heard, z in zip(trace.inputs[:-1], trace.heard, trace.outputs, strict=False):
        sent = np.asarray(z)
        third = np.ones_like(sent) if factor is None else np.broadcast_to(factor, sent.shape)
        for pre in (x, *([] if isinstance(heard, tuple) else [heard])):
            found.append(-rewarded(changes(np.asarray(pre), sent, curve), third, lasting))
    return found


def weights(grads: PyTree) -> list[np.ndarray]:
    """Of the hidden layers, in the order of `by_loops`."""
    first, second, _ = grads
    return [np.asarray(a["w"]) for a in (first["in"], first["back"], second)]


def biases(grads: PyTree) -> list[np.ndarray]:
    first, second, _ = grads
    return [np.asarray(a["b"]) for a in (first["in"], first["back"], second)]


def by_loops_checks(key: str, factory: RuleFactory, lasting: float) -> Iterator[Check]:
    """Every weight against sums over spikes; the readout against backprop."""
    p, other = posed(), {"tau_plus": 20.0}
    call = caller(factory, p)
    got = call(TRIPLETS)
    want = every = by_loops(p, curve(TRIPLETS), lasting)
    name = "dW equals the sum over all triplets of spikes"
    yield equal(key, name, weights(got.grads), want, 1e-12)
    wrong = by_loops(p, curve(TRIPLETS | other), lasting)
    gap = relative(weights(got.grads), wrong)
    yield large(key, "another tau_plus: relative difference", gap, 1e-2)
    size = max(np.abs(b).max() for b in biases(got.grads))
    yield small(key, "biases do not learn: largest change", size, 0.0)
    yield equal(key, "the readout equals backprop", got.grads[-1], truth(p)[-1], 1e-12)
    yield from apart(key, p, got.grads)
    got, want = call(PAIRS), by_loops(p, curve(PAIRS), lasting)
    yield equal(key, "pairs: dW equals the sum over all pairs", weights(got.grads), want, 1e-12)
    got = caller(factory, p, nearest=True)(TRIPLETS)
    want = by_loops(p, curve(TRIPLETS, True), lasting)
    yield equal(key, "nearest: dW equals the sum over last spikes", weights(got.grads), want, 1e-12)
    gap = relative(weights(got.grads), every)
    yield large(key, "nearest: differs from all spikes: relative difference", gap, 1e-2)


def threshold_checks(key: str, factory: RuleFactory) -> Iterator[Check]:
    """A gain of 1 / (1 + theta) is a threshold of 1 + theta."""
    p, draw = posed(), np.random.default_rng(2)
    theta = tuple(jnp.asarray(draw.uniform(0.2, 0.9, n)) for n in (4, 3))
    numbers = TRIPLETS | {"theta_plus": PLUS, "tau_theta": SLOW}
    call = caller(factory, p)
    got = call(numbers, None, theta)
    q = p._replace(net=small_net(POOLED, *(1 + a for a in theta)))
    want = caller(factory, q)(numbers)
    name = "thresholds by gains equal thresholds by hand: "
    yield equal(key, name + "dW", weights(got.grads), weights(want.grads), 1e-12)
    yield equal(key, name + "the answer", got.answer, want.answer, 1e-12)
    plain = call(numbers)
    gap = relative(weights(plain.grads), weights(want.grads))
    yield large(key, "without thresholds: dW, relative difference", gap, 1e-2)
    gap = relative(plain.answer, want.answer)
    yield large(key, "without thresholds: the answer, relative difference", gap, 1e-2)
    sent = [np.asarray(z) for z in forward(q.net, q.params, q.batch.x, q.key).outputs[:-1]]
    fade = float(np.exp(-DT / SLOW))
    hand = [thresholds(np.asarray(a), z, PLUS, fade) for a, z in zip(theta, sent, strict=True)]
    yield equal(key, "theta rises with spikes and decays", list(got.theta), hand, 1e-12)


def stream_checks(key: str, factory: RuleFactory, lasting: dict[str, Any]) -> Iterator[Check]:
    """Pieces of a stream add up to the whole sequence."""
    p = posed(True)
    gate = jnp.asarray(np.random.default_rng(5).standard_normal((3, T, 1)))
    rule = factory(p.net, p.loss, **TRIPLETS, **lasting)
    state = rule.init(p.key, p.params, p.batch)
    want = jax.jit(rule.grad)(p.params, state, p.batch, p.key, gate)[0]
    assert rule.stream is not None
    grad = jax.jit(rule.stream.grad)
    start = rule.stream.init(p.key, p.params, p.batch)

    def summed(lengths, forgets=False):
        state, total, t = start, jax.tree.map(jnp.zeros_like, p.params), 0
        for k in lengths:
            piece = Batch(p.batch.x[:, t : t + k], p.batch.y[:, t : t + k])
            state = state._replace(traces=(start.traces[0], state.traces[1])) if forgets else state
            got, state, _ = grad(p.params, state, piece, p.key, gate[:, t : t + k])
            total, t = jax.tree.map(jnp.add, total, got), t + k
        return total

    for name, lengths in (("pieces of 1", (1,) * T), ("ragged pieces", RAGGED)):
        got, name = summed(lengths), f"{name} of a stream equal the whole: "
        yield equal(key, name + "dW", weights(got), weights(want), 1e-12)
        yield equal(key, name + "readout", got[-1], want[-1], 1e-12)
    gap = relative(weights(summed(RAGGED, True)), weights(want))
    yield large(key, "ragged pieces without traces between: relative difference", gap, 1e-2)


def reward_checks(key: str, factory: RuleFactory) -> Iterator[Check]:
    """The gate is the third factor, which meets the eligibility."""
    p = posed()
    numbers = TRIPLETS | {"tau_eligibility": LASTING}
    gate = np.random.default_rng(6).standard_normal((3, T, 1))
    call = caller(factory, p)
    open_, lasting = (None,), float(np.exp(-DT / LASTING))
    got = call(numbers, (gate, gate, *open_)).grads
    want = by_loops(p, curve(TRIPLETS), lasting, gate)
    yield equal(key, "dW equals sum_t M_t e_t over triplets", weights(got), want, 1e-12)
    alone = by_loops(p, curve(TRIPLETS), 0.0, gate)
    gap = relative(weights(got), alone)
    yield large(key, "without eligibility: relative difference", gap, 1e-2)
    late = np.zeros((3, T, 1))
    late[:, -1] = 1
    got = call(numbers, (late, late, *open_)).grads
    want = by_loops(p, curve(TRIPLETS), lasting, late)
    yield equal(
        key, "a reward at the end meets what is left of all pairs", weights(got), want, 1e-12
    )
    none = call(numbers, (np.zeros(3), np.zeros(3), *open_)).grads
    size = max(np.abs(a).max() for a in weights(none))
    yield small(key, "R = 0: largest change", size, 0.0)
    size = min(np.abs(a).max() for a in weights(got))
    yield large(key, "R = 1 at the end: smallest change", size, 1e-3)
    brief = call(TRIPLETS | {"tau_eligibility": 1e-3}).grads
    want = by_loops(p, curve(TRIPLETS), 0.0)
    yield equal(key, "tau_eligibility -> 0 and M = 1: equals stdp", weights(brief), want, 1e-12)


def stdp_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be spike-timing-dependent plasticity."""
    yield from by_loops_checks("stdp", factory, 0.0)
    yield from threshold_checks("stdp", factory)
    yield from drift_checks("stdp", factory, {"pairs": PAIRS, "triplets": TRIPLETS})
    yield from stream_checks("stdp", factory, {})


def rstdp_checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be its rewarded form."""
    lasting = functools.partial(factory, tau_eligibility=LASTING)
    yield from by_loops_checks("rstdp", lasting, float(np.exp(-DT / LASTING)))
    yield from reward_checks("rstdp", factory)
    yield from threshold_checks("rstdp", factory)
    yield from stream_checks("rstdp", factory, {"tau_eligibility": LASTING})


FAMILIES = {
    "stdp": Family(
        stdp_checks,
        functools.partial(on_net, "stdp"),
        credit="nothing",
        equals="never, but for the readout",
    ),
    "rstdp": Family(
        rstdp_checks,
        functools.partial(on_net, "rstdp"),
        credit="a reward for all synapses, when it comes",
        equals="never, but for the readout",
    ),
}
