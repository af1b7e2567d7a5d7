"""Burst-dependent plasticity: identities and negative controls.

`dendrites.py` holds the checks that it shares with the dendritic microcircuit.
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
    yield equal(key, "hand-coded burst rates in two phases, random B", grads, hand, 1e-12)
    code["inhibition"] = 1.0
    inhibited = gradient(factory, p, **code)[0]
    yield large(
        key, "inhibition changes the update: relative difference", relative(inhibited, hand), 1e-3
    )
    yield equal(
        key,
        "hand-coded burst rates, inhibition takes all of the baseline",
        inhibited,
        bursts_by_hand(p, state.feedback, 1.0),
        1e-12,
    )
    code |= {"inhibition": 0.5, "baseline": 0.4}
    half = gradient(factory, p, **code)[0]
    name = "hand-coded burst rates, inhibition takes half of a baseline of 0.4"
    yield equal(key, name, half, bursts_by_hand(p, state.feedback, 0.5, 0.4), 1e-12)
    yield from silent(key, factory, inhibition=0.5)
    yield from limit(key, factory, symmetric, order=2)
    yield from _probabilities(key, factory)


def _probabilities(key: str, factory: RuleFactory) -> Iterator[Check]:
    """Burst probabilities that are flat or steep, tonic rates, and units without events."""
    p = problem()
    backprop = truth(p)
    flat = gradient(factory, p, symmetric(p), inhibition=0.0, slope=0.01, nudge=0.1)[0]
    worst = min(cosine(g, t) for g, t in zip(flat, backprop, strict=True))
    yield small(
        key,
        "flat burst probability, no inhibition: 1 - cosine to backprop, worst layer",
        1 - worst,
        1e-5,
    )
    steep = gradient(factory, p, symmetric(p), inhibition=0.0, slope=4.0, nudge=0.1)[0]
    yield large(
        key,
        "steep burst probability, no inhibition: 1 - cosine to backprop, first layer",
        1 - cosine(steep[0], backprop[0]),
        1e-4,
    )
    tonic = [gradient(factory, p, symmetric(p), tonic=t, nudge=1e-4)[0] for t in (1.0, 3.0)]
    yield equal(key, "the tonic rate does not matter at nudge 1e-4", tonic[0], tonic[1], 1e-6)
    tonic = [gradient(factory, p, symmetric(p), tonic=t, nudge=1.0)[0] for t in (1.0, 3.0)]
    yield large(
        key, "the tonic rate matters at nudge 1: relative difference", relative(*tonic), 1e-3
    )
    # A unit whose output is 0 has no events without a tonic rate: nothing divides by them.
    dead = p._replace(params=jax.tree.map(jnp.zeros_like, p.params))
    finite = [np.isfinite(g).all() for g in jax.tree.leaves(gradient(factory, dead, tonic=0.0)[0])]
    yield small(
        key,
        "units without events: number of gradients that are not finite",
        sum(not f for f in finite),
        0,
    )


def bursts_by_hand(
    p: Problem, feedback: PyTree, inhibition: float = 0.0, baseline: float = 0.2
) -> PyTree:
    """Gradients from burst rates in two phases, in numpy.

    The net is a perceptron of sigmoids with an identity readout, under half the squared error. In
    the second phase the burst rates of the readout add 0.2 (target - output) to those of the first.
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
        recurrent="bursts carry errors from layer to layer and not through a layer's own past, so"
        " that it is not backprop through time at B = W",
    )
}
