"""Contrastive Hebbian and coupled learning by hand: in numpy, by `credit`, in closed form."""

import jax
import jax.numpy as jnp
import numpy as np

from bioplaus.identities.any_net import credit_of
from bioplaus.identities.common import (
    Problem,
)
from bioplaus.losses import bernoulli
from bioplaus.net import drive, fire, forward, layer_key
from bioplaus.types import Array, PyTree

SWEEPS = 200


def contrasted(p: Problem, beta: float, gain: float) -> tuple[np.ndarray, PyTree]:
    """The free output and dW of a tanh perceptron under half the squared error, in numpy.

    The output layer is a tanh layer, too.
    """
    w, c = zip(*((np.asarray(a["w"]), np.asarray(a["b"])) for a in p.params), strict=True)
    x, y, depth = np.asarray(p.batch.x), np.asarray(p.batch.y), len(w)

    def settle(clamped):
        h = [x, *(np.zeros((len(x), len(b))) for b in c)]
        for _ in range(400):
            if clamped is not None:
                h[-1] = clamped
            a = [
                h[l] @ w[l] + c[l] + (gain * h[l + 2] @ w[l + 1].T if l + 1 < depth else 0.0)
                for l in range(depth)
            ]
            h = [x, *map(np.tanh, a)]
        return h if clamped is None else [*h[:-1], clamped]

    free = settle(None)
    held = settle((1 - beta) * free[-1] + beta * y)
    grads = []
    for l in range(depth):
        scale = -(gain ** (l + 1 - depth)) / (beta * len(x))
        change = held[l].T @ held[l + 1] - free[l].T @ free[l + 1]
        grads.append({"w": scale * change, "b": scale * (held[l + 1] - free[l + 1]).sum(0)})
    return free[-1], tuple(grads)


def crossed(p: Problem, beta: float, gain: float) -> PyTree:
    """dW of any net after many sweeps.

    Signals cross the synapses of a layer by its `credit`; the energy E is differentiated by
    `jax.grad`.
    """
    depth = len(p.net)

    def settle(h, clamped):
        def update(h, _):
            full = [*h, *clamped]
            for l in range(len(h)):
                a = drive(
                    p.net[l], p.params[l], full[l - 1] if l else p.batch.x, layer_key(p.key, l)
                )
                if l + 1 < depth:
                    w = p.params[l + 1]
                    a = a + gain * credit_of(p, l + 1, w, w, full[l], full[l + 1])[1]
                full[l] = fire(p.net[l], a, layer_key(p.key, l))
            return tuple(full[: len(h)]), None

        return (*jax.lax.scan(update, tuple(h), length=SWEEPS)[0], *clamped)

    def energy(params, h):
        below = (p.batch.x, *h[:-1])
        terms = [
            gain ** (l + 1 - depth)
            * jnp.sum(h[l] * drive(p.net[l], params[l], below[l], layer_key(p.key, l)))
            for l in range(depth)
        ]
        return -sum(terms) / (beta * len(p.batch.x))

    def error(free):
        """dL/dh_L, or dL/da_L where outputs are probabilities."""
        k = layer_key(p.key, depth - 1)
        a = drive(p.net[-1], p.params[-1], (p.batch.x, *free)[-2], k)
        start, output = (
            (a, lambda a: fire(p.net[-1], a, k)) if p.loss is bernoulli else (free[-1], lambda o: o)
        )
        return jax.grad(lambda at: p.loss(output(at), p.batch.y).sum())(start)

    def contrast():
        trace = forward(p.net, p.params, p.batch.x, p.key)
        free = settle((*trace.inputs[1:], trace.output), ())
        target = free[-1] - beta * error(free)
        phases = (jax.grad(energy)(p.params, h) for h in (settle(free[:-1], (target,)), free))
        return jax.tree.map(jnp.subtract, *phases)

    return jax.jit(contrast)()


def stiffened(p: Problem, *, weighted: bool) -> PyTree:
    """A linear net in closed form: the gradient of o . stop(K e), or, not weighted, of o . stop(e).

    o: the output at equilibrium; e = o - y. K: the stiffness of the output, the inverse of do/df
    for a force f on the output.
    """

    def output(params, force: Array) -> Array:
        (w1, c1), (w2, c2), (w3, c3) = ((w["w"], w["b"]) for w in params)
        n, m, c = w1.shape[1], w2.shape[1], w3.shape[1]
        system = jnp.block(
            [
                [jnp.eye(n), -w2, jnp.zeros((n, c))],
                [-w2.T, jnp.eye(m), -w3],
                [jnp.zeros((c, n)), -w3.T, jnp.eye(c)],
            ]
        )
        drives = [p.batch.x @ w1 + c1, jnp.tile(c2, (len(p.batch.x), 1)), c3 + force]
        return jnp.linalg.solve(system, jnp.concatenate(drives, -1).T).T[:, -c:]

    def objective(params):
        rest = jnp.zeros_like(p.batch.y)
        o = output(params, rest)
        compliance = jax.jacfwd(lambda force: output(p.params, rest + force)[0])(
            jnp.zeros(rest.shape[-1])
        )
        e = output(p.params, rest) - p.batch.y
        return jnp.sum(o * (jnp.linalg.solve(compliance, e.T).T if weighted else e)) / len(e)

    return jax.jit(jax.grad(objective))(p.params)
