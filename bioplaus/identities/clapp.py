"""CLAPP: identities and negative controls."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from bioplaus.identities.any_net import locally, output_of, same
from bioplaus.identities.common import (
    TANH,
    Check,
    Family,
    Problem,
    convolutional,
    equal,
    large,
    problem,
    relative,
    small,
)
from bioplaus.neurons import gaussian
from bioplaus.salts import FIRST_GLIMPSE, SECOND_GLIMPSE
from bioplaus.types import Array, Key, PyTree, RuleFactory

NOISY = gaussian(TANH, 0.3)
STOP = jax.lax.stop_gradient


def half(key: Key, x: Array) -> Array:
    """A glimpse of half of the features."""
    return x * jax.random.bernoulli(key, 0.5, x.shape)


def checks(factory: RuleFactory) -> Iterator[Check]:
    """Checks of a factory that claims to be CLAPP."""
    yield from _on_net(factory, problem(neuron=NOISY), ", noise")
    yield from _on_net(factory, convolutional(), ", convolutions")

    p = problem()
    state, step = compiled(factory, p)
    (grads, moved, after), g = step(state, jnp.ones(8)), jnp.linspace(0.0, 2.0, 8)
    want, slopes, hinges = by_hand(p, state)
    yield equal(
        "clapp",
        "dW and dP equal the equations in numpy",
        (grads[:-1], moved),
        (want, slopes),
        1e-12,
    )
    mixed = min(max(opened.std() for opened in hinges[i::2]) for i in range(2))
    yield large(
        "clapp",
        "hinges are open for some examples, closed for others: least std of 0 or 1",
        mixed,
        0.1,
    )
    (part, some, _), (_, rest, _), (_, still, _) = (step(state, gate) for gate in (g, 1 - g, 0 * g))
    yield equal(
        "clapp",
        "a gate weights the examples: dP at g plus dP at 1 - g is dP without a gate",
        added(some, rest),
        moved,
        1e-12,
    )
    yield large(
        "clapp",
        "dP at a gate differs from dP without: relative difference",
        relative(some, moved),
        0.05,
    )
    yield large(
        "clapp",
        "dW at a gate differs from dW without: relative difference",
        relative(part[:-1], grads[:-1]),
        0.05,
    )
    yield small(
        "clapp",
        "a closed gate stops P: largest change",
        max(float(jnp.abs(w).max()) for w in still),
        0.0,
    )
    carried = [0.9 * w for w in moved]
    yield equal(
        "clapp",
        "P moves on by the momentum of tx alone when the gate closes",
        list(step(after, 0 * g)[1]),
        carried,
        1e-12,
    )
    yield from _controls(factory, p, state, step)


def _controls(factory: RuleFactory, p: Problem, state: Any, step: Any) -> Iterator[Check]:
    """P that is zero, and other labels. state, step: of `compiled`."""
    grads, moved, _ = step(state, jnp.ones(8))
    blank = step(
        state._replace(prediction=jax.tree.map(jnp.zeros_like, state.prediction)), jnp.ones(8)
    )
    size = max(float(jnp.abs(w).max()) for w in jax.tree.leaves(blank[0][:-1]))
    yield small("clapp", "P = 0: largest gradient of the hidden layers", size, 0.0)
    yield large(
        "clapp",
        "P = 0: P learns: largest change, worst layer",
        min(float(jnp.abs(w).max()) for w in blank[1]),
        1e-4,
    )
    relabelled = p._replace(batch=p.batch._replace(y=jnp.roll(p.batch.y, 1, -1)))
    other = compiled(factory, relabelled)[1](state, jnp.ones(8))
    yield equal(
        "clapp",
        "hidden layers and P do not change with the labels",
        (other[0][:-1], other[1]),
        (grads[:-1], moved),
        0.0,
    )
    yield large(
        "clapp",
        "the readout changes with the labels: relative difference",
        relative(other[0][-1], grads[-1]),
        0.1,
    )


def on_net(factory: RuleFactory, p: Problem) -> Iterator[Check]:
    """Any net: the gradient of the hinge loss of every layer, at random P."""
    yield from _on_net(factory, p)


def compiled(factory: RuleFactory, p: Problem) -> tuple[Any, Any]:
    """A state, and the compiled step (state, gate) -> (grads, descent of P, state).

    The predictions P of the state are so large that hinges open and close.
    """
    rule = factory(p.net, p.loss, tx=optax.sgd(1.0, momentum=0.9), view=half)
    state, draw = rule.init(jax.random.key(6), p.params, p.batch), np.random.default_rng(3)
    prediction = jax.tree.map(
        lambda w: jnp.asarray(draw.standard_normal(w.shape)), state.prediction
    )

    @jax.jit
    def step(state, gate):
        grads, after, _ = rule.grad(p.params, state, p.batch, p.key, gate)
        return grads, jax.tree.map(jnp.subtract, state.prediction, after.prediction), after

    return state._replace(prediction=prediction), step


def glances(p: Problem) -> list[Problem]:
    """The problem at each of the two glimpses of its inputs."""
    keys = [jax.random.fold_in(p.key, salt) for salt in (FIRST_GLIMPSE, SECOND_GLIMPSE)]
    return [p._replace(batch=p.batch._replace(x=half(k, p.batch.x)), key=k) for k in keys]


def _on_net(factory: RuleFactory, p: Problem, name: str = "") -> Iterator[Check]:
    state, step = compiled(factory, p)
    seen, last, g = glances(p), len(p.net) - 1, jnp.linspace(0.5, 2.0, len(p.batch.y))

    def total(params, prediction, joined):
        objective, h, whole = 0.0, [q.batch.x for q in seen], p.batch.x
        for l in range(last):
            h = [
                locally(q, l, params[l], joined * a + (1 - joined) * STOP(a))
                for q, a in zip(seen, h, strict=True)
            ]
            c, z = (a.mean(tuple(range(1, a.ndim - 1))) for a in h)
            scores = [
                jnp.einsum("bi,ij,bj->b", z, prediction[l], c),
                jnp.einsum("bi,ij,bj->b", z[jnp.r_[1 : len(z), 0]], prediction[l], c),
            ]
            objective += (
                g * (jnp.maximum(0, 1 - scores[0]) + jnp.maximum(0, 1 + scores[1]))
            ).mean()
            whole = output_of(p, l, params[l], whole)
        return (
            objective
            + (g * p.loss(output_of(p, last, params[last], STOP(whole)), p.batch.y)).mean()
        )

    slopes = jax.jit(jax.grad(total, (0, 1)))
    grads, moved, _ = step(state, g)
    want, predictions = slopes(p.params, state.prediction, 0.0)
    yield same("clapp", "dW equals jax.grad of the layers' gated hinge losses" + name, grads, want)
    if last:
        yield same(
            "clapp",
            "dP equals jax.grad of the layers' gated hinge losses" + name,
            moved,
            predictions,
        )
        passed = slopes(p.params, state.prediction, 1.0)[0]
        yield large(
            "clapp",
            "dW differs from jax.grad with errors passing between layers" + name,
            relative(grads[:-1], passed[:-1]),
            1e-3,
        )


def by_hand(p: Problem, state: PyTree) -> tuple[PyTree, PyTree, list[np.ndarray]]:
    """Gradients of the hidden layers of a tanh perceptron and of P, example by example, in numpy.

    The third result has two arrays for each layer: which examples open the hinge of the positive
    pair, and which that of the negative pair.
    """
    h, n = [[np.asarray(q.batch.x)] for q in glances(p)], len(p.batch.y)
    grads, slopes, hinges = [], [], []
    for l, w in enumerate(p.params[:-1]):
        for a in h:
            a.append(np.tanh(a[l] @ np.asarray(w["w"]) + np.asarray(w["b"])))
        (pre_c, pre_z), (c, z), m = (
            (a[l] for a in h),
            (a[l + 1] for a in h),
            np.asarray(state.prediction[l]),
        )
        dw, db, dm, opened = 0 * np.asarray(w["w"]), 0 * np.asarray(w["b"]), 0 * m, []
        for b in range(n):
            for e, sign in ((b, -1.0), ((b + 1) % n, 1.0)):
                active = float(1 + sign * (z[e] @ m @ c[b]) > 0)
                opened.append(active)
                s_z, s_c = (
                    (1 - y**2) * sign * active * t
                    for y, t in ((z[e], m @ c[b]), (c[b], m.T @ z[e]))
                )
                dw, db = dw + np.outer(pre_z[e], s_z) + np.outer(pre_c[b], s_c), db + s_z + s_c
                dm = dm + sign * active * np.outer(z[e], c[b])
        grads.append({"w": dw / n, "b": db / n})
        slopes.append(dm / n)
        hinges += [np.array(opened[i::2]) for i in range(2)]
    return tuple(grads), tuple(slopes), hinges


def added(a: PyTree, b: PyTree) -> PyTree:
    """The sum of two trees."""
    return jax.tree.map(jnp.add, a, b)


FAMILIES = {
    "clapp": Family(
        checks,
        on_net,
        credit="one bit for all: the same input again, or another",
        equals="never, but for the readout",
    )
}
