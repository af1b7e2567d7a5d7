"""spyx: its neurons and `run`, trained by its backprop solver in one compiled scan over batches.

The loop is that of its `compile_fit`, which compiles anew in each call; here it is kept. Examples
lie time first, as `run` wants them.
"""

# pyright: reportMissingImports=false, reportArgumentType=false

import math
import time

import jax
import numpy as np
import optax
import spyx
from flax import nnx
from serve import batches, serve, spikes, task
from spyx.optimize import backprop

t = task()
inputs, hidden, classes = t["sizes"]
x, labels = spikes(t["moments"], inputs, classes, time_first=True)
x, onehot = jax.numpy.asarray(x), jax.numpy.eye(classes)[labels]
rows, rngs, beta = batches(t["batch"]), nnx.Rngs(0), math.exp(-1 / 20)
model = spyx.nn.Sequential(
    nnx.Linear(inputs, hidden, rngs=rngs),
    spyx.nn.LIF((hidden,), beta, activation=spyx.axn.superspike(25), rngs=rngs),
    nnx.Linear(hidden, classes, rngs=rngs),
    spyx.nn.LI((classes,), beta, rngs=rngs),
)
graph, params, rest = nnx.split(model, nnx.Param, ...)


def loss(params, batch):
    x, y = batch
    outputs, _ = spyx.nn.run(nnx.merge(graph, params, rest), x)
    return optax.softmax_cross_entropy(outputs, y).sum(0).mean()


solver = backprop(optax.adam(1e-3))(loss, params)
key = jax.random.PRNGKey(0)


@jax.jit
def many(state, x, y, rows):
    def step(state, rows):
        return solver.step(state, (x[:, rows], y[rows]), key)

    return jax.lax.scan(step, state, rows)[0]


state = solver.init(key)


def train(steps: int) -> None:
    global state
    state = many(state, x, onehot, np.stack([next(rows) for _ in range(steps)]))
    jax.block_until_ready(state)


for _ in range(2):  # the state that it returns has other types than the first one
    train(1)
serve(train, jax.default_backend(), "spyx", "jax", "jaxlib", clock=time.process_time)
