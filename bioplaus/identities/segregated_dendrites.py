"""Segregated dendrites with plateau potentials: identities and negative controls.

B: feedback weights. rho: rate of an output neuron, peak sigmoid(slope (potential - threshold)).
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bioplaus.identities.any_net import apart, locally, same, settings
from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    equal,
    gradient,
    large,
    pose,
    problem,
    small,
    steps,
    truth,
    worst_cosine,
)
from bioplaus.identities.dendrites import largest, without_teaching
from bioplaus.identities.feedback_alignment import away
from bioplaus.layers import dense, over_time
from bioplaus.losses import at_each_moment, mse
from bioplaus.net import forward
from bioplaus.neurons import leaky
from bioplaus.pools import of_sequence
from bioplaus.rules.direct_feedback_alignment import direct_feedback_alignment
from bioplaus.types import Batch, PyTree, RuleFactory

KEY = "guerguiev"
TAU_IN, TAU_OUT = 3.0, 5.0
SOMA: dict[str, Any] = {"nudge": 0.7, "peak": 2.0, "slope": 1.5, "threshold": 0.3}


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be the rule of Guerguiev, Lillicrap and Richards."""
    p = problem()
    grads, state, _ = gradient(factory, p, **SOMA)
    yield equal(
        KEY, "the paper's equations in numpy, random B", grads, in_numpy(p, state.feedback), 1e-12
    )
    yield away(KEY, grads, truth(p))
    yield from _phases(factory)
    yield from _limit(factory, p)
    quiet = largest(gradient(factory, without_teaching(p))[0])
    yield small(KEY, "no teacher: largest gradient", quiet, 1e-15)
    doubled = gradient(factory, p, **SOMA, scale=2.0)[1].feedback
    want = jax.tree.map(lambda b: 2.0 * b, state.feedback)
    yield equal(KEY, "scale multiplies B", doubled, want, 1e-12)
    rule = factory(p.net, p.loss)
    params, after = steps(rule, p, state, optax.sgd(1.0), 30)
    yield equal(KEY, "B unchanged after 30 steps", after.feedback, state.feedback, 0.0)
    before, now = (loss_of(p, w) for w in (p.params, params))
    yield small(KEY, "the loss after 30 steps over that before", now / before, 0.8)


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """A net of the caller's, with its noise."""
    grads, state, _ = gradient(factory, p)
    want = targets_grad(p, state.feedback, settings(factory))
    name = "jax.grad of <output, alpha - alpha'> of each layer at fixed plateaus, random B"
    yield same(KEY, name, grads, want)
    yield from apart(KEY, p, grads)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + jnp.exp(-x))


def rho(u: Any, soma: dict[str, Any]) -> Any:
    return soma["peak"] * sigmoid(soma["slope"] * (u - soma["threshold"]))


def rho_slope(u: Any, soma: dict[str, Any]) -> Any:
    return soma["slope"] * rho(u, soma) * (1 - rho(u, soma) / soma["peak"])


def loss_of(p: Problem, params: PyTree) -> float:
    return float(p.loss(forward(p.net, params, p.batch.x, p.key).output, p.batch.y).mean())


def targets_grad(p: Problem, feedback: PyTree, soma: dict[str, Any]) -> PyTree:
    """Each layer alone by `jax.grad`: half the squared distance of the mean output of hidden
    neurons to a target that is alpha' - alpha away, and of the output's mean rate to the taught
    one."""
    trace = forward(p.net, p.params, p.batch.x, p.key)
    o = trace.output
    u = o - soma["nudge"] * jax.grad(lambda o: p.loss(o, p.batch.y).sum())(o)

    def mean(layer, h):
        h = of_sequence(p.net, layer, h)
        return h.mean(1) if layer.time is not None and p.net[-1].time is not None else h

    rates = [mean(p.net[-1], rho(each, soma)) for each in (o, u)]

    def alone(params):
        total = 0.0
        for l, layer in enumerate(p.net):
            h = mean(layer, locally(p, l, params[l], trace.inputs[l]))
            if l < len(feedback):
                free, taught = (sigmoid(jnp.tensordot(r, feedback[l], 1)) for r in rates)
                goal = jax.lax.stop_gradient(h) + taught - free
            else:
                h, goal = rho(h, soma), rates[1]
            total += jnp.sum((goal - h) ** 2) / 2
        return total / len(o)

    return jax.jit(jax.grad(alone))(p.params)


# --- In numpy


def in_numpy(p: Problem, feedback: PyTree) -> PyTree:
    """A tanh perceptron under cross-entropy."""
    h = [np.asarray(p.batch.x)]
    for w in p.params[:-1]:
        h.append(np.tanh(h[-1] @ np.asarray(w["w"]) + np.asarray(w["b"])))
    o = h[-1] @ np.asarray(p.params[-1]["w"]) + np.asarray(p.params[-1]["b"])
    odds = np.exp(o)
    u = o - SOMA["nudge"] * (odds / odds.sum(-1, keepdims=True) - np.asarray(p.batch.y))
    free, taught = np.asarray(rho(o, SOMA)), np.asarray(rho(u, SOMA))
    signals = [
        (1 - a**2) * np.asarray(sigmoid(free @ b) - sigmoid(taught @ b))
        for a, b in zip(h[1:], feedback, strict=True)
    ]
    signals.append((free - taught) * np.asarray(rho_slope(o, SOMA)))
    return tuple({"w": x.T @ s / len(o), "b": s.mean(0)} for x, s in zip(h, signals, strict=True))


def phases() -> tuple[Problem, np.ndarray]:
    """A layer of leaky neurons and a leaky readout, 7 moments of which some are asked."""
    net = (over_time(dense(4, leaky(TAU_IN))), over_time(dense(3, leaky(TAU_OUT))))
    p = pose(net, (3, 7, 5), 3, at_each_moment(mse), gain=2.0)
    draw = np.random.default_rng(4)
    asked = draw.random((3, 7)) < 0.6
    y = jnp.asarray(draw.standard_normal((3, 7, 3)))
    return p._replace(batch=Batch(p.batch.x, y, asked=jnp.asarray(asked))), asked


def _phases(factory: RuleFactory) -> Iterator[Check]:
    p, asked = phases()
    grads, state, _ = gradient(factory, p, **SOMA)
    feedback = np.asarray(state.feedback[0])
    name = "the paper's equations in numpy, two phases of 7 moments, some of them asked"
    yield equal(KEY, name, grads, by_moments(p, asked, feedback), 1e-12)
    everywhere = by_moments(p, np.ones_like(asked), feedback)
    gap = max(_gap(grads, everywhere))
    yield large(KEY, "the same with all moments asked: relative difference", gap, 0.1)
    each = by_moments(p, asked, feedback, plateau=False)
    yield large(
        KEY, "the same with a potential at each moment, not a plateau", _gap(grads, each)[0], 0.01
    )


def _gap(a: PyTree, b: PyTree) -> list[float]:
    """Relative differences of the weights of each layer."""
    pairs = ((np.asarray(u["w"]), np.asarray(v["w"])) for u, v in zip(a, b, strict=True))
    return [float(np.linalg.norm(u - v) / np.linalg.norm(v)) for u, v in pairs]


def by_moments(p: Problem, asked: np.ndarray, feedback: np.ndarray, plateau: bool = True) -> PyTree:
    """Potentials, moment by moment; then rates and plateaus of the two phases. plateau: false for
    a signal at each moment, whose sigmoid is taken before the mean."""

    def low_passed(x, tau):
        k, now, found = np.exp(-1 / tau), np.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            now = k * now + (1 - k) * x[:, t]
            found.append(now)
        return np.stack(found, 1)

    def with_bias(h):
        return np.concatenate([h, np.ones_like(h[..., :1])], -1)

    x, y = np.asarray(p.batch.x), np.asarray(p.batch.y)
    h, inputs = x, []
    for w, tau in zip(p.params, (TAU_IN, TAU_OUT), strict=True):
        inputs.append(low_passed(with_bias(h), tau))
        h = inputs[-1] @ np.concatenate([np.asarray(w["w"]), np.asarray(w["b"])[None]])
    weight = (asked / asked.sum(1, keepdims=True))[..., None]
    u = h - SOMA["nudge"] * asked[..., None] * (h - y)
    free, taught, at = np.asarray(rho(h, SOMA)), np.asarray(rho(u, SOMA)), (weight * h).sum(1)
    if plateau:
        means = [(weight * r).sum(1) for r in (free, taught)]
        s = np.asarray(sigmoid(means[0] @ feedback) - sigmoid(means[1] @ feedback))[:, None]
    else:
        s = np.asarray(sigmoid(free @ feedback) - sigmoid(taught @ feedback))
    wrong = np.asarray(rho(at, SOMA) - (weight * taught).sum(1)) * np.asarray(rho_slope(at, SOMA))
    grads = []
    for inner, signal in zip(inputs, (weight * s, weight * wrong[:, None]), strict=True):
        total = np.einsum("bti,btj->ij", inner, signal) / len(x)
        grads.append({"w": total[:-1], "b": total[-1]})
    return tuple(grads)


# --- The limit


def _limit(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """A weak teacher and weak feedback: direct feedback alignment of the error rho'(o) e."""
    weak, scale = 1e-6, 1e-3
    soma: dict[str, Any] = {**SOMA, "nudge": weak}

    def weighted(output, y):
        error = jax.grad(lambda o: p.loss(o, y).sum())(output)
        return (jax.lax.stop_gradient(rho_slope(output, SOMA) * error) * output).sum(-1)

    grads, state, _ = gradient(factory, p, **soma, scale=scale)
    direct = gradient(
        direct_feedback_alignment,
        p._replace(loss=weighted),
        lambda s: s._replace(feedback=state.feedback),
    )[0]
    want = jax.tree.map(lambda g: weak / 4 * g, direct[:-1])
    name = "a weak teacher and small B: direct feedback alignment of rho'(o) e, over 4 / nudge"
    yield equal(KEY, name, grads[:-1], want, 1e-3)
    for scale, check in ((1.0, small), (30.0, large)):
        found = gradient(factory, p, **SOMA, scale=scale)[0]
        name = f"a strong teacher, scale {scale:g}: 1 - cosine to it, worst layer"
        yield check(KEY, name, 1 - worst_cosine(found[:-1], direct[:-1]), 0.1)


FAMILIES = {
    KEY: Family(
        checks,
        on_net,
        credit="plateau potentials, by fixed random weights from the output's rates",
        equals="never: that of direct feedback alignment, with a weighted error, for weak teachers",
    )
}
