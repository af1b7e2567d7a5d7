"""The dendritic microcircuit of a tanh perceptron, in numpy: its fixed point and its updates."""

from typing import Any, NamedTuple

import jax
import numpy as np

from bioplaus.identities.common import (
    Problem,
)
from bioplaus.types import PyTree


class Circuit(NamedTuple):
    """Settled potentials, in numpy.

    r[l]: the input of layer l. u, a: somatic and basal potentials. Of the hidden layers only, v:
    apical potentials; m, w: dendritic and somatic potentials of the interneurons.
    """

    r: list[np.ndarray]
    u: list[np.ndarray]
    a: list[np.ndarray]
    v: list[np.ndarray]
    m: list[np.ndarray]
    w: list[np.ndarray]


NUDGE, APICAL, TEACHING = 0.1, 0.4, 0.4
CIRCUIT: dict[str, Any] = {"nudge": NUDGE, "apical": APICAL, "teaching": TEACHING}


def equilibrium(p: Problem, state: Any) -> Circuit:
    """The fixed point under cross-entropy, by Euler steps of all potentials at once."""
    weight, down, lateral, cancel = (
        [jax.tree.map(np.asarray, x) for x in tree]
        for tree in (p.params, state.feedback, state.predict, state.cancel)
    )
    x, y, last = np.asarray(p.batch.x), np.asarray(p.batch.y), len(weight) - 1
    phi = [np.tanh] * last + [np.asarray]

    def potentials(u, w):
        r = [x, *(phi[l](u[l]) for l in range(last))]
        a = [r[l] @ weight[l]["w"] + weight[l]["b"] for l in range(last + 1)]
        m = [r[l + 1] @ lateral[l + 1]["w"] + lateral[l + 1]["b"] for l in range(last)]
        v = [
            phi[l + 1](u[l + 1]) @ down[l + 1]["w"].T + phi[l + 1](w[l]) @ cancel[l + 1]["w"].T
            for l in range(last)
        ]
        return Circuit(r, u, a, v, m, w)

    u = [np.zeros((len(x), layer["b"].size)) for layer in weight]
    w = [np.zeros_like(above) for above in u[1:]]
    for _ in range(400):
        c = potentials(u, w)
        odds = np.exp(c.a[last])
        goal = [c.a[l] + APICAL * c.v[l] for l in range(last)]
        goal.append(c.a[last] - NUDGE * (odds / odds.sum(-1, keepdims=True) - y))
        taught = [(1 - TEACHING) * c.m[l] + TEACHING * u[l + 1] for l in range(last)]
        u, w = (
            [0.5 * (now + then) for now, then in zip(*pair, strict=True)]
            for pair in ((u, goal), (w, taught))
        )
    return potentials(u, w)


def learned(p: Problem, c: Circuit) -> PyTree:
    """dW at the fixed point."""
    grads, last = [], len(p.net) - 1
    for l in range(last + 1):
        phi = np.tanh if l < last else np.asarray
        s = (phi(c.a[l]) - phi(c.u[l])) / (NUDGE * (APICAL * (1 - TEACHING)) ** (last - l))
        grads.append({"w": c.r[l].T @ s / len(s), "b": s.mean(0)})
    return tuple(grads)


def descended(p: Problem, state: Any, c: Circuit) -> PyTree:
    """I and the weights of P after a step of gradient descent at rate 1, at the fixed point."""
    predict: list[PyTree] = [()]
    cancel, last = [], len(p.net) - 1
    for l in range(last):
        phi, i = np.tanh if l + 1 < last else np.asarray, state.predict[l + 1]
        s = (phi(c.m[l]) - phi(c.w[l])) / len(c.m[l])
        predict.append({"w": i["w"] - c.r[l + 1].T @ s, "b": i["b"] - s.sum(0)})
        cancel.append(state.cancel[l + 1]["w"] - c.v[l].T @ phi(c.w[l]) / len(c.v[l]))
    return tuple(predict), cancel
