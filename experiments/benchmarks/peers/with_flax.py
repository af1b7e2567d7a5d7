"""flax.nnx as its tutorials train: Module, nnx.Optimizer, a jitted step in a Python loop.

Their metrics are left out.
"""

from itertools import pairwise

import jax
import optax
from flax import nnx
from serve import batches, images, serve, task

t = task()
x, labels = images(t["sizes"][0], t["sizes"][-1])
rows = batches(t["batch"])


class MLP(nnx.Module):
    def __init__(self, sizes, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(m, n, rngs=rngs) for m, n in pairwise(sizes)])

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = nnx.tanh(layer(x))
        return self.layers[-1](x)


def loss_fn(model, x, labels):
    return optax.softmax_cross_entropy_with_integer_labels(model(x), labels).mean()


@nnx.jit
def train_step(model, optimizer, x, labels):
    loss, grads = nnx.value_and_grad(loss_fn)(model, x, labels)
    optimizer.update(model, grads)
    return loss


model = MLP(t["sizes"], nnx.Rngs(0))
optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)


def train(steps: int) -> None:
    for _ in range(steps):
        batch = next(rows)
        train_step(model, optimizer, x[batch], labels[batch])
    jax.block_until_ready(nnx.state(model))


serve(train, jax.default_backend(), "flax", "jax", "jaxlib")
