"""A small spiking net, its data and its streams, for the tests of `bp.online`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from nets import wide

import bioplaus as bp
from bioplaus.types import Batch, Rule

B, T, C = 3, 8, 2
KEY = jax.random.key(0)
LOSS = bp.at_each_moment(bp.cross_entropy)
NET = (
    bp.recurrent(bp.dense(6, bp.alif(5.0, 30.0, 0.3), weights=wide), bp.dense(6, weights=wide)),
    bp.over_time(bp.dense(C, bp.leaky(8.0), weights=wide)),
)
DRAW = np.random.default_rng(0)
DATA = Batch(
    jnp.asarray(DRAW.random((B, T, 4)) < 0.5, jnp.float32),
    jnp.asarray(np.eye(C)[DRAW.integers(0, C, (B, T))], jnp.float32),
)
TX = optax.sgd(0.3)


def on_streams(net=NET, loss=LOSS) -> Rule:
    stream = bp.rules.eprop(net, loss).stream
    assert stream is not None
    return stream


def piece(start, stop, rows: Any = slice(None)):
    return jax.tree.map(lambda a: a[rows, start:stop], DATA)


def pairs(one, other):
    return zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
