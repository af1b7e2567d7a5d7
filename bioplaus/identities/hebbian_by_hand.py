"""The updates of Hebbian and competitive rules, written out once for any net.

The product of presynaptic and postsynaptic activity is `jax.grad` of <s, a(x) - a(m)>: s is the
postsynaptic signal, a(x) the current of a layer at its input x, and m the running mean of x.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.common import (
    Problem,
)
from bioplaus.layers import dense
from bioplaus.losses import cross_entropy
from bioplaus.net import drive, forward, layer_key
from bioplaus.rules.competitive import repelling
from bioplaus.rules.shared.unsupervised import FIRING
from bioplaus.types import Batch, Layer, PyTree, RuleFactory


def equation(key: str, p: Problem, mean: Any, theta: Any, hyper: dict[str, Any]) -> list[PyTree]:
    """The gradients that the rule should return for the hidden layers.

    theta: the thresholds of bcm; hyper: the hyperparameters of the rule.
    """
    trace, grads, b = forward(p.net, p.params, p.batch.x, p.key), [], len(p.batch.y)
    for l, (layer, w) in enumerate(zip(p.net[:-1], p.params[:-1], strict=True)):
        k = layer_key(p.key, l)

        h = np.asarray(mean_moment(layer, trace.outputs[l]))

        def current(w, layer=layer, k=k, l=l):
            m = mean[l][None] if layer.time is None else mean[l][None, None]
            x = mean_moment(layer, trace.inputs[l])
            return drive(layer, w, x, k), drive(layer, w, m, k)

        a, rest = (np.asarray(v) for v in current(w))
        u = a - rest
        s = h if key == "hebb" else SIGNALS[key](u, theta[l] if theta else None, hyper)
        product = pre_and_post(lambda w, current=current: jnp.subtract(*current(w)), w, s / b)
        rows = [v.reshape(-1, v.shape[-1]) for v in (u, s)]
        m = MATRICES[key](rows[0].T @ rows[1] / b, hyper) / hyper.get("length", 1.0) ** 2

        drift = h - FIRING if layer.neuron.spikes else rest

        def descended(v, g, m=m, drift=drift):
            if v.ndim == 1:
                return hyper["homeostasis"] * drift.reshape(-1, len(v)).mean(0)
            norm = np.sqrt((np.asarray(v) ** 2).sum(tuple(range(v.ndim - 1))))
            pace = np.abs(norm / hyper["length"] - 1) ** hyper["power"] if key == "softhebb" else 1
            return -(g - np.tensordot(np.asarray(v), m, 1)) * pace

        grads.append(jax.tree.map(descended, w, product))
    return grads


def mean_moment(layer: Layer, a: jax.Array) -> jax.Array:
    """Over time one moment, the mean of all: [B, T, ...] -> [B, 1, ...]."""
    return a if layer.time is None else a.mean(1, keepdims=True)


def pre_and_post(current: Callable[[PyTree], jax.Array], w: PyTree, s: np.ndarray) -> PyTree:
    """The derivative of <s, a(x) - a(m)>, compiled as one program."""
    return jax.jit(jax.grad(lambda w: jnp.sum(s * current(w))))(w)


def shares(u: np.ndarray, theta: np.ndarray, hyper: dict[str, Any]) -> np.ndarray:
    """Softmax activities. With `repelling`, those of all units but the winner are negative."""
    e = np.exp((u - u.max(-1, keepdims=True)) / hyper["temperature"])
    sign = np.where((e == 1) | (hyper["competition"] is not repelling), 1, -1)
    return sign * e / e.sum(-1, keepdims=True)


def ranked(u: np.ndarray, theta: np.ndarray, hyper: dict[str, Any]) -> np.ndarray:
    """1 for the most active unit, -delta for the one of rank k, 0 for the others."""
    place = np.argsort(np.argsort(-u, -1), -1)
    return np.where(place == 0, 1.0, np.where(place == hyper["rank"] - 1, -hyper["delta"], 0.0))


SIGNALS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("oja", "sanger"), lambda u, theta, hyper: u),
    "bcm": lambda u, theta, hyper: u * (u - theta),
    "softhebb": shares,
    "krotov": ranked,
}


MATRICES: dict[str, Callable[..., Any]] = {
    "hebb": lambda m, hyper: hyper["inhibition"] * m,
    "oja": lambda m, hyper: m,
    "sanger": lambda m, hyper: np.triu(m),
    "bcm": lambda m, hyper: 0 * m,
    "softhebb": lambda m, hyper: (
        np.diag(np.diag(m)) + (hyper["inhibition"] or 0) * (m - np.diag(np.diag(m)))
    ),
    "krotov": lambda m, hyper: np.diag(np.diag(m)),
}


def update(factory: RuleFactory, p: Problem, **hyper: Any) -> tuple[PyTree, PyTree, PyTree]:
    """One update at a random state: the gradients, and the state before and after it."""
    rule, draw = factory(p.net, p.loss, **hyper), np.random.default_rng(9)
    state = jax.tree.map(
        lambda a: jnp.asarray(0.3 * draw.standard_normal(a.shape)),
        rule.init(p.key, p.params, p.batch),
    )
    grads, after, _ = jax.jit(rule.grad)(p.params, state, p.batch, p.key)
    return grads, state, after


def learned(
    factory: RuleFactory,
    x: np.ndarray,
    units: int,
    steps: int,
    rate: float,
    seed: int = 2,
    **hyper: Any,
) -> tuple[np.ndarray, PyTree]:
    """The weights of a linear hidden layer after learning from one batch, and the rule's state."""
    net, draw = (dense(units), dense(2)), np.random.default_rng(seed)
    params = tuple(
        {"w": jnp.asarray(0.4 * draw.standard_normal(s)), "b": jnp.zeros(s[1])}
        for s in ((x.shape[1], units), (units, 2))
    )
    batch = Batch(jnp.asarray(x), jnp.asarray(np.eye(2)[np.arange(len(x)) % 2]))
    rule = factory(net, cross_entropy, **hyper)

    def body(carry, _):
        grads, state, _ = rule.grad(carry[0], carry[1], batch, jax.random.key(0))
        return (jax.tree.map(lambda w, g: w - rate * g, carry[0], grads), state), None

    run = jax.jit(lambda c: jax.lax.scan(body, c, length=steps)[0])
    params, state = run((params, rule.init(jax.random.key(1), params, batch)))
    return np.asarray(params[0]["w"]), state
