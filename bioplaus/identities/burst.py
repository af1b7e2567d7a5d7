"""Burst-dependent plasticity: identities and negative controls. What it shares with the dendritic
microcircuit is in `dendrites.py`.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.common import (
    Check,
    Family,
    Problem,
    cosine,
    equal,
    gradient,
    large,
    problem,
    relative,
    small,
    truth,
)
from bioplaus.identities.dendrites import SIGMOID, limit, silent, symmetric, weakly_nudged
from bioplaus.losses import mse
from bioplaus.types import PyTree, RuleFactory


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be burst-dependent plasticity."""
    key = "burstprop"
    code: dict[str, Any] = {
        "nudge": 0.2,
        "slope": 1.0,
        "inhibition": 0.0,
        "baseline": 0.2,
        "tonic": 0.0,
    }
    p = problem(neuron=SIGMOID, loss=mse)
    grads, state, _ = gradient(factory, p, **code)
    hand = bursts_by_hand(p, state.feedback)
    yield equal(key, "hand-coded two-phase burst rates of sigmoids at random B", grads, hand, 1e-12)
    code["inhibition"] = 1.0
    inhibited = gradient(factory, p, **code)[0]
    yield large(
        key, "which inhibition changes, relative difference", relative(inhibited, hand), 1e-3
    )
    yield equal(
        key,
        "hand-coded, all of the baseline taken away",
        inhibited,
        bursts_by_hand(p, state.feedback, 1.0),
        1e-12,
    )
    code |= {"inhibition": 0.5, "baseline": 0.4}
    half = gradient(factory, p, **code)[0]
    name = "hand-coded, half of a baseline of 0.4 taken away"
    yield equal(key, name, half, bursts_by_hand(p, state.feedback, 0.5, 0.4), 1e-12)
    yield from silent(key, factory, inhibition=0.5)
    yield from limit(key, factory, symmetric, order=2)

    p = problem()
    backprop = truth(p)
    flat = gradient(factory, p, symmetric(p), inhibition=0.0, slope=0.01, nudge=0.1)[0]
    worst = min(cosine(g, t) for g, t in zip(flat, backprop, strict=True))
    yield small(
        key, "a flat burst probability, no inhibition: 1 - cosine to backprop", 1 - worst, 1e-5
    )
    steep = gradient(factory, p, symmetric(p), inhibition=0.0, slope=4.0, nudge=0.1)[0]
    yield large(
        key, "a steep one: 1 - cosine of the first layer", 1 - cosine(steep[0], backprop[0]), 1e-4
    )
    tonic = [gradient(factory, p, symmetric(p), tonic=t, nudge=1e-4)[0] for t in (1.0, 3.0)]
    yield equal(key, "a small nudge does not see the tonic rate", tonic[0], tonic[1], 1e-6)
    tonic = [gradient(factory, p, symmetric(p), tonic=t, nudge=1.0)[0] for t in (1.0, 3.0)]
    yield large(key, "a large one does, relative difference", relative(*tonic), 1e-3)
    # a unit whose output is 0 has no events without a tonic rate, and must not divide by them
    dead = p._replace(params=jax.tree.map(jnp.zeros_like, p.params))
    finite = [np.isfinite(g).all() for g in jax.tree.leaves(gradient(factory, dead, tonic=0.0)[0])]
    yield small(
        key, "units without events: gradients that are not finite", sum(not f for f in finite), 0
    )


def bursts_by_hand(
    p: Problem, feedback: PyTree, inhibition: float = 0.0, baseline: float = 0.2
) -> PyTree:
    """A perceptron of sigmoids with an identity readout under half the squared error, in numpy: two
    phases of burst rates.

    With the target, the readout's burst rate is that of the baseline and 0.2 of the error.
    """

    def sigma(a):
        return 1 / (1 + np.exp(-a))

    w = [jax.tree.map(np.asarray, layer) for layer in p.params]
    e = [np.asarray(p.batch.x)]
    for layer in w[:-1]:
        e.append(sigma(e[-1] @ layer["w"] + layer["b"]))
    e.append(e[-1] @ w[-1]["w"] + w[-1]["b"])
    before = baseline * e[-1]
    after = before + 0.2 * (np.asarray(p.batch.y) - e[-1])
    deltas = [before - after]
    for l in reversed(range(1, len(w))):
        b = np.asarray(feedback[l]["w"]).T
        p_before = sigma((1 - e[l]) * ((before - inhibition * before) @ b))
        p_after = sigma((1 - e[l]) * ((after - inhibition * before) @ b))
        before, after = p_before * e[l], p_after * e[l]
        deltas.insert(0, before - after)
    return tuple(
        {"w": h.T @ d / (0.2 * len(d)), "b": d.mean(0) / 0.2}
        for h, d in zip(e[:-1], deltas, strict=True)
    )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Burst-dependent plasticity on a net of the caller's, with its noise."""
    yield from weakly_nudged("burstprop", factory, p, symmetric(p), slope=4.0, inhibition=1.0)


FAMILIES = {
    "burstprop": Family(
        checks,
        on_net,
        credit="burst probabilities, by fixed random weights",
        equals="B = W and a small nudge",
    )
}
