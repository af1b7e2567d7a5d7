"""The settled controller of deep feedback control, by Newton's method, and the Jacobian J.

r_L is the output of the net, a_l the current of layer l, y* the target of the output, alpha the
leak. The controller u injects u Q_l into the current of each layer, and settles where
y* - r_L(u) = alpha u.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from bioplaus.identities.common import Problem, problem
from bioplaus.net import drive, fire, layer_key
from bioplaus.types import Array, Batch, Key, PyTree


def respond(p: Problem, x: Array, offsets: list[Array]) -> tuple[Array, list[Array], list[Array]]:
    """The output r_L, and the inputs and currents a_l, of a pass with offsets of the currents.

    The returned currents are those before the offsets are added.
    """
    inputs, currents = [], []
    for l, layer in enumerate(p.net):
        inputs.append(x)
        currents.append(drive(layer, p.params[l], x, layer_key(p.key, l)))
        x = fire(layer, currents[-1] + offsets[l], layer_key(p.key, l))
    return x, inputs, currents


def settled(p: Problem, feedback: tuple[Array, ...], nudge: ArrayLike, leak: ArrayLike) -> PyTree:
    """dW where y* - r_L(u) = leak u, solved for u by Newton's method for each example."""

    def inject(u):
        return [jnp.tensordot(u, q, 1) for q in feedback]

    def example(x, y):
        start = respond(p, x[None], inject(jnp.zeros((1, y.size))))[0][0]
        target = start - nudge * jax.grad(lambda o: p.loss(o[None], y[None])[0])(start)

        def gap(u):
            return target - respond(p, x[None], inject(u[None]))[0][0] - leak * u

        return jax.lax.fori_loop(
            0, 20, lambda _, u: u - jnp.linalg.solve(jax.jacfwd(gap)(u), gap(u)), jnp.zeros_like(y)
        )

    def pulled(params):
        offsets = inject(jax.vmap(example)(p.batch.x, p.batch.y))
        _, inputs, currents = respond(p, p.batch.x, offsets)
        total = 0.0
        for l, layer in enumerate(p.net):
            k = layer_key(p.key, l)
            helped = fire(layer, currents[l] + offsets[l], k) - fire(layer, currents[l], k)
            total -= jnp.sum(helped / nudge * drive(layer, params[l], inputs[l], k)) / len(
                p.batch.y
            )
        return total

    return jax.grad(pulled)(p.params)


def jacobian(p: Problem) -> Array:
    """J [B, C, sum n_l]: the derivatives of a perceptron's output by all of its currents."""
    widths = [w["b"].size for w in p.params]

    def output(x, shift):
        return respond(p, x[None], jnp.split(shift[None], np.cumsum(widths)[:-1].tolist(), -1))[0][
            0
        ]

    return jax.jit(jax.vmap(lambda x: jax.jacfwd(output, 1)(x, jnp.zeros(sum(widths)))))(p.batch.x)


def split(p: Problem, q: Array) -> tuple[Array, ...]:
    """[C, sum n_l] as one array per layer."""
    return tuple(jnp.split(q, np.cumsum([w["b"].size for w in p.params])[:-1].tolist(), -1))


def gauss_newton(p: Problem, j: Array, nudge: float) -> PyTree:
    """dW of a linear net with one hidden layer: dW_l = r_{l-1}^T e pinv(J)_l^T / B.

    e = dL/dr_L; pinv(J)_l is the part of the pseudo-inverse for layer l. The controller has moved
    r_1 by -nudge e pinv(J)_1^T.
    """
    x, (first, second) = p.batch.x, p.params
    hidden = x @ first["w"] + first["b"]
    output = hidden @ second["w"] + second["b"]
    e = jax.grad(lambda o: p.loss(o, p.batch.y).sum())(output)
    one, two = jnp.split(e @ jnp.linalg.pinv(j).T, [hidden.shape[-1]], -1)
    return tuple(
        {"w": r.T @ s / len(x), "b": s.mean(0)} for r, s in ((x, one), (hidden - nudge * one, two))
    )


def tiled(sizes: tuple[int, ...]) -> Problem:
    """A tanh perceptron with one input, repeated as often as the net has units.

    J is the same for every example.
    """
    p = problem(sizes)
    examples = sum(w["b"].size for w in p.params)
    return p._replace(batch=Batch(*(jnp.tile(a[:1], (examples, 1)) for a in p.batch[:2])))


def frame(key: Key | None, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """Noise whose second moment is exactly the identity: each example perturbs one unit.

    For the net of 20, 16 and 5 units, and a batch of 41 examples.
    """
    del key
    examples, n = shape
    start = {20: 0, 16: 20, 5: 36}[n]
    return jnp.sqrt(examples) * jnp.eye(examples, n, -start, dtype)
