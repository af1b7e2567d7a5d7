"""Equilibrium propagation against its energy Phi, without the library's layers and sweeps.

A linear net under half the squared error has its equilibrium in closed form at every nudge, real or
complex. For a net with a convolution and mean pooling, Phi is written with the operations of XLA,
and gradient descent finds its stationary points. (With max pooling there may be none: the signal
from above can make the second largest unit the largest, and then the first again.)
"""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.common import (
    LINEAR,
    TANH,
    Check,
    Problem,
    equal,
    gradient,
    large,
    pose,
    relative,
    small,
)
from bioplaus.layers import conv, dense, flattened, mlp, pooled
from bioplaus.losses import mse
from bioplaus.types import PyTree, RuleFactory


def linear_checks(
    key: str, factory: RuleFactory, directions: Sequence[complex], beta: float = 0.3, **hyper: Any
) -> Iterator[Check]:
    """A linear net against its closed form.

    directions: nudge / beta of each nudged phase. A single one is compared to the free phase.
    """
    p = pose(mlp((12, 20, 16, 5), LINEAR), (8, 12), 5, mse, gain=0.3)
    grads, _, info = gradient(factory, p, beta=beta, free_steps=60, nudged_steps=60, **hyper)
    yield small(key, "linear net: residual after 60 sweeps", info["residual"], 1e-12)
    yield equal(
        key,
        "linear net: dW equals the closed form at a finite nudge",
        grads,
        solved(p, directions, beta),
        1e-12,
    )
    other = solved(p, directions, 2 * beta) if len(directions) < 3 else solved(p, [1, -1], beta)
    yield large(
        key,
        "linear net: dW differs from the closed form at another nudge",
        relative(grads, other),
        1e-3,
    )


def solved(p: Problem, directions: Sequence[complex], beta: float) -> PyTree:
    """dW of a linear net of two hidden layers, in numpy.

    At nudge b the equilibrium solves

        h_1 - h_2 W_2^T = x W_1 + c_1
        h_2 - h_1 W_2 + b e W_3^T = c_2
        e = h_2 W_3 + c_3 - y
    """
    (w1, c1), (w2, c2), (w3, c3) = ((np.asarray(w["w"]), np.asarray(w["b"])) for w in p.params)
    x, y = np.asarray(p.batch.x), np.asarray(p.batch.y)
    n, m = w2.shape

    def derivatives(b):
        """The derivatives of Phi by all parameters at nudge b."""
        system = np.block([[np.eye(n), -w2], [-w2.T, np.eye(m) + b * w3 @ w3.T]])
        h = np.linalg.solve(
            system.T, np.concatenate([x @ w1 + c1, c2 - b * (c3 - y) @ w3.T], -1).T
        ).T
        h1, h2 = h[:, :n], h[:, n:]
        e = b * (h2 @ w3 + c3 - y)
        return tuple({"w": pre.T @ s, "b": s.sum(0)} for pre, s in ((x, -h1), (h1, -h2), (h2, e)))

    phases = [(derivatives(beta * d), 1 / (beta * d)) for d in directions]
    if len(directions) == 1:
        phases.append((derivatives(0.0), -phases[0][1]))
    parts = [jax.tree.map(lambda g, c=c: c * g / (len(directions) * len(x)), g) for g, c in phases]
    return jax.tree.map(lambda *g: np.real(sum(g)), *parts)


def energy_checks(key: str, factory: RuleFactory, beta: float = 0.2) -> Iterator[Check]:
    """The centred rule on a net with a convolution: its sweeps end in stationary points of Phi."""
    p = pose(
        (conv(2, 3, TANH), pooled(2, flattened(dense(6, TANH)), pool=jnp.mean), dense(3)),
        (4, 6, 6, 2),
        3,
    )
    grads = gradient(factory, p, beta=beta, free_steps=80, nudged_steps=80)[0]
    want, slopes = descended(p, beta)
    yield small(
        key, "convolution and pooling: largest |dPhi/dh| after descent on Phi", slopes[-1], 1e-10
    )
    yield equal(
        key, "convolution and pooling: dPhi/dW at the stationary points of Phi", grads, want, 1e-8
    )
    yield large(
        key, "convolution and pooling: largest |dPhi/dh| at a forward pass", slopes[0], 0.01
    )


def euler_checks(key: str, factory: RuleFactory) -> Iterator[Check]:
    """Relaxation in continuous time: another way to the same stationary point."""
    p = pose(mlp((12, 20, 16, 5), LINEAR), (8, 12), 5, mse, gain=0.3)
    grads, _, info = gradient(factory, p, beta=0.3, free_steps=120, nudged_steps=120, rate=0.5)
    yield small(key, "linear net: residual after 120 Euler steps of 0.5", info["residual"], 1e-12)
    yield equal(
        key,
        "linear net: dW by Euler steps equals the closed form",
        grads,
        solved(p, [1, -1], 0.3),
        1e-9,
    )
    short = gradient(factory, p, beta=0.3, free_steps=2, nudged_steps=2, rate=0.5)[0]
    yield large(
        key,
        "linear net: dW after two Euler steps differs from the closed form",
        relative(short, solved(p, [1, -1], 0.3)),
        0.05,
    )


def descended(p: Problem, beta: float) -> tuple[PyTree, jax.Array]:
    """dW by descent on Phi: (1 / (2 beta B)) [dPhi/dW at +beta - dPhi/dW at -beta].

    The second result is the largest |dPhi/dh| at each step of the descent, which starts at a
    forward pass: u <- u - 1/2 dPhi/dh, h = tanh(u).
    """
    x, y = p.batch.x, p.batch.y

    def currents(params, h):
        w1, w2, _ = params
        image = (
            jax.lax.conv_general_dilated(
                x, w1["w"], (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            + w1["b"]
        )
        window = (1, 2, 2, 1)
        total = jax.lax.reduce_window(
            jnp.tanh(image) if h is None else h, 0.0, jax.lax.add, window, window, "VALID"
        )
        return image, total.reshape(len(x), -1) @ w2["w"] / 4 + w2["b"]

    def phi(params, h, b):
        total = b * p.loss(h[1] @ params[2]["w"] + params[2]["b"], y).sum()
        for s, a in zip(h, currents(params, h[0]), strict=True):
            total += jnp.sum(s * jnp.arctanh(s) + 0.5 * jnp.log1p(-(s**2)) - s * a)
        return total

    def at(b):
        def descend(u, _):
            step = jax.grad(phi, argnums=1)(p.params, jax.tree.map(jnp.tanh, u), b)
            return jax.tree.map(lambda v, s: v - 0.5 * s, u, step), jnp.stack(
                [jnp.abs(s).max() for s in step]
            ).max()

        u, slopes = jax.lax.scan(descend, currents(p.params, None), length=200)
        return jax.grad(phi)(p.params, jax.tree.map(jnp.tanh, u), b), slopes

    both, slopes = jax.jit(jax.vmap(at))(jnp.array([beta, -beta]))
    return jax.tree.map(lambda g: (g[0] - g[1]) / (2 * beta * len(x)), both), slopes.max(0)
