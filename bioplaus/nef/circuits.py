"""Models that are used in many others. Each has a source "input" and a probe "output".

    integrator           dx/dt = u
    oscillator           dx/dt = omega (-x_1, x_0) + u / tau
    product              x_0 x_1
    associative memory   sum over items k of v_k, where u . key_k is above a threshold

Feedback through a Lowpass of time constant tau makes dx/dt = g(x) + u of f(x) = tau g(x) + x
(Eliasmith and Anderson, 2003, chapter 8).
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from bioplaus.hyper import Count, Level, Positive, Real, declared
from bioplaus.nef.ensemble import ensemble
from bioplaus.nef.model import Connection, Model, Node, Probe, relay, source
from bioplaus.nef.synapses import lowpass
from bioplaus.types import Array, Key


@declared
def integrator(
    key: Key, n: Count, d: Count = 1, *, tau: Positive = 0.1, radius: Positive = 1.0
) -> Model:
    """dx/dt = u, x and u [d]. The ensemble is "x". tau: s, of the feedback.

    Long time constants drift less.
    """
    synapse = lowpass(tau)
    return Model(
        {"x": ensemble(key, n, d, radius=radius)},
        {"input": source(d)},
        (
            Connection("input", "x", transform=tau, synapse=synapse),
            Connection("x", "x", synapse=synapse),
        ),
        {"output": Probe("x", synapse=lowpass(0.01))},
    )


@declared
def oscillator(
    key: Key, n: Count, *, frequency: Real = 1.0, tau: Positive = 0.1, radius: Positive = 1.0
) -> Model:
    """x [2] turns at `frequency`, Hz; a kick of the input [2] starts it. The ensemble is "x".

    tau: s, of the feedback.
    """
    turn = 2 * jnp.pi * jnp.asarray(frequency) * tau
    matrix = jnp.eye(2) + turn * jnp.asarray([[0.0, -1.0], [1.0, 0.0]])
    synapse = lowpass(tau)
    return Model(
        {"x": ensemble(key, n, 2, radius=radius)},
        {"input": source(2)},
        (
            Connection("input", "x", synapse=None),
            Connection("x", "x", transform=matrix, synapse=synapse),
        ),
        {"output": Probe("x", synapse=lowpass(0.01))},
    )


@declared
def product(key: Key, n: Count, *, radius: Positive = 1.0) -> Model:
    """x_0 x_1 of the input [2], each between -radius and radius. The ensemble is "x".

    Its encoders are the four diagonals, at which x_0 x_1 = ((x_0 + x_1)^2 - (x_0 - x_1)^2) / 4 is
    represented best (Gosmann, 2015, https://nbviewer.org/github/ctn-archive/technical-reports).
    """
    k = jax.random.split(key)
    signs = jax.random.rademacher(k[0], (n, 2), dtype=jnp.zeros(()).dtype)
    points = radius * jax.random.uniform(k[1], (max(2 * n, 1000), 2), minval=-1)
    return Model(
        {"x": ensemble(key, n, 2, radius=radius * jnp.sqrt(2), encoders=signs, points=points)},
        {"input": source(2)},
        (Connection("input", "x", synapse=None),),
        {"output": Probe("x", function=lambda x: x[0] * x[1], synapse=lowpass(0.01))},
    )


@declared
def associative_memory(
    key: Key, n: Count, keys: ArrayLike, items: ArrayLike, *, threshold: Level = 0.3
) -> Model:
    """The sum of the items whose keys the input is like.

    keys: [K, d], of length 1. items: [K, v]. threshold: of the dot product of the input and a key,
    from which on the item counts. Ensembles 0, 1, ... of n neurons each are silent below it, and
    send 1 above it: their encoders are 1, and intercepts lie between threshold and 1.

    Stewart, Tang, Eliasmith, 2011, doi:10.1016/j.cogsys.2010.06.001. Raises ValueError unless there
    is one item for each key.
    """
    keys, items = jnp.asarray(keys), jnp.asarray(items)
    if keys.ndim != 2 or items.ndim != 2 or len(keys) != len(items):
        raise ValueError(
            f"associative_memory: got keys {keys.shape} and items {items.shape}; expected [K, d]"
            " and [K, v]"
        )
    names = [str(k) for k in range(len(keys))]
    ensembles = {
        name: ensemble(
            jax.random.fold_in(key, i),
            n,
            1,
            intercepts=(threshold, 1.0),
            encoders=jnp.ones((n, 1)),
            points=jnp.linspace(threshold, 1, max(2 * n, 750))[:, None],
        )
        for i, name in enumerate(names)
    }
    read = [
        Connection("input", name, transform=k[None], synapse=None)
        for name, k in zip(names, keys, strict=True)
    ]
    recall = [
        Connection(name, "sum", function=_step, transform=v[:, None], synapse=None)
        for name, v in zip(names, items, strict=True)
    ]
    nodes: dict[str, Node] = {"input": source(keys.shape[1]), "sum": relay(items.shape[1])}
    probe = Probe("sum", synapse=lowpass(0.01))
    return Model(ensembles, nodes, (*read, *recall), {"output": probe})


def _step(x: Array) -> Array:
    return jnp.where(x > 0, 1.0, 0.0)
