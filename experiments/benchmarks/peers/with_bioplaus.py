"""Ours: a rule by its key, in the library's own training run; all seeds of a task in one program."""

import jax
import optax
from serve import images, serve, task

import bioplaus as bp
from bioplaus.study.build import by_largest
from bioplaus.study.settings import OptimiserSpec
from bioplaus.train import make_train, replicate, seed_keys

t = task()
x, labels = images(t["sizes"][0], t["sizes"][-1])
x = jax.numpy.asarray(x).reshape(-1, *t.get("image", t["sizes"][:1]))
data = bp.Batch(x, jax.nn.one_hot(labels, t["sizes"][-1]))
neuron = bp.neurons.NEURONS[t.get("neuron", "tanh")]()
if "channels" in t:  # one convolution, and a readout of each channel's mean
    below = bp.pooled(t["image"][0], bp.flattened(bp.dense(t["sizes"][-1])), pool=jax.numpy.mean)
    net = (bp.conv(t["channels"], 5, neuron, padding=2), below)
else:
    net = bp.layers.cnn(t["sizes"][-1], neuron, padding=0) if "image" in t else bp.mlp(t["sizes"], neuron)
loss = bp.mse if t["rule"] in ("pc", "ep") else bp.cross_entropy  # what the peers of these have
optimisers = {
    "adam": optax.adam(1e-3),
    "momentum": optax.sgd(1e-3, momentum=0.9),
    "largest": by_largest(optax.sgd(1e-3), OptimiserSpec(largest=0.08), 1),
}
tx = optimisers[t.get("optimiser", "adam")]
rule = bp.rules.RULES[t["rule"]](net, loss, **t.get("hyperparameters", {}))
run = make_train(net, rule, tx, data, batch_size=t["batch"])
if "seeds" in t:
    run = replicate(run)
state = run.init(seed_keys(t["seeds"]) if "seeds" in t else jax.random.key(0))


def train(steps: int) -> None:
    global state
    state = jax.block_until_ready(run.advance(state, steps)[0])


serve(train, jax.default_backend(), "bioplaus", "jax", "jaxlib")
