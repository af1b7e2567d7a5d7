"""Small nets and data for the tests of time, with weights wide enough that all layers fire."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from by_hand import Cells, at_moments, pooled

import bioplaus as bp
from bioplaus.neurons.resets import RESETS

B, T, N_IN, C = 3, 7, 5, 4
WIDTHS = (6, 5, 7)
KEY = jax.random.key(0)


def wide(key, shape, dtype=jnp.float32):
    return jax.random.normal(key, shape, dtype) * (2.0 / shape[0] ** 0.5)


class Case(NamedTuple):
    """A spiking net: one entry of `recurrent` for each hidden layer."""

    kind: str
    recurrent: tuple[bool, ...]
    detached: bool = True
    each_moment: bool = False
    reset: str = "subtract"
    refractory: float = 0.0
    dt: float = 1.0
    horizon: int | None = None

    def __str__(self):
        layers = "".join("r" if r else "f" for r in self.recurrent)
        loss = "moments" if self.each_moment else "pooled"
        reset = f"{self.reset}-{'detached' if self.detached else 'attached'}"
        others = "".join(f"-{n}{v}" for n, v in zip(self._fields[5:], self[5:], strict=True) if v)
        return f"{self.kind}-{layers}-{loss}-{reset}{others.replace('-dt1.0', '')}"


def product():
    """Every combination of neuron, 1 to 3 layers, feed-forward or recurrent, reset and loss."""
    return [
        Case(kind, (recurrent,) * depth, detached, each_moment)
        for kind, depth, recurrent, detached, each_moment in itertools.product(
            ("lif", "alif"), (1, 2, 3), (False, True), (True, False), (False, True)
        )
    ]


def neuron_of(case):
    shared = {"reset": RESETS[case.reset], "detached": case.detached}
    if case.kind == "alif":
        return bp.alif(beta=0.3, tau_adapt=50.0, **shared)
    return bp.lif(refractory=case.refractory, **shared)


def net_of(case):
    over = {"dt": case.dt, "horizon": case.horizon}
    hidden = [
        bp.recurrent(bp.dense(n, neuron_of(case), weights=wide), bp.dense(n, weights=wide), **over)
        if recurrent
        else bp.over_time(bp.dense(n, neuron_of(case), weights=wide), **over)
        for n, recurrent in zip(WIDTHS, case.recurrent, strict=False)
    ]
    last = bp.dense(C, bp.leaky() if case.each_moment else None, weights=wide)
    answer = bp.over_time(last, **over) if case.each_moment else bp.after(bp.mean_over_time, last)
    return (*hidden, answer)


def loss_of(case):
    return bp.at_each_moment(bp.mse) if case.each_moment else bp.cross_entropy


def cells_of(case):
    one = Cells(
        0.3 if case.kind == "alif" else 0.0,
        case.reset,
        case.detached,
        case.refractory,
        tau_adapt=50.0,
        dt=case.dt,
        horizon=case.horizon,
    )
    return (one,) * (len(case.recurrent) + 1)


def readout_of(case):
    return at_moments if case.each_moment else pooled


def spikes(examples=B, moments=T, n=N_IN, seed=1):
    return jnp.asarray(np.random.default_rng(seed).random((examples, moments, n)) < 0.4, float)


def batch_of(case, examples=B, moments=T):
    draw = np.random.default_rng(2)
    if case.each_moment:
        y = jnp.asarray(draw.standard_normal((examples, moments, C)))
    else:
        y = jax.nn.one_hot(jnp.arange(examples) % C, C, dtype=float)
    return bp.Batch(spikes(examples, moments), y)


def params_of(net, x, seed=0):
    """No bias is 0."""
    draw = np.random.default_rng(seed + 7)
    drawn = bp.init(net, jax.random.key(seed), x)
    return jax.tree.map(lambda w: w + jnp.asarray(0.05 * draw.standard_normal(w.shape)), drawn)


def as_numpy(tree):
    return jax.tree.map(np.asarray, tree)
