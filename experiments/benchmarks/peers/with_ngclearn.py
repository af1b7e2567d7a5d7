"""ngc-learn's own predictive coding network, whose file is read from a clone of ngc-museum."""

# pyright: reportMissingImports=false, reportArgumentType=false

import os
import sys
import tempfile
from pathlib import Path

import jax
from serve import batches, images, serve, task

t = task()
sys.path.insert(0, str(Path(t["clone"]) / "exhibits" / "pc_discrim"))
from pcn_model import PCN  # noqa: E402

x, labels = images(t["sizes"][0], t["sizes"][-1])
onehot = jax.numpy.eye(t["sizes"][-1])[labels]
rows = batches(t["batch"])
os.chdir(tempfile.mkdtemp())  # the model writes folders
inputs, first, second, classes = t["sizes"]
model = PCN(
    jax.random.PRNGKey(0),
    inputs,
    classes,
    hid1_dim=first,
    hid2_dim=second,
    T=t["hyperparameters"]["steps"],
    dt=1.0,
    tau_m=1 / t["hyperparameters"]["rate"],
    act_fx="tanh",
    eta=1e-3,
    exp_dir="exp",
)


def train(steps: int) -> None:
    for _ in range(steps):
        batch = next(rows)
        model.process(obs=jax.numpy.asarray(x[batch]), lab=onehot[batch], adapt_synapses=True)
    jax.block_until_ready(model.W1.weights.get())


serve(train, jax.default_backend(), "ngclearn", "jax", "jaxlib")
