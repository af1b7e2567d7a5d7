"""pcx as its first tutorial trains: T inference steps and a weight step in one jitted function."""

# pyright: reportMissingImports=false, reportArgumentType=false

from itertools import pairwise

import jax
import optax
import pcx as px
import pcx.functional as pxf
import pcx.nn as pxnn
import pcx.predictive_coding as pxc
import pcx.utils as pxu
from serve import batches, images, serve, task

t = task()
x, labels = images(t["sizes"][0], t["sizes"][-1])
onehot = jax.numpy.eye(t["sizes"][-1])[labels]
rows = batches(t["batch"])
px.RKG.seed(0)
values = pxu.M(pxc.VodeParam | pxc.VodeParam.Cache).to((None, 0))
free = pxu.M_hasnot(pxc.VodeParam, frozen=True)


class Model(pxc.EnergyModule):
    def __init__(self, sizes):
        super().__init__()
        self.layers = [pxnn.Linear(m, n) for m, n in pairwise(sizes)]
        self.vodes = [pxc.Vode() for _ in self.layers]
        self.vodes[-1].h.frozen = True

    def __call__(self, x, y):
        for vode, layer in zip(self.vodes[:-1], self.layers[:-1], strict=True):
            x = vode(jax.nn.tanh(layer(x)))
        self.vodes[-1](self.layers[-1](x))
        if y is not None:
            self.vodes[-1].set("h", y)
        return self.vodes[-1].get("u")


@pxf.vmap(values, in_axes=(0, 0), out_axes=0)
def forward(x, y, *, model):
    return model(x, y)


@pxf.vmap(values, in_axes=(0,), out_axes=(None, 0), axis_name="batch")
def energy(x, *, model):
    y = model(x, None)
    return jax.lax.psum(model.energy(), "batch"), y


@pxf.jit(static_argnums=0)
def train_on_batch(steps, x, y, *, model, optim_w, optim_h):
    model.train()
    with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
        forward(x, y, model=model)
    optim_h.init(free(model))
    for _ in range(steps):
        with pxu.step(model, clear_params=pxc.VodeParam.Cache):
            _, g = pxf.value_and_grad(free.to([False, True]), has_aux=True)(energy)(x, model=model)
        optim_h.step(model, g["model"])
    optim_h.clear()
    with pxu.step(model, clear_params=pxc.VodeParam.Cache):
        _, g = pxf.value_and_grad(pxu.M(pxnn.LayerParam).to([False, True]), has_aux=True)(energy)(
            x, model=model
        )
    optim_w.step(model, g["model"], scale_by=1 / x.shape[0])


model = Model(t["sizes"])
optim_w = pxu.Optim(lambda: optax.adam(1e-3), pxu.M(pxnn.LayerParam)(model))
optim_h = pxu.Optim(lambda: optax.sgd(t["hyperparameters"]["rate"]))
first = next(rows)
# so that the step is compiled once
with pxu.step(model, pxc.STATUS.INIT, clear_params=pxc.VodeParam.Cache):
    forward(x[first], None, model=model)


def train(steps: int) -> None:
    for _ in range(steps):
        batch = next(rows)
        train_on_batch(
            t["hyperparameters"]["steps"],
            x[batch],
            onehot[batch],
            model=model,
            optim_w=optim_w,
            optim_h=optim_h,
        )
    jax.block_until_ready([layer.nn.weight.get() for layer in model.layers])


serve(train, jax.default_backend(), "pcx", "jax", "jaxlib")
